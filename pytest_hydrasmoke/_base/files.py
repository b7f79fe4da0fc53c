"""Files that are made and appended to without following links or overwriting, on every system.

What systems do differently is in `System`: `here` is this one, and a test may replace it. The tests
run only on Linux; the behaviour of macOS is taken from documentation, and simulated
(`tests/shared/systems.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import sys
from pathlib import Path

OPENED: int = getattr(os, "O_NOFOLLOW", 0)
"""Flags for every file opened for writing: follow no link."""
_F_FULLFSYNC = 51
"""F_FULLFSYNC, which `fcntl` defines only on macOS: flush the disk's cache, too."""
_SELECTABLE = 1024
"""Descriptors from this number on are too large for select."""
NEW = os.O_CREAT | os.O_EXCL
"""Flags that create a file, and fail if it exists."""
TEMPORARY = ".hydra-smoke.*.part"
"""Names of files that are not whole yet: a run that is killed may leave one."""


class System:
    """Linux, and every system without a class below."""

    def flush(self, descriptor: int) -> None:
        """Flush a file to disk; raises OSError."""
        os.fsync(descriptor)

    def takes_output(self, descriptor: int) -> bool:
        """Return whether a write to a descriptor would not block."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0))


class Mac(System):
    """macOS, where a disk may cache what was fsynced, and poll does not support terminals."""

    def flush(self, descriptor: int) -> None:
        import fcntl  # Windows, where no run begins, can't import it.

        # A network file system may not support it.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _F_FULLFSYNC)
            return
        os.fsync(descriptor)

    def takes_output(self, descriptor: int) -> bool:
        # select can't check the others: they count as ready.
        return descriptor >= _SELECTABLE or bool(select.select([], [descriptor], [], 0)[1])


def system(name: str) -> System:
    """Return the system named by `sys.platform`."""
    return Mac() if name == "darwin" else System()


here = system(sys.platform)


def is_blocked(place: Path) -> bool:
    """Return whether a file, or any link, is where a folder should be."""
    return os.path.islink(place) or (os.path.exists(place) and not os.path.isdir(place))


def make_folder(folder: Path) -> None:
    """Create a folder for its owner only; raises OSError if a link or a file is in its place."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if is_blocked(folder):
        raise NotADirectoryError(errno.ENOTDIR, "A link, or not a folder", str(folder))


def make_mark(file: Path) -> None:
    """Create an empty file, unless it exists; raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.close(opened(file, NEW))


def append(file: Path, line: bytes, *, make: bool = True, durable: bool = False) -> None:
    """Append a line in one write; if `durable`, it is on disk on return. Raises OSError."""
    descriptor = opened(file, os.O_APPEND | (os.O_CREAT if make else 0))
    try:
        if os.write(descriptor, line) < len(line):
            raise OSError("the disk is full")
        if durable:
            here.flush(descriptor)
    finally:
        os.close(descriptor)


def opened(file: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file for writing, but no link; return its descriptor. Raises OSError."""
    return os.open(file, os.O_WRONLY | OPENED | flags, mode)


def replace(file: Path, text: str, mode: int = 0o600, temporary: str = TEMPORARY) -> None:
    """Write a file atomically; raises `OSError`, and leaves what was there before.

    `temporary` names files that are not whole yet, with a `*`.
    """
    # In the same folder: a rename works only within one file system.
    other = file.parent / temporary.replace("*", secrets.token_hex(8))
    try:
        with os.fdopen(opened(other, NEW, mode), "wb") as whole:
            whole.write(text.encode())
        other.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            other.unlink()
        raise


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
