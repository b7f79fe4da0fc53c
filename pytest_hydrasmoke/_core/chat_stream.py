"""A chat turn's events as they arrive, for sync and for async code."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.protocol import drive

from .chat import OpenTurn

__tracebackhide__ = hide_own_frames


class ChatStream:
    """Iterate over a turn's events as they arrive; leaving the context early ends it.

    Memory does not grow with the stream. Raises `ChatError` in place of the next event where the
    stream breaks off, and after an event in which the agent reported an error.
    """

    def __init__(self, turn: OpenTurn) -> None:
        self._turn = turn

    def __enter__(self) -> Self:
        drive(self._turn.open())
        return self

    def __iter__(self) -> Iterator[ChatEvent]:
        turn = self._turn
        while (event := turn.take() or drive(turn.next())) is not None:
            yield event
            yield from turn.came.unread

    def __next__(self) -> ChatEvent:
        return next(iter(self))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        drive(self._turn.close())


class AsyncChatStream:
    """The async twin of `ChatStream`, for `async with` and `async for`."""

    def __init__(self, turn: OpenTurn) -> None:
        self._turn = turn

    async def __aenter__(self) -> Self:
        await self._turn.open()
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatEvent:
        turn = self._turn
        event = next(turn.came.unread, None) or turn.take() or await turn.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._turn.close()
