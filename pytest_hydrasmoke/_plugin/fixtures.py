"""What the active plugin provides to tests."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import cached_property

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.account import ToCome
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord, Origin
from pytest_hydrasmoke._journal.events import CutShort, RunsCounted
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._run.factory import AsyncSmokeInstanceFactory, SmokeInstanceFactory, merged
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.locks import MAIN
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._run.sharing import EVERYBODY, Sharing
from pytest_hydrasmoke._settings.model import HydraSmokeConfig
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.client import AsyncSmokeClient, SmokeClient
from pytest_hydrasmoke.instance import AsyncSmokeInstance, SmokeInstance

from .clients import AsyncRunClient, OfRun, RunClient
from .failures import Failures
from .replay import Replaying
from .scopes import scope_node
from .selection import Selection
from .stage import READY, Stage

__tracebackhide__ = hide_own_frames


class Active:
    """The run as fixtures see it: one object for each process that runs tests."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        config: HydraSmokeConfig,
        ledger: Ledger,
        interrupts: Interrupts,
        journal: Journal,
        forms: Forms | None = None,
        *,
        worker: str | None = None,
        replaying: Replaying | None = None,
        to_come: ToCome | None = None,
    ) -> None:
        self.config = config
        self._pytest = pytest_config
        self._ledger = ledger
        self._interrupts = interrupts
        self.journal = journal
        self.forms = forms
        """The router's own forms, for the processes that delete; None where none does."""
        self._worker = worker
        self.replaying = replaying
        self._to_come = to_come
        self.stage = Stage(replaying)
        """Whose instances are claimed, and whose chats are under way."""
        self.selection = Selection(pytest_config)
        """Whether the run covers all tests."""
        self.failures = Failures(pytest_config, config, journal)
        """Which failures count against which instances."""
        self.on_turn: Callable[[OpenTurn], None] = lambda turn: None
        """Told of each turn before its message leaves: the recorder's, where there is one."""
        self.run: int | None = None
        """The current run of the test's body, from 1, where it has several."""
        self._test = ""
        self._in_teardown = False
        self._session: SmokeSession | None = None
        self._sharing: Sharing | None = None
        self._over: list[str] = []

    @property
    def session(self) -> SmokeSession:
        """What this process owns; created at first use."""
        if self._session is None:
            self._session = SmokeSession(
                self.config,
                self._ledger,
                self._interrupts,
                self.reading,
                on_ready=self._is_ready,
                on_state=self._claimed,
                forms=self.forms,
                test=lambda: self._test,
                origin=self._claims,
                on_turn=self.on_turn if self.replaying is None else self._asks,
                run=lambda: self.run,
                replay=None if self.replaying is None else self.replaying.replay,
                tell=self.journal.note,
                in_teardown=lambda: self._in_teardown,
            )
            self.failures.follow(self._session.records)
            self._session.policy = replace(self._session.policy, to_come=self._to_come)
        return self._session

    def _claimed(self, record: InstanceRecord) -> None:
        if self.replaying is not None:
            self.replaying.claims(record)

    def _claims(self) -> Origin | None:
        if self.replaying is not None:
            # Instances that several threads claim are not numbered in a certain order.
            self.replaying.flows.goes(self.stage.owner, self.stage.run, None)
        return self.stage.claims()

    def _asks(self, turn: OpenTurn) -> None:
        """Note a turn of a replay, which is not recorded."""
        assert self.replaying is not None
        self.replaying.flows.goes(self.stage.owner, self.stage.run, turn.record.key)

    def _is_ready(self, instance: SmokeInstance) -> None:
        with self.stage.on(READY):
            self._pytest.hook.pytest_hydra_smoke_instance_ready(instance=instance)

    @property
    def sharing(self) -> Sharing:
        """This process's part in the shared instances."""
        if self._sharing is None:
            self._sharing = Sharing(self.session, worker=self._worker is not None)
        return self._sharing

    @cached_property
    def reading(self) -> Reading:
        """How events are understood: calls the hooks only if a plugin implements them."""
        hook = self._pytest.hook
        text, end = hook.pytest_hydra_smoke_chat_text, hook.pytest_hydra_smoke_chat_end
        return Reading(
            (lambda event: text(event=event)) if text.get_hookimpls() else None,
            (lambda event: end(event=event)) if end.get_hookimpls() else None,
            self.config.report_replies,
        )

    # Called by fixtures

    def instance(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> SmokeInstance:
        """Return a handle on the instance that this test shares."""
        return SmokeInstance(self.session.handle(self._shared(request, spec)))

    def async_instance(
        self, request: pytest.FixtureRequest, spec: InstanceSpec
    ) -> AsyncSmokeInstance:
        """Return an async handle on the instance that this test shares."""
        record = self._shared(request, spec)
        return AsyncSmokeInstance(self.session.handle(record, AsyncIO(self.config.link)))

    def factory(self) -> SmokeInstanceFactory:
        """Return a factory; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return SmokeInstanceFactory(self.session)

    def async_factory(self) -> AsyncSmokeInstanceFactory:
        """Return a factory for coroutines; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return AsyncSmokeInstanceFactory(self.session, AsyncIO(self.config.link))

    def client(self) -> SmokeClient:
        """Return a client with connections of its own."""
        return RunClient(SyncIO(self.config.link), self.reading, self._of_run())

    def async_client(self) -> AsyncSmokeClient:
        """Return an async client."""
        return AsyncRunClient(AsyncIO(self.config.link), self.reading, self._of_run())

    def _of_run(self) -> OfRun:
        session = self.session
        return OfRun(
            session.sightings,
            session.beside,
            self.config.chat_end,
            session.by_hand,
            replay=session.replay,
        )

    def _skip_if_attached(self) -> None:
        if self.config.instance is not None:
            pytest.skip(f"attached to {self.config.instance}: nothing is provisioned")

    def _shared(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> InstanceRecord:
        changes = getattr(request, "param", None)
        # An override of `smoke_spec` may return anything.
        wanted = merged(None, spec) if changes is None else merged(merged(None, spec), changes)
        node = scope_node(request.node, self.config.scope)
        share = EVERYBODY if node is request.session else f"{self._worker or MAIN} {node.nodeid}"
        if self.sharing.begins(share):
            node.addfinalizer(lambda: self._over.append(share))
        record = self.sharing.take(wanted, share, request.node.nodeid)
        self.failures.shares(request.node.nodeid, record)
        self.session.uses(record)
        self._claimed(record)  # Another process may have provisioned it.
        return record

    def next_run(self, test: str, number: int, passed: int, most: int) -> None:
        """Begin a run of a test's body, of `most`; so many of the earlier ones have passed."""
        self.run = number
        if number > 1:
            self.stage.next_run()
        self.journal.note(RunsCounted(test, number, passed, most))

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """End shares whose scope is over, once the last report of a test is in.

        Outermost, so that no test's own time limit is still running.
        """
        self._test = item.nodeid
        self.failures.test_begins(item.nodeid)
        try:
            result = yield
        except BaseException:
            # Now, because the clean-up that follows uses all instances.
            if self.failures.used_by(item.nodeid) or item.get_closest_marker("hydra_smoke"):
                self.journal.note(CutShort(item.nodeid))
            self._test = ""  # What clean-up uses, no test does.
            raise
        while self._over:
            self.sharing.end(self._over.pop())
        if self.failures.not_found and self._sharing is not None:
            self._sharing.give_up_if_gone(item.nodeid)
        self.release()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._in_teardown = False  # Plugins may run a test again.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        self._in_teardown = True

    def ran(self, test: str, began: int, passed: int, most: int) -> None:
        """Record how often a test's body was run so far, and how often that passed."""
        self.journal.note(RunsCounted(test, began, passed, most))
        self.failures.runs = began, passed

    def release(self) -> None:
        """Release what the last test shared."""
        if self._sharing is not None:
            self._sharing.release()
