"""Locks that end with their process: they show which processes of a run live."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.files import is_blocked

from .folder import LIVE, folder_of

MAIN = "main"
"""The name of a run's main process, which begins it; workers have other names."""
INTERVAL = 0.05
"""Seconds between two attempts to get a lock that another process holds."""


def lock(path: Path, timeout: float, *, thread_local: bool = True) -> FileLock:
    """Return a lock whose `acquire` waits `timeout` seconds, then raises `Timeout`."""
    # Without support in the file system the lock would be a file with a process id, which outlives
    # its process and so proves nothing.
    return FileLock(path, timeout, thread_local=thread_local, fallback_to_soft=False)


def wait_for(path: Path, check: Callable[[], object]) -> FileLock:
    """Wait until a lock is free, and hold it.

    `check` is called between two attempts; an error that it raises ends the wait.
    """
    # The thread that ends the test releases it, which may not be the one that began it.
    held = lock(path, timeout=0.0, thread_local=False)
    while True:
        check()
        with contextlib.suppress(Timeout):
            held.acquire()
            return held
        clock.pause(INTERVAL)


def has_main_process(output: Path, run_id: str) -> bool:
    """Return whether a run's main process lives on this host, whose disk this process sees."""
    folder = folder_of(output, run_id)
    path = folder / LIVE / f"{MAIN}.lock"
    try:
        blocked = any(map(is_blocked, (folder.parent, folder, path.parent)))
        return not blocked and path.lstat().st_size == 0 and _is_held(path)
    except OSError:
        return False  # Whatever the error is, this process can't share a ledger with that run.


def is_live(folder: Path) -> bool:
    """Return whether a process of the run holds its lock."""
    return any(_is_held(path) for path in sorted((folder / LIVE).glob("*.lock")))


def _is_held(path: Path) -> bool:
    try:
        with lock(path, timeout=0):
            return False
    except Timeout:
        return True
