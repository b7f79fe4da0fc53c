"""Differences between systems, in one place: `here` is this one, and a test may replace it.

The tests run only on Linux; the behaviour of the others is taken from documentation, and simulated
(`tests/shared/systems.py`).
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, TypeVar

from filelock import FileLock

from . import clock

T = TypeVar("T")

OPENED: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
"""Flags for every file opened for writing: follow no link, translate no byte."""
BUSY_TIMEOUT = 2.0
"""Seconds to wait for other processes that have the file open which is to be replaced or read."""
APPEND_TIMEOUT = 2.0
"""Seconds to wait for other processes that append to the same file."""
_INTERVAL = 0.01
"""Seconds between two attempts to replace or read a file."""
_F_FULLFSYNC = 51
"""F_FULLFSYNC, which `fcntl` defines only on macOS: flush the disk's cache, too."""


class System:
    """Linux, and every system without a class below."""

    is_posix = True

    def alone(self, file: Path) -> contextlib.AbstractContextManager[object]:
        """Return a context for an append in which no other process appends."""
        return contextlib.nullcontext()  # The system itself writes at the end of the file.

    def flush(self, descriptor: int) -> None:
        """Flush a file to disk; raises OSError."""
        os.fsync(descriptor)

    def flush_folder(self, folder: Path) -> None:
        """Flush a folder's entries to disk, where the file system can."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def patiently(self, work: Callable[[], T]) -> T:
        """Read or replace a file that another process may have open; return `work`'s result."""
        return work()

    def takes_output(self, descriptor: int) -> bool:
        """Return whether a write to a descriptor would not block."""
        if sys.platform == "win32":
            raise NotImplementedError  # Callers check `is_posix` first.
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0))


class Mac(System):
    """macOS, where a disk may cache what was fsynced, and poll does not support terminals."""

    def flush(self, descriptor: int) -> None:
        if sys.platform == "win32":
            raise NotImplementedError
        import fcntl  # Not on every system.

        # A network file system may not support it.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _F_FULLFSYNC)
            return
        os.fsync(descriptor)

    def takes_output(self, descriptor: int) -> bool:
        # select can't check the others: they count as ready.
        return descriptor >= _SELECTABLE or bool(select.select([], [descriptor], [], 0)[1])


_SELECTABLE = 1024
"""Descriptors from this number on are too large for select."""


class Windows(System):
    """Windows: an append is a seek and a write, and open files can't be replaced."""

    is_posix = False

    def alone(self, file: Path) -> contextlib.AbstractContextManager[object]:
        return FileLock(f"{file}.lock", APPEND_TIMEOUT, fallback_to_soft=False)

    def flush_folder(self, folder: Path) -> None:
        """Do nothing: a folder can't be opened there, and its entries are journaled."""

    def patiently(self, work: Callable[[], T]) -> T:
        until = clock.now() + BUSY_TIMEOUT
        while True:
            try:
                return work()
            except PermissionError:
                if clock.now() >= until:
                    raise
            clock.pause(_INTERVAL)


def system(name: str) -> System:
    """Return the system named by `sys.platform`."""
    return {"win32": Windows, "darwin": Mac}.get(name, System)()


here = system(sys.platform)


def printable(text: str, stream: TextIO) -> str:
    """Return a text with escapes for characters outside a stream's encoding (a cp1252 console)."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def name_on_disk(path: Path) -> str | None:
    """Return the name that a file has on its disk, if its case differs from `path`; else None.

    A case-insensitive disk keeps the name that came first.
    """
    with contextlib.suppress(OSError):
        names = os.listdir(path.parent)
        alike = [name for name in names if name.casefold() == path.name.casefold()]
        if path.name not in alike:
            return next((name for name in alike if path.samefile(path.parent / name)), None)
    return None
