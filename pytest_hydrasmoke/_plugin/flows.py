"""Who asks from several threads or tasks: their chats with an instance have no certain order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

import anyio

_Place: TypeAlias = tuple[str, int, str | None]
"""An owner, its run, and the key of an instance; None for its claims, and for unknown instances."""


class Flows:
    """Tells of each owner and instance, once, that more than one thread or task uses it."""

    def __init__(self, tell: Callable[[str, str | None], None]) -> None:
        self._tell = tell
        self._first: dict[_Place, object] = {}
        self._told: set[tuple[str, str | None]] = set()

    def begin(self, owner: str) -> None:
        """Start an owner again: a test that is repeated may run in another task."""
        for place in [place for place in self._first if place[0] == owner]:
            del self._first[place]

    def goes(self, owner: str | None, run: int, key: str | None) -> None:
        """Note what an owner does with an instance, before it does it."""
        if owner is None:
            return
        flow = _flow()
        if self._first.setdefault((owner, run, key), flow) is flow or (owner, key) in self._told:
            return
        self._told.add((owner, key))
        self._tell(owner, key)


def _flow() -> object:
    """Return what runs now: a task's coroutine, or else a thread.

    Not an id, which may be used again: what is kept is not.
    """
    try:
        return anyio.get_current_task().coro
    except RuntimeError:
        return threading.current_thread()
