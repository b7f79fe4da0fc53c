"""Output that nobody takes keeps no signalled run from its end.

A full pipe whose reader has stalled, or a stopped terminal, holds whoever writes to it for as long
as it likes, and a runner kills 10 s after its signal. So a little earlier, what still takes nothing
is pointed at the null device, and the write that waits for it begins anew.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

from pytest_hydrasmoke._base import platform

AFTER = 8.0
"""Seconds from the signal until output is given up."""
LOOK = 1.0
"""Seconds, the last of them, for which it must have taken nothing at all."""
_GLANCE = 0.1

_File = tuple[int, int]


class StalledOutput:
    """Watches what this process wrote to when it was made, once a signal has come.

    `wake` lets the main thread's blocked call begin anew.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._files = {_file(descriptor) for descriptor in (1, 2)} - {None}
        self._watching = False
        self._over = threading.Event()
        self._turn = threading.Lock()

    def watch(self) -> None:
        """Begin; for a signal's handler, in the main thread."""
        if not platform.here.is_posix:
            return  # There is no telling what would block.
        self._watching = True
        # Of the locks that starting a thread takes none is one that the interrupted code could
        # hold against it. Without a thread all is as it would be without this.
        with contextlib.suppress(RuntimeError):
            name = "hydra-smoke-stalled"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    @property
    def is_stalled(self) -> bool:
        """Whether a signal has come, and some output takes nothing at the moment."""
        return self._watching and bool(self._silent(_GLANCE))

    def end(self) -> None:
        """Write what is still buffered, while that can't block for ever, and watch no more."""
        if self._watching:
            for stream in (sys.stdout, sys.stderr):
                # Whether anybody reads it is pytest's to tell.
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        with self._turn:
            self._over.set()

    def _run(self) -> None:
        self._over.wait(AFTER - LOOK)
        while not self._over.is_set():
            silent = self._silent(LOOK)
            with self._turn:
                if silent and not self._over.is_set():
                    self._give_up(silent)
                    self._wake()

    def _silent(self, seconds: float) -> set[int]:
        """Return the descriptors that take nothing for so long; those that fail do not block."""
        silent = set(self._outputs())
        for _ in range(round(seconds / _GLANCE)):
            if self._over.is_set():
                return set()
            silent -= platform.here.taking(silent, _GLANCE)
        return silent

    def _outputs(self) -> Iterator[int]:
        """Return whatever writes to the same: pytest has copies, which it puts back in place."""
        for name in os.listdir("/dev/fd"):
            if _file(int(name)) in self._files and _writes(int(name)):
                yield int(name)

    def _give_up(self, descriptors: set[int]) -> None:
        with open(os.devnull, "wb") as nowhere:
            for descriptor in descriptors:
                # It may have become another one meanwhile.
                if _file(descriptor) in self._files:
                    inheritable = os.get_inheritable(descriptor)
                    os.dup2(nowhere.fileno(), descriptor, inheritable=inheritable)


def _file(descriptor: int) -> _File | None:
    try:
        there = os.fstat(descriptor)
    except OSError:
        return None
    return there.st_dev, there.st_ino


def _writes(descriptor: int) -> bool:
    if sys.platform == "win32":
        raise NotImplementedError
    import fcntl  # Not on every system, and not needed there.

    mode = os.O_RDONLY
    with contextlib.suppress(OSError):  # Another thread may have closed it meanwhile.
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    # Both ends of a pipe are the same file; on a terminal the one that is read is the same, too.
    return descriptor > 0 and mode != os.O_RDONLY
