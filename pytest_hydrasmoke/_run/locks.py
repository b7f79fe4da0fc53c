"""Locks that end with their process: they show which processes of a run live.

A lock is a file that this process has open and locked (`flock`), and no other: a program that it
starts does not inherit the open file, and a forked child closes it, which leaves the lock with its
parent. So the system ends a lock with its process, even with one that was killed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pytest_hydrasmoke._base import clock, files
from pytest_hydrasmoke._base.files import is_blocked

from .folder import LIVE, folder_of

MAIN = "main"
"""The name of a run's main process, which begins it; workers have other names."""
INTERVAL = 0.05
"""Seconds between two attempts to get a lock that another process holds."""
_FLAGS = os.O_RDWR | os.O_CREAT | files.OPENED


class Lock:
    """A lock on a file that is made if it is missing; as a context, it is released at its end."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self._shared = shared
        """Whether others may have it at the same time that share it, too."""
        self._descriptor: int | None = None

    def acquire(self, within: float = 0.0) -> bool:
        """Return whether this process got it `within` these seconds; raises OSError."""
        until = clock.now() + within
        while not self._take():
            if clock.now() >= until:
                return False
            clock.pause(INTERVAL)
        return True

    def _take(self) -> bool:
        while True:
            with contextlib.ExitStack() as undo:
                undo.callback(self.release)
                self._descriptor = os.open(self.path, _FLAGS, 0o600)
                _held.add(self)
                if not _flock(self._descriptor, shared=self._shared):
                    return False
                if os.fstat(self._descriptor).st_nlink:
                    undo.pop_all()
                    return True
                # Its last holder has removed the file: nobody else would see this lock.

    def release(self) -> None:
        """Let others have it; harmless if it is not held. Any thread may call it."""
        _held.discard(self)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


_held: set[Lock] = set()


def _flock(descriptor: int, *, shared: bool) -> bool:
    """Lock an open file unless another process has; return whether it is locked."""
    import fcntl  # Windows, where no run begins, can't import it.

    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        return True
    return False


def _forget() -> None:
    """Close what a forked child has of its parent's locks: only an unlock would end them."""
    for lock in list(_held):
        lock.release()


if sys.platform == "win32":
    pass  # Nothing forks there.
else:
    os.register_at_fork(after_in_child=_forget)


def wait_for(wanted: Lock, check: Callable[[], object]) -> None:
    """Wait until a lock is free, and hold it.

    `check` is called between two attempts; an error that it raises ends the wait.
    """
    check()
    while not wanted.acquire():
        clock.pause(INTERVAL)
        check()


def has_main_process(output: Path, run_id: str) -> bool:
    """Return whether a run's main process lives on this host, whose disk this process sees."""
    folder = folder_of(output, run_id)
    path = folder / LIVE / f"{MAIN}.lock"
    try:
        blocked = any(map(is_blocked, (folder.parent, folder, path.parent)))
        return not blocked and path.lstat().st_size == 0 and is_held(path)
    except OSError:
        return False  # Whatever the error is, this process can't share a ledger with that run.


def is_live(folder: Path) -> bool:
    """Return whether a process of the run holds its lock."""
    return any(is_held(path) for path in sorted((folder / LIVE).glob("*.lock")))


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock of a file, and does not only look, as this does."""
    # Another process may be removing the folder.
    with contextlib.suppress(FileNotFoundError), Lock(path, shared=True) as tried:
        return not tried.acquire()
    return False
