"""The six calls for everybody, with or without pytest: one-line twins over `_api.calls`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self
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
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.token import Token, hidden
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._clock.virtual import VirtualClock
from pytest_hydrasmoke._core.arguments import id_of, seconds_of, spec_of, text_of, whole_of
from pytest_hydrasmoke._core.chat import EndRule, Turn
from pytest_hydrasmoke._core.chat_stream import AsyncChatStream, ChatStream
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.turn_log import TurnLog
from pytest_hydrasmoke._core.turn_observers import LogObserver
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import StrPath, link_of, link_to
from pytest_hydrasmoke._transport.protocol import drive

__tracebackhide__ = hide_own_frames

CHAT_TIMEOUT = 120.0
"""Seconds for a chat turn of a client of its own."""

ChatText = Callable[[ChatEvent], str | None]
ChatEnd = Callable[[ChatEvent], bool | None]


class ByHand(Protocol):
    """Who owns what a run's clients provision."""

    async def provision(
        self, calls: Calls, spec: InstanceSpec, key: str, proved: Calls
    ) -> ProvisionAccepted:
        """Provision with the first calls; the last ones are those with the run's own token."""
        ...

    def saw(self, key: str, found: PollResult) -> None:
        """Take in what a poll with the run's own token has answered."""
        ...


def no_log(instance_id: str) -> TurnLog:
    """Return a log of an instance that nobody else asks about."""
    return TurnLog()


class _Client:
    _calls: Calls
    _reading: Reading

    def _turn(self, instance_id: str, message: str, timeout: float) -> Turn:
        return Turn(
            self._calls,
            instance_id,
            message,
            timeout=timeout,
            end="auto",
            reading=self._reading,
            text_wanted=False,
        )

    async def _provision(self, spec: InstanceSpec, key: str) -> ProvisionAccepted:
        return await self._calls.provision(spec, key)

    async def _poll(self, key: str) -> PollResult:
        return await self._calls.poll(key)


