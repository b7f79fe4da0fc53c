"""Keep a signalled run from blocking on output that is not read.

A full pipe whose reader has stalled, or a stopped terminal, blocks a write for any length of time,
and a runner kills 10 s after its signal. So a little earlier, blocked outputs are redirected to the
null device, and the blocked write is retried.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

from pytest_hydrasmoke._base import clock, platform

AFTER = 8.0
"""Seconds from the signal until output is given up."""
LOOK = 1.0
"""Seconds before that in which an output must have accepted nothing at all."""
_GLANCE = 0.1

_File = tuple[int, int]


class StalledOutput:
    """Watches this process's outputs, as they were at creation, once a signal has come.

    `wake` makes the main thread retry its blocked call.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._files = {_file(descriptor) for descriptor in (1, 2)} - {None}
        self._watching = False
        self._over = threading.Event()
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Begin; called from a signal handler, in the main thread."""
        self._watching = True
        # None of the locks that starting a thread takes can be held by the interrupted code. If it
        # fails to start, the run is as without this watch.
        with contextlib.suppress(RuntimeError):
            name = "hydra-smoke-stalled"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def is_stalled(self) -> bool:
        """Whether a signal has come, and some output accepts nothing at the moment."""
        return self._watching and bool(self._silent(_GLANCE))

    def end(self) -> None:
        """Flush buffers, while that can't block for ever, and stop watching."""
        if self._watching:
            for stream in (sys.stdout, sys.stderr):
                # pytest itself reports a closed output.
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        with self._lock:
            self._over.set()

    def _run(self) -> None:
        clock.wait(self._over.wait, AFTER - LOOK)
        while not self._over.is_set():
            silent = self._silent(LOOK)
            with self._lock:
                if silent and not self._over.is_set():
                    self._give_up(silent)
                    self._wake()

    def _silent(self, seconds: float) -> set[int]:
        """Return the descriptors that accept nothing for so long; those that fail do not block."""
        silent = set(self._outputs())
        for _ in range(round(seconds / _GLANCE)):
            if self._over.is_set():
                return set()
            silent -= platform.here.writable(silent, _GLANCE)
        return silent

    def _outputs(self) -> Iterator[int]:
        """Yield all descriptors of the same files: pytest has copies, which it restores."""
        for name in os.listdir("/dev/fd"):
            if _file(int(name)) in self._files and _writes(int(name)):
                yield int(name)

    def _give_up(self, descriptors: set[int]) -> None:
        with open(os.devnull, "wb") as nowhere:
            for descriptor in descriptors:
                # It may have been reused meanwhile.
                if _file(descriptor) in self._files:
                    inheritable = os.get_inheritable(descriptor)
                    os.dup2(nowhere.fileno(), descriptor, inheritable=inheritable)


def _file(descriptor: int) -> _File | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _writes(descriptor: int) -> bool:
    import fcntl  # Windows, where no run begins, can't import it.

    mode = os.O_RDONLY
    with contextlib.suppress(OSError):  # Another thread may have closed it meanwhile.
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    # Both ends of a pipe are the same file; so is a terminal opened for reading.
    return descriptor > 0 and mode != os.O_RDONLY
