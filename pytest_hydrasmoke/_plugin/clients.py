"""The six calls for a run's tests: the run knows their turns, and owns what they provision."""

from __future__ import annotations

from pytest_hydrasmoke._api.models import InstanceSpec, PollResult, ProvisionAccepted, plain_id
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.client import AnyIO, AsyncSmokeClient, ClientBase, SmokeClient

__tracebackhide__ = hide_own_frames


class _RunClient(ClientBase[AnyIO]):
    """A client over an IO that a run's settings have shaped."""

    def __init__(self, io: AnyIO, run: SmokeSession) -> None:
        self._use(io, run.reading, run.by_hand, replay=run.replay)
        self._run, self._end = run, run.config.chat_end

    def _record_of(self, instance_id: str) -> Beside:
        """Return the record of a chat with an instance, which may be outside of the run.

        The run knows of the turn all the same, if it knows the instance.
        """
        run, same = self._run, plain_id(instance_id)
        known = next((it for it in run.records if plain_id(it.id or "") == same), None)
        if known is not None:
            known.scene = run.stage.scene  # Its test's conversation has begun.
        return Beside(instance_id, known, RunTurns(stage=run.stage))

    async def _provision(self, spec: InstanceSpec, key: str) -> ProvisionAccepted:
        return await self._run.by_hand.provision(self._calls, spec, key, is_own=self._is_own)

    async def _poll(self, key: str) -> PollResult:
        found = await super()._poll(key)
        if self._is_own:
            self._run.by_hand.saw(key, found)
        return found


class RunClient(_RunClient[SyncIO], SmokeClient):
    """A run's blocking client."""


class AsyncRunClient(_RunClient[AsyncIO], AsyncSmokeClient):
    """A run's client for coroutines."""
