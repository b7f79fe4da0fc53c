"""A command in this process meets signals as one of a terminal does, and leaves no handler here."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def as_in_a_terminal() -> Iterator[None]:
    """Set the handlers that a command finds, and restore this process's own after it."""
    found = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    # A job in the background of a shell ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    try:
        yield
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)


@contextmanager
def signalled(number: int, when: Callable[[], object]) -> Iterator[None]:
    """Send this process a signal once something is true, as to a command of a terminal."""
    over, sent = Event(), Event()

    def send() -> None:
        while not over.wait(0.01):
            if when():
                os.kill(os.getpid(), number)
                sent.set()
                return

    sender = Thread(target=send)
    with as_in_a_terminal():
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()
    assert sent.is_set(), "it was over before its signal came"
