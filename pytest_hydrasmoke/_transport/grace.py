"""Work that must not be cancelled once it has begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import hide_own_frames

from .alarms import Until

__tracebackhide__ = hide_own_frames

T = TypeVar("T")


async def shielded(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Complete `work` even if the caller is cancelled, and deliver the cancellation afterwards.

    Raises TimeoutError if it takes longer than `seconds`.
    """
    timed = _timed(seconds, work)
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        timed = _in_own_task(timed)
    return await timed


async def _timed(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with Until(clock.now() + seconds, shield=True):
        return await work()
    raise TimeoutError(f"not done within {seconds:g} s")


async def _in_own_task(work: Coroutine[Any, Any, T]) -> T:
    # anyio's shield does not stop asyncio's own `task.cancel()`, which is what ends a test's task.
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # Shielded: a cancelled anyio scope cancels every new wait.
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()  # Otherwise asyncio warns of an exception that was never retrieved.
        raise cancelled
    return task.result()
