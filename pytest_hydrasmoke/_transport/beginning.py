"""Threads that a caller waits for, and may be interrupted at it, wherever it is.

What `threading` waits with is written in Python: an interrupt inside it leaves its lock held, or
comes out as an error about that lock. Here a caller waits in one call of C.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Once:
    """An event, set once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Return whether it is set, after at most `seconds`."""
        if not self._lock.acquire(timeout=seconds):
            return False
        self._lock.release()
        return True

    def is_set(self) -> bool:
        return not self._lock.locked()


def begin(work: Callable[[], None]) -> bool:
    """Start a daemon thread; False if the system has no more of them."""
    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError as error:
        interrupt = error.__context__
        if interrupt is not None:
            raise interrupt from None
        return False
    return True


def is_over() -> bool:
    """Return whether the interpreter ends: from Python 3.12 on it then starts no thread."""
    return not threading.main_thread().is_alive()
