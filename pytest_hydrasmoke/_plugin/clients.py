"""The six calls for a run's tests: the run knows their turns, and owns what they provision."""

from __future__ import annotations

from pytest_hydrasmoke._api.models import InstanceSpec, PollResult, ProvisionAccepted, plain_id
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.client import AsyncSmokeClient, ClientBase, SmokeClient

__tracebackhide__ = hide_own_frames


class _RunClient(ClientBase):
    """Base of a run's clients."""

    def _join(self, run: SmokeSession) -> None:
        self._run, self._end = run, run.config.chat_end
        self._own_calls = self._calls
        """Calls with the run's own token."""

    def _descends(self, other: _RunClient, *, with_its_token: bool) -> None:
        if not with_its_token or other._calls is not other._own_calls:
            self._own_calls = other._own_calls

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
        return await self._run.by_hand.provision(self._calls, spec, key, self._own_calls)

    async def _poll(self, key: str) -> PollResult:
        found = await super()._poll(key)
        if self._calls is self._own_calls:
            self._run.by_hand.saw(key, found)
        return found


class RunClient(_RunClient, SmokeClient):
    """A client over an IO that a run's settings have shaped."""

    def __init__(self, io: SyncIO, run: SmokeSession) -> None:
        self._use(io, run.reading, run.sightings, replay=run.replay)
        self._join(run)

    def _beside(self, io: SyncIO) -> RunClient:
        client = RunClient(io, self._run)
        client._descends(self, with_its_token=io.link.left_out != self._io.link.left_out)
        return client


class AsyncRunClient(_RunClient, AsyncSmokeClient):
    """An async client over an IO that a run's settings have shaped."""

    def __init__(self, io: AsyncIO, run: SmokeSession) -> None:
        self._use(io, run.reading, run.sightings, replay=run.replay)
        self._join(run)

    def _beside(self, io: AsyncIO) -> AsyncRunClient:
        client = AsyncRunClient(io, self._run)
        client._descends(self, with_its_token=io.link.left_out != self._io.link.left_out)
        return client
