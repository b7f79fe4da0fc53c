"""The calls of the asynchronous API that have begun and not ended, and streams never entered.

A coroutine that nobody awaits, or a task that is left behind or cancelled, has proved nothing, and
no report of a test shows that. So a call begins where it is made, and ends where it returns or
raises.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OpenCalls:
    """The open calls of the tests of one process, each with its owner."""

    def __init__(self, owner: Callable[[], str | None]) -> None:
        self._owner = owner
        """Tells whose the calls are that are made now; those of None are nobody's."""
        self._open: dict[object, tuple[str, str]] = {}

    def begin(self, call: object, name: str) -> None:
        """Record that a call has begun."""
        owner = self._owner()
        if owner is not None:
            self._open[call] = owner, name

    def end(self, call: object) -> None:
        """Record that it has ended."""
        self._open.pop(call, None)

    def take(self, owner: str | None) -> list[str]:
        """Return the names of an owner's open calls, or of all for None, and forget them."""
        found = [it for it, (of, _) in self._open.items() if owner in (None, of)]
        return [*dict.fromkeys(self._open.pop(call)[1] for call in found)]


_NOBODY = OpenCalls(lambda: None)
_watching = [_NOBODY]


def watch(calls: OpenCalls) -> None:
    """Let `calls` record all that begins and ends from now on."""
    _watching.append(calls)


def unwatch(calls: OpenCalls) -> None:
    """Take `watch` back."""
    _watching.remove(calls)


def begin(call: object, name: str) -> None:
    """Record that a call has begun: a stream, before it is entered."""
    _watching[-1].begin(call, name)


def end(call: object) -> None:
    """Record that it has ended."""
    _watching[-1].end(call)


def counted(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make a method of the asynchronous API whose calls are counted."""

    async def run(call: object, *args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        try:
            result = await method(*args, **kwargs)
        except Exception:
            end(call)
            raise
        end(call)
        return result

    # Python names it where nobody awaits it.
    run.__qualname__ = method.__qualname__

    @wraps(method)
    def made(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        call = object()
        begin(call, method.__qualname__)
        return run(call, *args, **kwargs)

    # From Python 3.12 on, a mock knows by it that it is awaited.
    mark: Callable[[object], object] = getattr(inspect, "markcoroutinefunction", id)
    mark(made)
    return made
