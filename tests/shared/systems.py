"""Other systems, as far as they can be played on this one, and what this one has."""

from __future__ import annotations

import io
import os
import select
import signal
import socket
import threading
from collections.abc import Iterable
from types import SimpleNamespace


class DeafEvent(threading.Event):
    """An event whose waits no signal breaks off: what came meanwhile comes after each of them."""

    endless = False
    """Whether one was waited for without an end, through which Ctrl-C never comes."""

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            type(self).endless = True
            timeout = 1.0
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().wait(timeout)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def poll_without_devices() -> SimpleNamespace:
    """Return a module `select` whose poll takes a terminal for nothing, as that of macOS does."""

    class Poll:
        def __init__(self) -> None:
            self._descriptors: list[int] = []

        def register(self, descriptor: int, events: int) -> None:
            self._descriptors.append(descriptor)

        def poll(self, timeout: float) -> Iterable[tuple[int, int]]:
            return [(descriptor, select.POLLNVAL) for descriptor in self._descriptors]

    return SimpleNamespace(poll=Poll, select=select.select, POLLOUT=select.POLLOUT)


class Unwritable(io.StringIO):
    """A file on a disk that is full, or a pipe whose reader has left: it takes no line."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._error = OSError(number, os.strerror(number))

    def flush(self) -> None:
        raise self._error


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        port: int = it.getsockname()[1]
        return port