@public
class SmokeClient(_Client):
    """The router's six calls, blocking; a context manager that closes its connections.

    A call is repeated where that is safe (see the retry rules in the documentation) for up to
    30 s. Raises `TransportError`, `RouterError` and its kinds, `ContractError`.

    `base_url` ends where `/internal/v1/smoke` begins; `clock` may be a `VirtualClock` for tests;
    `chat_text` and `chat_end` say what an event of a runtime of your own means (None: no opinion);
    `ca_file`, `trust_env`, `client_cert` and `client_key` are what the settings of these names are.
    Raises `ConfigError` for what can't be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | Token,
        clock: VirtualClock | None = None,
        chat_text: ChatText | None = None,
        chat_end: ChatEnd | None = None,
        ca_file: StrPath | None = None,
        trust_env: bool = False,
        client_cert: StrPath | None = None,
        client_key: StrPath | None = None,
    ) -> None:
        # First of all, as the arguments of a frame are shown with what fails in it.
        token = hidden(token)
        link = link_to(
            base_url,
            token,
            ca_file=ca_file,
            trust_env=trust_env,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._use(blocking_io(link, clock), Reading(chat_text, chat_end))

    def _use(self, io: SyncIO, reading: Reading, observer: Observer | None = None) -> None:
        self._io, self._calls, self._reading = io, Calls(io, observer), reading

    def provision(self, spec: InstanceSpec, idempotency_key: str) -> ProvisionAccepted:
        """Queue an instance; the same key never makes a second one.

        Raises `RouterError` with 409 where the router is at it already: then poll.
        """
        return drive(self._provision(spec_of(spec), text_of("idempotency_key", idempotency_key)))

    def poll(self, idempotency_key: str) -> PollResult:
        """Resolve a key to its instance; `found` is False until the row exists."""
        return drive(self._poll(text_of("idempotency_key", idempotency_key)))

    def status(self, instance_id: str | UUID) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that the router does not know."""
        return drive(self._calls.status(id_of(instance_id)))

    def stream_chat(
        self, instance_id: str | UUID, message: str, *, timeout: float | None = None
    ) -> ChatStream:
        """Begin a chat turn: a context manager over its events as they arrive.

        It may take `timeout` seconds, 120 where none are given.
        """
        seconds = seconds_of("timeout", timeout, CHAT_TIMEOUT)
        return ChatStream(self._turn(id_of(instance_id), text_of("message", message), seconds))

    def llm_events(self, instance_id: str | UUID, window_seconds: int | None = 900) -> LlmEvents:
        """Count an instance's LLM events of the last `window_seconds`; None: the router's own."""
        window = None if window_seconds is None else whole_of("window_seconds", window_seconds)
        return drive(self._calls.llm_events(id_of(instance_id), window))

    def delete(self, instance_id: str | UUID) -> DeleteResult:
        """Delete an instance; one that is gone already (404, 409, 410) is no error."""
        return drive(self._calls.delete(id_of(instance_id)))

    def with_token(self, token: str | Token | None) -> SmokeClient:
        """Return a client of whoever has another token, to the same router; None sends none.

        It is closed by itself. One of `smoke_client` is the run's as that is: what it chats counts
        as turns.
        """
        token = None if token is None else hidden(token)
        return self._beside(self._io.to(link_of(token, self._io.link)))

    def _beside(self, io: SyncIO) -> SmokeClient:
        client = SmokeClient.__new__(SmokeClient)
        client._use(io, self._reading)
        return client

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
        ca_file: StrPath | None = None,
        trust_env: bool = False,
        client_cert: StrPath | None = None,
        client_key: StrPath | None = None,
    ) -> None:
        token = hidden(token)
        link = link_to(
            base_url,
            token,
            ca_file=ca_file,
            trust_env=trust_env,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._use(async_io(link, clock), Reading(chat_text, chat_end))

    def _use(self, io: AsyncIO, reading: Reading, observer: Observer | None = None) -> None:
        self._io, self._calls, self._reading = io, Calls(io, observer), reading

    async def provision(self, spec: InstanceSpec, idempotency_key: str) -> ProvisionAccepted:
        """Queue an instance; the same key never makes a second one."""
        return await self._provision(spec_of(spec), text_of("idempotency_key", idempotency_key))

    async def poll(self, idempotency_key: str) -> PollResult:
        """Resolve a key to its instance; `found` is False until the row exists."""
        return await self._poll(text_of("idempotency_key", idempotency_key))

    async def status(self, instance_id: str | UUID) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that the router does not know."""
        return await self._calls.status(id_of(instance_id))

    def stream_chat(
        self, instance_id: str | UUID, message: str, *, timeout: float | None = None
    ) -> AsyncChatStream:
        """Begin a chat turn: an async context manager over its events, for 120 s if not told."""
        seconds = seconds_of("timeout", timeout, CHAT_TIMEOUT)
        return AsyncChatStream(self._turn(id_of(instance_id), text_of("message", message), seconds))

    async def llm_events(
        self, instance_id: str | UUID, window_seconds: int | None = 900
    ) -> LlmEvents:
        """Count an instance's LLM events of the last `window_seconds`; None: the router's own."""
        window = None if window_seconds is None else whole_of("window_seconds", window_seconds)
        return await self._calls.llm_events(id_of(instance_id), window)

    async def delete(self, instance_id: str | UUID) -> DeleteResult:
        """Delete an instance; one that is gone already (404, 409, 410) is no error."""
        return await self._calls.delete(id_of(instance_id))

    def with_token(self, token: str | Token | None) -> AsyncSmokeClient:
        """Return a client of whoever has another token, to the same router; None sends none."""
        token = None if token is None else hidden(token)
        return self._beside(self._io.to(link_of(token, self._io.link)))

    def _beside(self, io: AsyncIO) -> AsyncSmokeClient:
        client = AsyncSmokeClient.__new__(AsyncSmokeClient)
        client._use(io, self._reading)
        return client

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
    """What a run's clients have in common: the run knows of their turns, and what they provision.

    `observer` sees how their calls go; `log_of` gives the log of an instance's turns, by its id.
    """

    def _join(
        self,
        observer: Observer | None,
        log_of: Callable[[str], TurnLog],
        end: EndRule,
        by_hand: ByHand | None,
    ) -> None:
        self._observer = observer
        self._log_of = log_of
        self._end: EndRule = end
        self._by_hand = by_hand
        self._proved = self._calls
        """With the run's own token."""

    def _turn(self, instance_id: str, message: str, timeout: float) -> Turn:
        return Turn(
            self._calls,
            instance_id,
            message,
            timeout=timeout,
            end=self._end,
            reading=self._reading,
            text_wanted=False,
            observer=LogObserver(self._log_of(instance_id), message, self._calls.io.now),
        )

    async def _provision(self, spec: InstanceSpec, key: str) -> ProvisionAccepted:
        if self._by_hand is None:
            return await super()._provision(spec, key)
        return await self._by_hand.provision(self._calls, spec, key, self._proved)

    async def _poll(self, key: str) -> PollResult:
        found = await super()._poll(key)
        if self._by_hand is not None and self._calls is self._proved:
            self._by_hand.saw(key, found)
        return found


class RunClient(_RunClient, SmokeClient):
    """A client over an IO that a run's settings have shaped."""

    def __init__(
        self,
        io: SyncIO,
        reading: Reading,
        observer: Observer | None = None,
        log_of: Callable[[str], TurnLog] = no_log,
        end: EndRule = "auto",
        by_hand: ByHand | None = None,
    ) -> None:
        self._use(io, reading, observer)
        self._join(observer, log_of, end, by_hand)

    def _beside(self, io: SyncIO) -> RunClient:
        client = RunClient(
            io, self._reading, self._observer, self._log_of, self._end, self._by_hand
        )
        client._proved = self._proved
        return client


class AsyncRunClient(_RunClient, AsyncSmokeClient):
    """An async client over an IO that a run's settings have shaped."""

    def __init__(
        self,
        io: AsyncIO,
        reading: Reading,
        observer: Observer | None = None,
        log_of: Callable[[str], TurnLog] = no_log,
        end: EndRule = "auto",
        by_hand: ByHand | None = None,
    ) -> None:
        self._use(io, reading, observer)
        self._join(observer, log_of, end, by_hand)

    def _beside(self, io: AsyncIO) -> AsyncRunClient:
        client = AsyncRunClient(
            io, self._reading, self._observer, self._log_of, self._end, self._by_hand
        )
        client._proved = self._proved
        return client
