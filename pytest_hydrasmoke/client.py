"""Clients for the six calls, with or without pytest: thin, sync and async, over `_api.calls`."""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, Self, TypeVar
from uuid import UUID

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import (
    DeleteResult,
    InstanceSpec,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
)
from pytest_hydrasmoke._api.retry import Observer
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import Token, hidden
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._clock.virtual import VirtualClock
from pytest_hydrasmoke._core.arguments import id_of, spec_of, text_of, timeout_of, window_of
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.open_calls import counted
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.policy import EndRule
from pytest_hydrasmoke._sse.decoder import ChatEvent
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link, StrPath, authorized, link_of, link_to
from pytest_hydrasmoke._transport.protocol import CallName, drive
from pytest_hydrasmoke.turn import AsyncChatStream, ChatStream

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake.replay import Replay


CHAT_TIMEOUT = 120.0
"""Seconds for a chat turn if the caller gives none."""

T = TypeVar("T")
AnyIO = TypeVar("AnyIO", SyncIO, AsyncIO)
ChatText = Callable[[ChatEvent], str | None]
ChatEnd = Callable[[ChatEvent], bool | None]


class ClientBase(Generic[AnyIO]):
    """What both kinds of clients share; the clients of a run override it."""

    _io: AnyIO
    _calls: Calls
    _reading: Reading
    _end: EndRule = "auto"
    _is_own = True
    """Whether its authorization is the one that it was made with."""
    _keeps_open = False
    """Whether its connections are another client's, who closes them."""

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
        # Before anything can fail: a traceback may show the arguments of this frame.
        token = hidden(token)
        link = link_to(
            base_url,
            token,
            ca_file=ca_file,
            trust_env=trust_env,
            client_cert=client_cert,
            client_key=client_key,
        )
        self._use(self._connecting(link, clock), Reading(chat_text, chat_end))

    @staticmethod
    @abstractmethod
    def _connecting(link: Link, clock: VirtualClock | None) -> AnyIO:
        """Return the IO of a kind of clients."""

    def _use(
        self,
        io: AnyIO,
        reading: Reading,
        observer: Observer | None = None,
        *,
        replay: Replay | None = None,
    ) -> None:
        self._io, self._calls = io, Calls(io, observer, replay=replay)
        self._reading = reading

    def with_token(self, token: str | Token | None) -> Self:
        """Return a client of the same router with another token; None sends none.

        Close it separately. Both share their connections: use them in one thread. A client made
        from `smoke_client` belongs to the run too: its chats count as turns.
        """
        token = None if token is None else hidden(token)
        return self._beside(link_of(token, self._calls.link), is_own=False)

    def with_authorization(self, header: str | Token | None) -> Self:
        """Return a client with another `authorization` header, whole; see `with_token`."""
        header = None if header is None else hidden(header)
        return self._beside(authorized(header, self._calls.link), is_own=False)

    def without(self, field: str) -> Self:
        """Return a client whose bodies lack a field, such as `tier_id`; see `with_token`."""
        link = dataclasses.replace(self._calls.link, left_out=field)
        return self._beside(link, is_own=self._is_own)

    def _beside(self, link: Link, *, is_own: bool) -> Self:
        client = copy.copy(self)
        client._calls, client._is_own = self._calls.beside(link), is_own
        client._keeps_open = True
        return client

    def _turn(self, instance_id: str, message: str, timeout: float) -> OpenTurn:
        came = Incoming(self._reading, self._end)
        return OpenTurn(self._calls, self._target_of(instance_id), message, came, timeout=timeout)

    def _target_of(self, instance_id: str) -> ChatTarget:
        return ChatTarget.of_client(instance_id)

    async def _provision(self, spec: InstanceSpec, key: str) -> ProvisionAccepted:
        return await self._calls.provision(spec, key)

    async def _poll(self, key: str) -> PollResult:
        return await self._calls.poll(key)

    async def _answer(self, call: CallName, of: str, asked: Awaitable[T]) -> T:
        """Return a call's answer; its error says which call it was, of what, and how long."""
        start = self._io.now()
        try:
            return await asked
        except HydraSmokeError as error:
            error.add_context(phase=call, seconds=self._io.now() - start, instance=safe_line(of))
            raise


