"""One chat turn at a time on an instance, for every client of this process.

The router does not lock a stream, and assumes one consumer. So concurrent turns are refused here.
"""

from __future__ import annotations

import threading

from pytest_hydrasmoke._base.errors import ChatBusyError, hide_own_frames

__tracebackhide__ = hide_own_frames

_busy: set[str] = set()
_busy_lock = threading.Lock()


def reserve(instance_id: str) -> None:
    """Begin a turn on an instance; raises `ChatBusyError` while another one is under way."""
    with _busy_lock:
        if instance_id.lower() in _busy:
            raise ChatBusyError(
                "a chat turn is under way on this instance already",
                next_step="end that turn first, or chat on an instance of your own "
                "(smoke_instance_factory)",
            )
        _busy.add(instance_id.lower())


def free(instance_id: str) -> None:
    """Let the next turn begin."""
    with _busy_lock:
        _busy.discard(instance_id.lower())
