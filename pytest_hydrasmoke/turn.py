"""The chat turns that tests use, finished or as they come: thin, sync and async."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Self

from pytest_hydrasmoke._api.models import LlmEvents
from pytest_hydrasmoke._base.errors import ChatError, ConfigError
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._core.expected import expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.kept import STREAMED, Kept, messages_of
from pytest_hydrasmoke._core.open_calls import begin, counted
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.tools import LEFT, NAMELESS, check_tools
from pytest_hydrasmoke._runtimes.content import TokenUsage, ToolCall
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.protocol import drive


class _Turn:
    def __init__(self, turn: OpenTurn, kept: Kept | None, handle: Handle | None = None) -> None:
        self._turn = turn
        self._handle = handle
        self._came = turn.came
        self._all_of_it = kept

    @property
    def _kept(self) -> Kept:
        if self._all_of_it is None:
            raise ChatError(
                f"this turn was streamed, and more than {STREAMED >> 20} MiB of it came: what it "
                "said is not kept",
                next_step="read it with chat(), or use the events as they arrive",
            )
        return self._all_of_it

    @property
    def message(self) -> str:
        """The message to the agent."""
        return self._turn.message

    @cached_property
    def text(self) -> str:
        """The agent's reply: the text of all events, joined without anything between."""
        return self._kept.text

    @cached_property
    def events(self) -> tuple[ChatEvent, ...]:
        """Every event as it arrived."""
        return tuple(self._kept.events)

    @property
    def first_event_after(self) -> float:
        """Seconds from the request to the first event."""
        return self._came.times.first_event or 0.0

    @property
    def duration(self) -> float:
        """Seconds from the request to the last event."""
        return self._came.duration

    @property
    def complete(self) -> bool:
        """True if a terminal event came, or a finish reason and then the end of the stream.

        What is said, thought or called after an end takes it back.
        """
        return self._came.end.complete

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, in the runtime's own word; None if it was not reported."""
        return self._came.end.finish_reason

    @property
    def first_text_after(self) -> float | None:
        """Seconds from the request to the first text; None if the reply has no text."""
        return self._came.times.first_text

    @property
    def max_gap(self) -> float:
        """Seconds of the longest silence between two events."""
        return self._came.times.max_gap

    @property
    def models(self) -> tuple[str, ...]:
        """The models that answered, as its runtime names them; empty if it names none.

        What a gateway calls by an alias has that alias here.
        """
        return tuple(self._came.end.models)

    @property
    def trace_id(self) -> str:
        """The trace (W3C) that its requests belong to: 32 hexadecimal digits."""
        return self._turn.trace_id

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the agent called, in order; empty if its runtime reports none."""
        return self._kept.content.tool_calls

    @property
    def reasoning(self) -> str:
        """The model's reasoning; empty if its runtime reports none."""
        return self._kept.content.reasoning(self.text)

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens of the turn; None if its runtime does not report them."""
        return self._kept.content.usage

    def as_messages(self) -> list[dict[str, object]]:
        """Return the turn as messages of OpenAI's chat API, as tools that judge agents want it.

        They are the user's message, what the agent said, its tool calls, and a result for each:
        empty where its runtime reports none, as are arguments.
        """
        return messages_of(self.message, self.text, self._kept.content.placed_calls)

    def expect_tools(
        self,
        *names: str | tuple[str, Mapping[str, object]],
        mode: str = "in_order",
        never: Collection[str | tuple[str, Mapping[str, object]]] = (),
    ) -> None:
        """Check which tools the agent called; raises `ToolCallsError`, which shows both sides.

        Each of `names` is a tool, or `(tool, {argument: value})`: then these arguments must have
        these values, and others may have any. `mode` is `in_order` (others between them are
        allowed), `exact` (in this order, and no others), `any_order` (these, and no others) or
        `at_least` (these among others). None of `never` may be called. An agent whose runtime
        does not report tools has called none, for all that is known; a call of which it does not
        report the tool may be of any.
        """
        unseen = NAMELESS if self._kept.content.nameless else None
        account, over = self._turn.account, self._turn.outcome.ran_to_its_end
        if not self.complete and not over and (account.over is None or account.left):
            unseen = LEFT
        check_tools(self.tool_calls, names, mode, never, unseen=unseen)

    @property
    def _counted_by(self) -> Handle:
        if self._handle is None:
            raise ConfigError(
                "nothing counts the LLM events of a client's own chats",
                next_step="chat on smoke_instance, or on one of smoke_instance_factory",
            )
        return self._handle

    @property
    def _did(self) -> str:
        if self._all_of_it is None:
            return f"was streamed, more than {STREAMED >> 20} MiB"
        return self._all_of_it.did(complete=self.complete, left=self._turn.account.left)

    def __repr__(self) -> str:
        kept = self._all_of_it
        events = "many" if kept is None else len(kept.events)
        no_text = None if kept is None else kept.no_text()
        return (
            f"<{type(self).__name__} {events} events in {self.duration:.2f} s"
            f"{'' if self.complete else ', no terminal event'}{f', {no_text}' if no_text else ''}>"
        )


@public
class ChatTurn(_Turn):
    """One chat turn: finished, or of a stream as far as it was read."""

    def expect_llm_events(
        self,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        exactly: int | None = None,
        providers: Collection[str] | None = None,
        only: Collection[str] | None = None,
        timeout: float | None = None,
    ) -> LlmEvents:
        """Wait until this turn has added these LLM events; return the router's last answer.

        Counts the events between the beginning of this turn and the next one: `at_least` so many
        (default 1), `at_most` so many, or `exactly`. Each of `providers` must have been seen since
        the turn began; with `only`, each of these and no other. With `at_most`, `exactly` or `only`
        the count is read again once no more may come. `timeout` in seconds, `llm_events_timeout` if
        None. The count in the returned answer covers the instance's whole life. Raises
        `LlmEventsError`, also if the events may belong to another turn.
        """
        handle, what = self._counted_by, expected(at_least, at_most, providers, exactly, only)
        return drive(handle.expect(what, timeout, self._turn.account, self._did))


@public
class AsyncChatTurn(_Turn):
    """The same as `ChatTurn`, for coroutines."""

    @counted
    async def expect_llm_events(
        self,
        *,
        at_least: int | None = None,
        at_most: int | None = None,
        exactly: int | None = None,
        providers: Collection[str] | None = None,
        only: Collection[str] | None = None,
        timeout: float | None = None,
    ) -> LlmEvents:
        """Do what `ChatTurn.expect_llm_events` does."""
        handle, what = self._counted_by, expected(at_least, at_most, providers, exactly, only)
        return await handle.expect(what, timeout, self._turn.account, self._did)


class _Stream:
    def __init__(self, turn: OpenTurn, handle: Handle | None = None) -> None:
        self._turn = turn
        self._handle = handle
        turn.kept.room = STREAMED
        begin(turn, "stream_chat")

    async def _open(self) -> None:
        if self._handle is None:
            await self._turn.open()
        else:
            await self._handle.open(self._turn)


@public
class ChatStream(_Stream):
    """Iterate over a turn's events as they arrive; leaving the context early ends it.

    Raises `ChatError` in place of the next event where the stream breaks off, and after an event in
    which the agent reported an error.
    """

    @property
    def turn(self) -> ChatTurn:
        """The turn, as far as it was read; what it said is kept up to 1 MiB of the stream."""
        return ChatTurn(self._turn, self._turn.reread(), self._handle)

    def __enter__(self) -> Self:
        drive(self._open())
        return self

    def __iter__(self) -> Iterator[ChatEvent]:
        turn = self._turn
        while (event := turn.came.take() or drive(turn.next())) is not None:
            yield event
            yield from turn.came.unread

    def __next__(self) -> ChatEvent:
        return next(iter(self))

    def __exit__(self, *raised: object) -> None:
        drive(self._turn.close())


@public
class AsyncChatStream(_Stream):
    """The same as `ChatStream`, for `async with` and `async for`."""

    @property
    def turn(self) -> AsyncChatTurn:
        """The turn, as far as it was read; see `ChatStream.turn`."""
        return AsyncChatTurn(self._turn, self._turn.reread(), self._handle)

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatEvent:
        turn = self._turn
        event = next(turn.came.unread, None) or turn.came.take() or await turn.next()
        if event is None:
            raise StopAsyncIteration
        return event

    async def __aexit__(self, *raised: object) -> None:
        await self._turn.close()