@public
class SmokeClient(ClientBase[SyncIO]):
    """The router's six calls, blocking; a context manager that closes its connections.

    A call is repeated where that is safe (see the retry rules in the documentation) for up to
    30 s. Raises `TransportError`, `RouterError` and its kinds, `ContractError`.

    `base_url` ends where `/internal/v1/smoke` begins; `clock` may be a `VirtualClock` for tests;
    `chat_text` and `chat_end` say what an event of your own runtime means (None: no opinion);
    `ca_file`, `trust_env`, `client_cert` and `client_key` mean the same as the settings.
    Raises `ConfigError` for an argument that can't be used.
    """

    @staticmethod
    def _connecting(link: Link, clock: VirtualClock | None) -> SyncIO:
        return blocking_io(link, clock)

    def provision(self, spec: InstanceSpec, idempotency_key: str) -> ProvisionAccepted:
        """Queue an instance; the same key never makes a second one.

        Raises `RouterError` with 409 if the router is already working on this key: then poll.
        """
        key = text_of("idempotency_key", idempotency_key)
        asked = self._provision(spec_of(spec), key)
        return drive(self._answer("provision", f"(key {key})", asked))

    def poll(self, idempotency_key: str) -> PollResult:
        """Resolve a key to its instance; `found` is False until the row exists."""
        key = text_of("idempotency_key", idempotency_key)
        return drive(self._answer("poll", f"(key {key})", self._poll(key)))

    def status(self, instance_id: str | UUID) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that the router does not know."""
        of = id_of(instance_id)
        return drive(self._answer("status", of, self._calls.status(of)))

    def stream_chat(
        self, instance_id: str | UUID, message: str, *, timeout: float | None = None
    ) -> ChatStream:
        """Begin a chat turn: a context manager over its events as they arrive.

        `timeout` in seconds, 120 if None.
        """
        seconds = timeout_of(timeout, CHAT_TIMEOUT)
        return ChatStream(self._turn(id_of(instance_id), text_of("message", message), seconds))

    def llm_events(self, instance_id: str | UUID, window_seconds: int | None = 900) -> LlmEvents:
        """Count the LLM events of the last `window_seconds`; None for the router's default."""
        of = id_of(instance_id)
        window = None if window_seconds is None else window_of(window_seconds)
        return drive(self._answer("llm_events", of, self._calls.llm_events(of, window)))

    def delete(self, instance_id: str | UUID) -> DeleteResult:
        """Delete an instance; one that is gone already (404, 409, 410) is no error."""
        of = id_of(instance_id)
        return drive(self._answer("delete", of, self._calls.delete(of)))

    def close(self) -> None:
        """Close the connections; the client can be used again."""
        if not self._keeps_open or self._io.closed:
            self._io.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


@public
class AsyncSmokeClient(ClientBase[AsyncIO]):
    """The same as `SmokeClient`, for coroutines, under asyncio and trio."""

    @staticmethod
    def _connecting(link: Link, clock: VirtualClock | None) -> AsyncIO:
        return async_io(link, clock)

    @counted
    async def provision(self, spec: InstanceSpec, idempotency_key: str) -> ProvisionAccepted:
        """Queue an instance; the same key never makes a second one."""
        key = text_of("idempotency_key", idempotency_key)
        asked = self._provision(spec_of(spec), key)
        return await self._answer("provision", f"(key {key})", asked)

    @counted
    async def poll(self, idempotency_key: str) -> PollResult:
        """Resolve a key to its instance; `found` is False until the row exists."""
        key = text_of("idempotency_key", idempotency_key)
        return await self._answer("poll", f"(key {key})", self._poll(key))

    @counted
    async def status(self, instance_id: str | UUID) -> InstanceStatus:
        """Read an instance; raises `NotFoundError` for one that the router does not know."""
        of = id_of(instance_id)
        return await self._answer("status", of, self._calls.status(of))

    def stream_chat(
        self, instance_id: str | UUID, message: str, *, timeout: float | None = None
    ) -> AsyncChatStream:
        """Begin a chat turn: an async context manager; see `SmokeClient.stream_chat`."""
        seconds = timeout_of(timeout, CHAT_TIMEOUT)
        return AsyncChatStream(self._turn(id_of(instance_id), text_of("message", message), seconds))

    @counted
    async def llm_events(
        self, instance_id: str | UUID, window_seconds: int | None = 900
    ) -> LlmEvents:
        """Count the LLM events of the last `window_seconds`; None for the router's default."""
        of = id_of(instance_id)
        window = None if window_seconds is None else window_of(window_seconds)
        return await self._answer("llm_events", of, self._calls.llm_events(of, window))

    @counted
    async def delete(self, instance_id: str | UUID) -> DeleteResult:
        """Delete an instance; one that is gone already (404, 409, 410) is no error."""
        of = id_of(instance_id)
        return await self._answer("delete", of, self._calls.delete(of))

    async def aclose(self) -> None:
        """Close the client."""
        if not self._keeps_open:
            await self._io.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.aclose()
