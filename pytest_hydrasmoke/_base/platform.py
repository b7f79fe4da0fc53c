"""Differences between POSIX systems, in one place: `here` is this one, and a test may replace it.

The tests run only on Linux; the behaviour of macOS is taken from documentation, and simulated
(`tests/shared/systems.py`).
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

OPENED: int = getattr(os, "O_NOFOLLOW", 0)
"""Flags for every file opened for writing: follow no link."""
_F_FULLFSYNC = 51
"""F_FULLFSYNC, which `fcntl` defines only on macOS: flush the disk's cache, too."""
_SELECTABLE = 1024
"""Descriptors from this number on are too large for select."""


class System:
    """Linux, and every system without a class below."""

    def flush(self, descriptor: int) -> None:
        """Flush a file to disk; raises OSError."""
        os.fsync(descriptor)

    def writable(self, descriptors: Collection[int], seconds: float) -> set[int]:
        """Return the descriptors that can be written without blocking, once there is one."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLOUT)
        return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}


class Mac(System):
    """macOS, where a disk may cache what was fsynced, and poll does not support terminals."""

    def flush(self, descriptor: int) -> None:
        import fcntl  # Windows, where no run begins, can't import it.

        # A network file system may not support it.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _F_FULLFSYNC)
            return
        os.fsync(descriptor)

    def writable(self, descriptors: Collection[int], seconds: float) -> set[int]:
        low = [descriptor for descriptor in descriptors if descriptor < _SELECTABLE]
        # select can't check the others: they count as writable.
        return {*descriptors} - {*low} or {*select.select([], low, [], seconds)[1]}


def system(name: str) -> System:
    """Return the system named by `sys.platform`."""
    return Mac() if name == "darwin" else System()


here = system(sys.platform)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def printable(text: str, stream: TextIO) -> str:
    """Return a text with escapes for characters outside a stream's encoding."""
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
