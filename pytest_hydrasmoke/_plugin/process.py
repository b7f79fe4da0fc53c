"""One process of a run: what it knows and owns, and what its fixtures give to tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import HydraSmokeError, hide_own_frames
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.events import CutShort, NotRun
from pytest_hydrasmoke._journal.journal import Journal, Tail
from pytest_hydrasmoke._report.live import Progress
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.factory import AsyncSmokeInstanceFactory, SmokeInstanceFactory, merged
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.locks import MAIN
from pytest_hydrasmoke._run.preflight import FIRST_ANSWER_TIMEOUT, WaitingAloud
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._run.sharing import EVERYBODY, OF_A_CHECK, NotRunError, Sharing, Wanted
from pytest_hydrasmoke._settings.model import HydraSmokeConfig
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.client import AsyncSmokeClient, SmokeClient
from pytest_hydrasmoke.instance import AsyncSmokeInstance, SmokeInstance

from .clients import AsyncRunClient, RunClient
from .needs import Selection, scope_node
from .pytest_stage import PytestStage
from .replaying import Replaying
from .running_test import RunningTest

if TYPE_CHECKING:
    from pytest_hydrasmoke._recordings.store import Recordings
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter, Scenario

__tracebackhide__ = hide_own_frames


@dataclass(kw_only=True, eq=False, repr=False)
class Process:
    """A process that takes part in a run: one object for all of its plugins."""

    pytestconfig: pytest.Config
    config: HydraSmokeConfig
    interrupts: Interrupts
    forms: Forms | None
    """The router's own forms; None in a run that deletes nothing."""
    fake: bool
    """Whether the bundled fake is the router."""
    router: FakeRouter | None = None
    """The fake, in a process that serves one."""
    table: Path | None = None
    """The file whose table of settings was read."""
    # In the main process.
    recordings: Recordings | None = None
    """The folder that the run records into, which the main process holds."""
    loaded: Loaded | None = None
    """Where the settings came from."""
    begun: Report | None = None
    """The run's report as it was at its start."""
    # In a worker of xdist.
    worker: str | None = None
    """Its name."""
    alone: bool = False
    """Whether it is a run of its own: on another host, or where recordings are replayed."""
    beside: Path | None = None
    """The folder of the main process's run, where it is alone on the same host."""

    def __post_init__(self) -> None:
        self._pid = os.getpid()
        self.scrub = scrubbing(self.config.token)
        run_id, replies = self.config.run_id, self.config.report_replies
        self.ledger = Ledger(
            *(self.config.output, run_id),
            fake=self.fake,
            commands=self.config.commands,
            clean=self.scrub,
        )
        self.ledger.begin(self._shares_as)
        name = self.worker or MAIN
        # One that is a run of its own here writes beside the others, which are read as they write.
        folder = self.beside or self.ledger.folder
        self.journal = Journal(folder, name, run_id, self.scrub, replies=replies)
        self.progress = Progress(self.pytestconfig, Tail(folder, name), self.interrupts, self.scrub)
        self.journal.on_entry = self.progress.saw
        router = self.router
        self.replaying = (
            None
            if router is None or router.scenario.recordings is None
            else Replaying(self.pytestconfig, router)
        )
        self.stage = PytestStage(self.replaying, self.config.new_conversation)
        self.selection = Selection(self.pytestconfig)
        """Whether the run covers all tests."""
        self.running_test = RunningTest(self)
        self.certain: Sequence[Wanted] = ()
        """What the collected tests are sure to share."""
        self._over: list[str] = []
        """The shares whose scope is over."""

    @property
    def elsewhere(self) -> bool:
        """Whether it is a worker on another host, where it sees only a part of the tests."""
        return self.alone and self.beside is None

    @property
    def is_owner(self) -> bool:
        """Whether it looks after all instances of its run: not a worker that shares it."""
        return self.alone or self.worker is None

    @property
    def _shares_as(self) -> str:
        """Its name among those that share instances."""
        return MAIN if self.alone or self.worker is None else self.worker

    @property
    def forked(self) -> bool:
        """Whether this is a child forked by a test, which takes no part in the run."""
        return os.getpid() != self._pid

    @cached_property
    def run(self) -> SmokeSession:
        """What this process owns; created at first use, when all hooks are known."""
        run = SmokeSession(
            self.config,
            self.ledger,
            self.interrupts,
            self.reading,
            self.stage,
            forms=self.forms,
            replay=None if self.replaying is None else self.replaying.replay,
            tell=self.journal.note,
        )
        self.running_test.records, self.stage.handle_of = run.records, run.handle
        if self.router is not None:
            from pytest_hydrasmoke.fake.router import to_come

            run.policy.router.to_come = partial(to_come, self.router)
        return run

    @cached_property
    def _sharing(self) -> Sharing:
        return Sharing(self.run, worker=self._shares_as != MAIN, certain=self.certain)

    @cached_property
    def reading(self) -> Reading:
        """How events are understood: calls the hooks only if a plugin implements them."""
        hook = self.pytestconfig.hook
        text, end = hook.pytest_hydra_smoke_chat_text, hook.pytest_hydra_smoke_chat_end
        return Reading(
            (lambda event: text(event=event)) if text.get_hookimpls() else None,
            (lambda event: end(event=event)) if end.get_hookimpls() else None,
            self.config.report_replies,
        )

    def end(self) -> None:
        """Let go of all that this process holds, as the last thing in a run."""
        self._sharing.release()
        if self.is_owner:
            self.journal.discard(self.ledger.folder)
        self.ledger.end()
        self.interrupts.leave()
        if self.router is not None:
            self.router.__exit__(None, None, None)

    # Called by fixtures

    def instance(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> SmokeInstance:
        """Return a handle on the instance that this test shares."""
        return SmokeInstance(self.run.handle(self._shared(request, spec)))

    def async_instance(
        self, request: pytest.FixtureRequest, spec: InstanceSpec
    ) -> AsyncSmokeInstance:
        """Return an async handle on the instance that this test shares."""
        record = self._shared(request, spec)
        return AsyncSmokeInstance(self.run.handle(record, AsyncIO(self.config.link)))

    def factory(self) -> SmokeInstanceFactory:
        """Return a factory; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return SmokeInstanceFactory(self.run)

    def async_factory(self) -> AsyncSmokeInstanceFactory:
        """Return a factory for coroutines; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return AsyncSmokeInstanceFactory(self.run, AsyncIO(self.config.link))

    def client(self) -> SmokeClient:
        """Return a client with connections of its own."""
        return RunClient(SyncIO(self.config.link), self.run)

    def async_client(self) -> AsyncSmokeClient:
        """Return an async client."""
        return AsyncRunClient(AsyncIO(self.config.link), self.run)

    def _skip_if_attached(self) -> None:
        if self.config.instance is not None:
            pytest.skip(f"attached to {self.config.instance}: nothing is provisioned")

    def _shared(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> InstanceRecord:
        changes = getattr(request, "param", None)
        # An override of `smoke_spec` may return anything.
        wanted = merged(None, spec) if changes is None else merged(merged(None, spec), changes)
        node = scope_node(request.node, self.config.scope)
        share = EVERYBODY if node is request.session else f"{self._shares_as} {node.nodeid}"
        record = self.running_test.shared = self._take(request, wanted, share, node)
        return record

    def of_a_check(self, request: pytest.FixtureRequest) -> SmokeInstance:
        """Return a handle on the instance that a bundled check has for itself, and deletes."""
        self._skip_if_attached()
        record = self._take(request, self.config.spec, OF_A_CHECK, request.session)
        return SmokeInstance(self.run.handle(record))

    def _take(
        self,
        request: pytest.FixtureRequest,
        spec: InstanceSpec,
        share: str,
        node: pytest.Item | pytest.Collector,
    ) -> InstanceRecord:
        if self._sharing.begins(share):
            node.addfinalizer(partial(self._over.append, share))
        try:
            record = self._sharing.take(spec, share, request.node.nodeid)
        except NotRunError as error:
            self.not_run(request.node.nodeid, str(error))
        self.run.uses(record)
        self.stage.changed(record)  # Another process may have provisioned it.
        return record

    def refuted(self, call: str, test: str) -> str | None:
        """Return how another test has shown that a call does not work; None if none has."""
        known = self.ledger.look().refuted.get(call)
        return None if known is None or known.test == test else known.why

    def tell(self, call: str, test: str, why: str | None) -> None:
        """Tell all processes, if possible, that a test has shown a call not to work.

        None takes that back, if it was this test. Hooks call this: it raises nothing.
        """
        with suppress(OSError):
            known = self.ledger.read().refuted.get(call)
            if why is not None or (known is not None and known.test == test):
                self.ledger.refute(call, test, why)

    def not_run(self, test: str, why: str) -> NoReturn:
        """Skip a test that needs what another one has shown not to work."""
        self.journal.note(NotRun(test, why))
        pytest.skip(self.scrub(f"not run: {why}"))

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """End shares whose scope is over, once the last report of a test is in.

        Outermost, so that no test's own time limit is still running.
        """
        self.running_test.test_begins(item.nodeid)
        try:
            result = yield
        except BaseException:
            # Now, because the clean-up that follows uses all instances.
            if self.running_test.used or item.get_closest_marker("hydra_smoke"):
                self.journal.note(CutShort(item.nodeid))
            raise
        if self._over:
            self._sharing.end(self._over)
            self._over.clear()
        if self.running_test.not_found:
            self._sharing.give_up_if_gone(item.nodeid)
        self._sharing.release()
        return result


def serve(scenario: Scenario | None) -> FakeRouter:
    """Serve the bundled fake in this process."""
    from pytest_hydrasmoke.fake import FakeRouter

    # Until `pytest_unconfigure`, which pytest calls however the run ends.
    return FakeRouter(scenario).__enter__()


def address_of(router: FakeRouter) -> dict[str, Any]:
    """Return the settings that make a fake the router of a run."""
    return {"url": router.url, "token": Token(router.token)}


def stand_before_agent(
    router: FakeRouter, config: HydraSmokeConfig, url: str, say: Callable[[str], None]
) -> HydraSmokeConfig:
    """Have the agent at a URL answer the fake's chats; return the settings with its model.

    Raises `HydraSmokeError` if it can't be used.
    """
    from pytest_hydrasmoke.fake.agent import Agent
    from pytest_hydrasmoke.fake.agent_events import AgentError

    token = None if config.agent_token is None else config.agent_token.reveal()
    agent = Agent(url, config.agent_api, config.agent_model, token, config.new_conversation)
    try:
        with WaitingAloud(url, say) as waiting:
            agent.check(min(FIRST_ANSWER_TIMEOUT, config.ready_timeout), waiting.again)
    except AgentError as problem:
        raise HydraSmokeError(safe_line(str(problem), 1000)) from None
    agent.answer_chats_of(router)
    return config.model_copy(update={"agent_model": agent.model})
