"""The six calls for everybody, with or without pytest: one-line twins over `_api.calls`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self
from uuid import UUID

from pytest_hydrasmoke._api.calls import Calls, Observer
from pytest_hydrasmoke._api.models import (
    DeleteResult,
    InstanceSpec,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
)
from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.token import Token, hidden
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._clock.virtual import VirtualClock
from pytest_hydrasmoke._core.arguments import id_of, spec_of, text_of, whole_of
from pytest_hydrasmoke._core.chat import EndRule, Turn
from pytest_hydrasmoke._core.chat_stream import AsyncChatStream, ChatStream
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.turn_log import TurnLog
from pytest_hydrasmoke._core.turn_observers import LogObserver
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.target import Link, url_problem

__tracebackhide__ = hide_own_frames

CHAT_TIMEOUT = 120.0
"""Seconds for a chat turn of a client of its own."""

ChatText = Callable[[ChatEvent], str | None]
ChatEnd = Callable[[ChatEvent], bool | None]


def no_log(instance_id: str) -> TurnLog:
    """Return a log of an instance that nobody else asks about."""
    return TurnLog()


def link_to(base_url: str, token: Token) -> Link:
    """Check a base URL and a token; raises `ConfigError`."""
    problem = url_problem(base_url, allow_http=True)
    if problem is not None:
        raise ConfigError(
            f"the router's URL {problem}", next_step="give it like https://router.example"
        )
    if token.problem is not None:
        raise ConfigError(
            f"the token {token.problem}", next_step="correct HYDRA_SMOKE_TOKEN or the token file"
        )
    return Link(base_url.rstrip("/"), token)


class _Client:
    _calls: Calls
    _reading: Reading

    def _turn(self, instance_id: str, message: str) -> Turn:
        return Turn(
            self._calls,
            instance_id,
            message,
            timeout=CHAT_TIMEOUT,
            end="auto",
            reading=self._reading,
            text_wanted=False,
        )


@public
class SmokeClient(_Client):
    """The router's six calls, blocking; a context manager that closes its connections.

    A call is repeated where that is safe (see the retry rules in the documentation) for up to
    30 s. Raises `TransportError`, `RouterError` and its kinds, `ContractError`.

    `base_url` ends where `/internal/v1/smoke` begins; `clock` may be a `VirtualClock` for tests;
    `chat_text` and `chat_end` say what an event of a runtime of your own means (None: no opinion).
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | Token,
        clock: VirtualClock | None = None,
        chat_text: ChatText | None = None,
        chat_end: ChatEnd | None = None,
    ) -> None:
        # First of all, as the arguments of a frame are shown with what fails in it.
        token = hidden(token)
        self._use(blocking_io(link_to(base_url, token), clock), Reading(chat_text, chat_end))

    def _use(
        self,
        io: SyncIO,
        reading: Reading,
        observer: Observer | None = None,
        *,
        replay: bool = False,
    ) -> None:
        self._io, self._calls = io, Calls(io, observer, replay=replay)
        self._reading = reading

    def provision(self, spec: InstanceSpec, idempotency_key: str) -> ProvisionAccepted:
        """Queue an instance; the same key never makes a second one.

        Raises `RouterError` with 409 where the router is at it already: then poll.
        """
        return drive(
            self._calls.provision(spec_of(spec), text_of("idempotency_key", idempotency_key))
        )

    def poll(self, idempotency_key: str) -> PollResult:
        """Resolve a key to its instance; `found` is False until the row exists."""
        return drive(self._calls.poll(text_of("idempotency_key", idempotency_key)))

    def status(self, instance_id: str | UUID) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that the router does not know."""
        return drive(self._calls.status(id_of(instance_id)))

    def stream_chat(self, instance_id: str | UUID, message: str) -> ChatStream:
        """Begin a chat turn: a context manager over its events as they arrive, up to 120 s."""
        return ChatStream(self._turn(id_of(instance_id), text_of("message", message)))

    def llm_events(self, instance_id: str | UUID, window_seconds: int = 900) -> LlmEvents:
        """Count an instance's LLM events of the last `window_seconds`."""
        return drive(
            self._calls.llm_events(id_of(instance_id), whole_of("window_seconds", window_seconds))
        )

    def delete(self, instance_id: str | UUID) -> DeleteResult:
        """Delete an instance; one that is gone already (404, 409, 410) is no error."""
        return drive(self._calls.delete(id_of(instance_id)))

    def close(self) -> None:
        """Close the connections; the client can be used again."""
        self._io.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@public
