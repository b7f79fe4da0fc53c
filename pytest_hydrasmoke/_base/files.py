"""Create and append to files without following links or overwriting anything."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from . import platform

NEW = os.O_CREAT | os.O_EXCL
"""Flags that create a file, and fail if it exists."""


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
            platform.here.flush(descriptor)
    finally:
        os.close(descriptor)


def opened(file: Path, flags: int, mode: int = 0o600) -> int:
    """Open a file for writing, but no link; return its descriptor. Raises OSError."""
    return os.open(file, os.O_WRONLY | platform.OPENED | flags, mode)
