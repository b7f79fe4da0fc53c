"""What fixtures give to tests: shared instances, factories, and the six calls."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import cached_property, partial
from typing import Protocol

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec, PollResult, ProvisionAccepted, same_id
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._run.factory import AsyncSmokeInstanceFactory, SmokeInstanceFactory, merged
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.sharing import EVERYBODY, OF_A_CHECK, NotRunError, Sharing, Wanted
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.client import AnyIO, AsyncSmokeClient, ClientBase, SmokeClient
from pytest_hydrasmoke.instance import AsyncSmokeInstance, SmokeInstance

from .context import RunContext
from .needs import scope_node
from .refutations import Refutations
from .resources import Resources


class UsingTest(Protocol):
    """The running test, as what it uses knows it."""

    shared: Instance | None
    """The shared instance that it uses."""
    not_found: bool
    """Whether it failed because the router does not know something."""


class Fixtures:
    """Gives what fixtures, and the bundled checks, ask a process for."""

    def __init__(
        self,
        context: RunContext,
        *,
        resources: Resources,
        running_test: UsingTest,
        refutations: Refutations,
    ) -> None:
        self._context = context
        self._config = context.config
        self._resources = resources
        self._running_test = running_test
        self.refutations = refutations
        self._certain: Sequence[Wanted] = ()
        self._over: list[str] = []
        """The shares whose scope is over."""

    @property
    def _run(self) -> Run:
        return self._resources.run

    @cached_property
    def _sharing(self) -> Sharing:
        return Sharing(self._run, worker=not self._context.is_owner, certain=self._certain)

    def expect(self, certain: Sequence[Wanted]) -> None:
        """Learn what the collected tests are sure to share."""
        self._certain = certain

    def instance(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> SmokeInstance:
        """Return a handle on the instance that this test shares."""
        return SmokeInstance(self._run.handle(self._shared(request, spec)))

    def async_instance(
        self, request: pytest.FixtureRequest, spec: InstanceSpec
    ) -> AsyncSmokeInstance:
        """Return an async handle on the instance that this test shares."""
        instance = self._shared(request, spec)
        return AsyncSmokeInstance(self._run.handle(instance, AsyncIO(self._config.link)))

    def factory(self) -> SmokeInstanceFactory:
        """Return a factory; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return SmokeInstanceFactory(self._run)

    def async_factory(self) -> AsyncSmokeInstanceFactory:
        """Return a factory for coroutines; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return AsyncSmokeInstanceFactory(self._run, AsyncIO(self._config.link))

    def client(self) -> SmokeClient:
        """Return a client with connections of its own."""
        return RunClient(SyncIO(self._config.link), self._run)

    def async_client(self) -> AsyncSmokeClient:
        """Return an async client."""
        return AsyncRunClient(AsyncIO(self._config.link), self._run)

    def _skip_if_attached(self) -> None:
        if self._config.instance is not None:
            pytest.skip(f"attached to {self._config.instance}: nothing is provisioned")

    def _shared(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> Instance:
        changes = getattr(request, "param", None)
        # An override of `smoke_spec` may return anything.
        wanted = merged(None, spec) if changes is None else merged(merged(None, spec), changes)
        node = scope_node(request.node, self._config.scope)
        share = EVERYBODY if node is request.session else f"{self._context.shares_as} {node.nodeid}"
        instance = self._take(request, wanted, share, node)
        self._running_test.shared = instance
        return instance

    def of_a_check(self, request: pytest.FixtureRequest) -> SmokeInstance:
        """Return a handle on the instance that a bundled check has for itself, and deletes."""
        self._skip_if_attached()
        instance = self._take(request, self._config.spec, OF_A_CHECK, request.session)
        return SmokeInstance(self._run.handle(instance))

    def _take(
        self,
        request: pytest.FixtureRequest,
        spec: InstanceSpec,
        share: str,
        node: pytest.Item | pytest.Collector,
    ) -> Instance:
        if self._sharing.begins(share):
            node.addfinalizer(partial(self._over.append, share))
        try:
            instance = self._sharing.take(spec, share, request.node.nodeid)
        except NotRunError as error:
            self.refutations.skip(request.node.nodeid, str(error))
        self._run.uses(instance)
        self._resources.stage.changed(instance)  # Another process may have provisioned it.
        return instance

    def release(self) -> None:
        """Let other tests use what this process holds."""
        self._sharing.release()

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """End shares whose scope is over, once the last report of a test is in.

        Around all others, so that no test's own time limit is still running.
        """
        result = yield
        if self._over:
            self._sharing.end(self._over)
            self._over.clear()
        if self._running_test.not_found:
            self._sharing.give_up_if_gone(item.nodeid)
        self._sharing.release()
        return result


class _RunClient(ClientBase[AnyIO]):
    """A client over an IO that a run's settings have shaped."""

    def __init__(self, io: AnyIO, run: Run) -> None:
        self._use(io, run.reading, run.by_hand, replay=run.replay)
        self._run, self._end = run, run.config.chat_end

    def _target_of(self, instance_id: str) -> ChatTarget:
        """Return the target of a chat, which may be outside of the run.

        The run knows of the turn all the same, if it knows the instance.
        """
        run = self._run
        run.permit()
        known = next((it for it in run.instances if same_id(it.id, instance_id)), None)
        if known is None:
            return ChatTarget(story=Story(id=instance_id), run_turns=RunTurns(stage=run.stage))
        known.scene = run.stage.scene  # Its test's conversation has begun.
        return known.target.beside(instance_id)

    async def _provision(self, spec: InstanceSpec, key: str) -> ProvisionAccepted:
        self._run.permit()
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
