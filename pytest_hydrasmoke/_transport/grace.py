"""Work that must not be cancelled once it has begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


async def shielded(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Complete `work` even if the caller is cancelled, and deliver the cancellation afterwards.

    Raises TimeoutError if it takes longer than `seconds`.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with anyio.fail_after(seconds, shield=True):
            return await work()
    return await _in_own_task(seconds, work)


async def _in_own_task(seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # anyio's shield does not stop asyncio's own `task.cancel()`, which is what ends a test's task.
    task = asyncio.ensure_future(work())
    deadline = time.monotonic() + seconds
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and (left := deadline - time.monotonic()) > 0:
        try:
            # Shielded: a cancelled anyio scope cancels every new wait.
            with anyio.CancelScope(shield=True):
                await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # Otherwise asyncio warns of an exception that was never retrieved.
        raise cancelled
    if task.cancelled():
        raise TimeoutError(f"not done within {seconds:g} s")
    return task.result()
