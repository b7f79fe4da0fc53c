"""A command in this process meets signals as one of a terminal does, and leaves no handler here."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