class AsyncSmokeClient(_Client):
    """What `SmokeClient` is, to be awaited, under asyncio and trio."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | Token,
        clock: VirtualClock | None = None,
        chat_text: ChatText | None = None,
        chat_end: ChatEnd | None = None,
    ) -> None:
        token = hidden(token)
        self._use(async_io(link_to(base_url, token), clock), Reading(chat_text, chat_end))

    def _use(
        self,
        io: AsyncIO,
        reading: Reading,
        observer: Observer | None = None,
        *,
        replay: bool = False,
    ) -> None:
        self._io, self._calls = io, Calls(io, observer, replay=replay)
        self._reading = reading

    async def provision(self, spec: InstanceSpec, idempotency_key: str) -> ProvisionAccepted:
        """Queue an instance; the same key never makes a second one."""
        return await self._calls.provision(
            spec_of(spec), text_of("idempotency_key", idempotency_key)
        )

    async def poll(self, idempotency_key: str) -> PollResult:
        """Resolve a key to its instance; `found` is False until the row exists."""
        return await self._calls.poll(text_of("idempotency_key", idempotency_key))

    async def status(self, instance_id: str | UUID) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that the router does not know."""
        return await self._calls.status(id_of(instance_id))

    def stream_chat(self, instance_id: str | UUID, message: str) -> AsyncChatStream:
        """Begin a chat turn: an async context manager over its events, up to 120 s."""
        return AsyncChatStream(self._turn(id_of(instance_id), text_of("message", message)))

    async def llm_events(self, instance_id: str | UUID, window_seconds: int = 900) -> LlmEvents:
        """Count an instance's LLM events of the last `window_seconds`."""
        return await self._calls.llm_events(
            id_of(instance_id), whole_of("window_seconds", window_seconds)
        )

    async def delete(self, instance_id: str | UUID) -> DeleteResult:
        """Delete an instance; one that is gone already (404, 409, 410) is no error."""
        return await self._calls.delete(id_of(instance_id))

    async def aclose(self) -> None:
        """Let go of the client."""
        await self._io.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _RunClient(_Client):
    """What the turns of a run's clients have in common: the run knows of them."""

    log_of: Callable[[str], TurnLog]
    """Gives the log of an instance's turns, by its id."""
    _end: EndRule

    def _turn(self, instance_id: str, message: str) -> Turn:
        return Turn(
            self._calls,
            instance_id,
            message,
            timeout=CHAT_TIMEOUT,
            end=self._end,
            reading=self._reading,
            text_wanted=False,
            observer=LogObserver(self.log_of(instance_id), message, self._calls.io.now),
        )


class RunClient(_RunClient, SmokeClient):
    """A client over an IO that a run's settings have shaped; `observer` sees how its calls go."""

    def __init__(
        self,
        io: SyncIO,
        reading: Reading,
        observer: Observer | None = None,
        log_of: Callable[[str], TurnLog] = no_log,
        end: EndRule = "auto",
        *,
        replay: bool = False,
    ) -> None:
        self._use(io, reading, observer, replay=replay)
        self._end = end
        self.observer = observer
        self.log_of = log_of


class AsyncRunClient(_RunClient, AsyncSmokeClient):
    """An async client over an IO that a run's settings have shaped."""

    def __init__(
        self,
        io: AsyncIO,
        reading: Reading,
        observer: Observer | None = None,
        log_of: Callable[[str], TurnLog] = no_log,
        end: EndRule = "auto",
        *,
        replay: bool = False,
    ) -> None:
        self._use(io, reading, observer, replay=replay)
        self._end = end
        self.log_of = log_of
