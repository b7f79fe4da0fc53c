"""One chat turn at a time on an instance, for every client of this process.

The router does not lock a stream, and assumes one consumer. So concurrent turns are refused here.
An instance is held by a turn, and only that turn frees it: freeing is harmless wherever an
interrupt came, and each step is one operation of a dict, which nothing can split.
"""

from __future__ import annotations

from pytest_hydrasmoke._base.errors import ChatBusyError, hide_own_frames

__tracebackhide__ = hide_own_frames

_busy: dict[str, object] = {}


def reserve(plain_id: str, turn: object) -> None:
    """Begin a turn on an instance; raises `ChatBusyError` while another one is under way."""
    if _busy.setdefault(plain_id, turn) is not turn:
        raise busy()


def busy(where: str = "") -> ChatBusyError:
    """Return the error of a turn that would be a second one."""
    return ChatBusyError(
        f"a chat turn is under way on this instance already{where}",
        next_step="end that turn first, or chat on an instance of your own "
        "(smoke_instance_factory)",
    )


def is_under_way(plain_id: str, turn: object) -> bool:
    """Return whether this turn has begun on an instance, and has not ended."""
    return _busy.get(plain_id) is turn


def free(plain_id: str, turn: object) -> None:
    """Let the next turn begin; harmless if this one is not under way."""
    if is_under_way(plain_id, turn):
        del _busy[plain_id]
