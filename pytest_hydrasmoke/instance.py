"""The instances that tests use: thin, sync and async, over `_core.handle`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Self

from pytest_hydrasmoke._api.models import InstanceSpec, InstanceStatus, LlmEvents
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._core.counting import RECENT
from pytest_hydrasmoke._core.expected import expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.open_calls import counted
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.turn import AsyncChatStream, AsyncChatTurn, ChatStream, ChatTurn


class _Instance:
    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @property
    def id(self) -> str:
        """The router's id of the instance, a UUID."""
        return self._handle.id

    @property
    def idempotency_key(self) -> str | None:
        """The key it was provisioned under; None if it is only attached (`instance`)."""
        return self._handle.instance.key

    @property
    def spec(self) -> InstanceSpec | None:
        """What was provisioned; None if it is only attached (`instance`)."""
        return self._handle.instance.target.spec

    @property
    def hostname(self) -> str | None:
        """The name of its host; None until a status has reported it."""
        return self._handle.instance.hostname

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._handle.instance.name}>"


@public
class SmokeInstance(_Instance):
    """A handle on one instance; as a context manager it deletes the instance at its end."""

    def status(self) -> InstanceStatus:
        """Read the router's status of the instance."""
        return drive(self._handle.status())

    def chat(self, message: str, *, timeout: float | None = None) -> ChatTurn:
        """Send a message and wait for the whole reply.

        `message` has at most 4,000 characters; `timeout` in seconds, `chat_timeout` if None.
        Raises `ChatError`, `ChatBusyError`, `ChatTimeoutError`, `RejectedError` and other kinds of
        `RouterError`, `TransportError`, `ContractError`. A message is sent once, unless the
        router says that it did not accept it (409, 425, 429, 503). The limits are 1 MiB for an
        event, and 16 MiB, 100,000 events and 32 MiB of memory for a turn; a turn beyond them is
        stopped.
        """
        return ChatTurn(*drive(self._handle.chat(message, timeout)), self._handle)

    def stream_chat(self, message: str, *, timeout: float | None = None) -> ChatStream:
        """Send a message and yield the events as they arrive: `with ... as events:`."""
        return ChatStream(self._handle.turn(message, timeout), self._handle)

    def llm_events(self, window_seconds: int = RECENT) -> LlmEvents:
        """Count the instance's LLM events of the last `window_seconds`."""
        return drive(self._handle.llm_events(window_seconds))

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
        """Wait until it has these LLM events in the last 900 s, whichever turn they belong to.

        See `ChatTurn.expect_llm_events` for what can be expected. `timeout` in seconds,
        `llm_events_timeout` if None. Raises `LlmEventsError`.
        """
        what = expected(at_least, at_most, providers, exactly, only)
        return drive(self._handle.expect(what, timeout))

    def wait(
        self,
        ready: Callable[[InstanceStatus], bool],
        *,
        error: Callable[[InstanceStatus], bool] | None = None,
        timeout: float | None = None,
    ) -> InstanceStatus:
        """Read the status until `ready` returns true for it, and return it.

        `timeout` in seconds, `ready_timeout` if None. Raises `ProvisionError` if `error` returns
        true, and `ProvisionTimeoutError` with the last status seen.
        """
        return drive(self._handle.wait(ready, error, timeout))

    def delete(self) -> None:
        """Delete it and confirm that; does nothing if it is deleted. Raises `LeakError`."""
        drive(self._handle.delete())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *raised: object) -> None:
        drive(self._handle.leave(failed=kind is not None))


@public
class AsyncSmokeInstance(_Instance):
    """The same as `SmokeInstance`, for coroutines."""

    @counted
    async def status(self) -> InstanceStatus:
        """Read the router's status of the instance."""
        return await self._handle.status()

    @counted
    async def chat(self, message: str, *, timeout: float | None = None) -> AsyncChatTurn:
        """Send a message and wait for the whole reply; see `SmokeInstance.chat`."""
        return AsyncChatTurn(*await self._handle.chat(message, timeout), self._handle)

    def stream_chat(self, message: str, *, timeout: float | None = None) -> AsyncChatStream:
        """Send a message and yield the events as they arrive: `async with ... as events:`."""
        return AsyncChatStream(self._handle.turn(message, timeout), self._handle)

    @counted
    async def llm_events(self, window_seconds: int = RECENT) -> LlmEvents:
        """Count the instance's LLM events of the last `window_seconds`."""
        return await self._handle.llm_events(window_seconds)

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
        """Wait until it has these LLM events; see `SmokeInstance.expect_llm_events`."""
        what = expected(at_least, at_most, providers, exactly, only)
        return await self._handle.expect(what, timeout)

    @counted
    async def wait(
        self,
        ready: Callable[[InstanceStatus], bool],
        *,
        error: Callable[[InstanceStatus], bool] | None = None,
        timeout: float | None = None,
    ) -> InstanceStatus:
        """Read the status until `ready` returns true for it; see `SmokeInstance.wait`."""
        return await self._handle.wait(ready, error, timeout)

    @counted
    async def delete(self) -> None:
        """Delete it and confirm that; does nothing if it is deleted. Raises `LeakError`."""
        await self._handle.delete()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *raised: object) -> None:
        await self._handle.leave(failed=kind is not None)
