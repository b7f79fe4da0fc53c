"""The six calls for a run's tests: the run knows their turns, and owns what they provision."""

from __future__ import annotations

from collections.abc import Callable

from pytest_hydrasmoke._api.calls import Observer
from pytest_hydrasmoke._api.models import InstanceSpec, PollResult, ProvisionAccepted
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._core.chat import Turn
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.turn_end import EndRule
from pytest_hydrasmoke._core.turn_log import TurnLog
from pytest_hydrasmoke._core.turn_observers import LogObserver
from pytest_hydrasmoke._run.by_hand import ByHand
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.client import AsyncSmokeClient, ClientBase, SmokeClient

__tracebackhide__ = hide_own_frames


def no_log(instance_id: str) -> TurnLog:
    """Return a log for an instance that nobody else uses."""
    return TurnLog()


class _RunClient(ClientBase):
    """Base of a run's clients: the run knows their turns, and what they provision.

    `observer` sees the outcome of their calls; `log_of` returns the turn log of an instance id.
    """

    def _join(
        self,
        observer: Observer | None,
        log_of: Callable[[str], TurnLog],
        end: EndRule,
        by_hand: ByHand | None,
        *,
        replay: bool,
    ) -> None:
        self._observer = observer
        self._log_of = log_of
        self._end: EndRule = end
        self._by_hand = by_hand
        self._replay = replay
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
        *,
        replay: bool = False,
    ) -> None:
        self._use(io, reading, observer, replay=replay)
        self._join(observer, log_of, end, by_hand, replay=replay)

    def _beside(self, io: SyncIO) -> RunClient:
        client = RunClient(
            io,
            self._reading,
            self._observer,
            self._log_of,
            self._end,
            self._by_hand,
            replay=self._replay,
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
        *,
        replay: bool = False,
    ) -> None:
        self._use(io, reading, observer, replay=replay)
        self._join(observer, log_of, end, by_hand, replay=replay)

    def _beside(self, io: AsyncIO) -> AsyncRunClient:
        client = AsyncRunClient(
            io,
            self._reading,
            self._observer,
            self._log_of,
            self._end,
            self._by_hand,
            replay=self._replay,
        )
        client._proved = self._proved
        return client
