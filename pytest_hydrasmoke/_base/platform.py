"""What systems do differently, in one place: `here` is this one, and a test may put another there.

Only Linux is what the tests run on by themselves; what is said of others here was read, and is
simulated (`tests/shared/systems.py`).
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TextIO, TypeVar

from filelock import FileLock

T = TypeVar("T")

OPENED: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Flags for every file that is opened to be written: through no link, and no byte translated."""
PATIENCE = 2.0
"""Seconds for which another process may have a file open that is to be replaced or read."""
APPEND_TIMEOUT = 2.0
"""Seconds to wait for others that append to the same file."""
_GLANCE = 0.01
_F_FULLFSYNC = 51
"""The number of that request on macOS: elsewhere `fcntl` does not name it."""


class System:
    """Linux, and whatever else is none of those below."""

    is_posix = True

    def alone(self, file: Path) -> contextlib.AbstractContextManager[object]:
        """Return what an append is made in, so that it overwrites nobody else's."""
        return contextlib.nullcontext()  # The system itself writes at the end, whoever else does.

    def flush(self, descriptor: int) -> None:
        """Force what was written onto the disk; raises OSError."""
        os.fsync(descriptor)

    def flush_folder(self, folder: Path) -> None:
        """Force a folder's entries onto the disk, where the file system can."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def patiently(self, work: Callable[[], T]) -> T:
        """Read or replace a file that another process may have open; gives what `work` gives."""
        return work()

    def taking(self, descriptors: Collection[int], seconds: float) -> set[int]:
        """Return those that keep no writer waiting, as soon as there is one of them."""
        if sys.platform == "win32":
            raise NotImplementedError  # `is_posix` is asked first.
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLOUT)
        return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}


class Mac(System):
    """macOS, where a disk may keep in its cache what fsync gave it, and poll knows no terminal."""

    def flush(self, descriptor: int) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        import fcntl  # Not on every system.

        # A file system of the network's may have none.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _F_FULLFSYNC)
            return
        os.fsync(descriptor)

    def taking(self, descriptors: Collection[int], seconds: float) -> set[int]:
        low = [descriptor for descriptor in descriptors if descriptor < _SELECTABLE]
        # Of the others there is no telling.
        return {*descriptors} - {*low} or {*select.select([], low, [], seconds)[1]}


_SELECTABLE = 1024


class Windows(System):
    """Windows: an append is a seek and a write, and what somebody has open is not replaced."""

    is_posix = False

    def alone(self, file: Path) -> contextlib.AbstractContextManager[object]:
        return FileLock(f"{file}.lock", APPEND_TIMEOUT, fallback_to_soft=False)

    def flush_folder(self, folder: Path) -> None:
        """Do nothing: a folder can't be opened there, and its entries are the journal's."""

    def patiently(self, work: Callable[[], T]) -> T:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return work()
            except PermissionError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_GLANCE)


def system(name: str) -> System:
    """Return the system that `sys.platform` names."""
    return {"win32": Windows, "darwin": Mac}.get(name, System)()


here = system(sys.platform)


def printable(text: str, stream: TextIO) -> str:
    """Return a text with escapes for what a stream's encoding does not have (a cp1252 console)."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def name_on_disk(path: Path) -> str | None:
    """Return by what other name a disk has a file that it also finds by this one; None if none.

    A disk that does not tell letter cases apart keeps the name that came first.
    """
    with contextlib.suppress(OSError):
        names = os.listdir(path.parent)
        alike = [name for name in names if name.casefold() == path.name.casefold()]
        if path.name not in alike:
            return next((name for name in alike if path.samefile(path.parent / name)), None)
    return None
