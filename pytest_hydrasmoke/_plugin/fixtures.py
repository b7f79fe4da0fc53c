"""What the active plugin provides to tests, and which failures count against which instances."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import cached_property
from typing import cast

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import HydraSmokeError, NotFoundError, hide_own_frames
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.pytest_internals import add_section, failure_words
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.text import safe_text
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.moments import Failure
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.tape import Tape
from pytest_hydrasmoke._core.turn_log import TurnLog
from pytest_hydrasmoke._report import junit, turns
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

from .cases import USED
from .clients import AsyncRunClient, RunClient
from .replay import AT_ONCE, Replaying
from .runs import RUNS
from .selection import Selection
from .stage import READY, Stage

__tracebackhide__ = hide_own_frames

FAILED = "hydra_smoke_failed"
"""An attribute of a failed test's report: keys of the instances that its failure counts against."""


class Active:
    """The run as fixtures see it: one object for each process that runs tests."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        config: HydraSmokeConfig,
        ledger: Ledger,
        interrupts: Interrupts,
        forms: Forms | None = None,
        *,
        worker: str | None = None,
        replaying: Replaying | None = None,
        at_once: bool = False,
        on_change: Callable[[InstanceRecord], None] = lambda record: None,
        run_begins: Callable[[str, str, float], None] = lambda test, words, lasted: None,
    ) -> None:
        self.config = config
        self._pytest = pytest_config
        self._ledger = ledger
        self._interrupts = interrupts
        self.forms = forms
        """The router's own forms, for the processes that delete; None where none does."""
        self._worker = worker
        self.replaying = replaying
        self._at_once = at_once
        self._on_change = on_change
        self.run_begins = run_begins
        """Called before a test's next run: the test, its runs so far, the last one's duration."""
        self.stage = Stage(replaying)
        """Whose instances are claimed, and whose chats are under way."""
        self.selection = Selection(pytest_config)
        """Whether the run covers all tests."""
        self.tape: Callable[[TurnLog, str], Tape | None] = lambda log, message: None
        """Begins to record a turn."""
        self.run: int | None = None
        """The current run of the test's body, from 1, where it has several."""
        self._test = ""
        self._test_began = 0.0
        """When it was last set up, on the clock of its turns; plugins may run it again."""
        self._not_found = False
        """Whether the test failed because the router does not know something."""
        self._scrub = scrubbing(config.token)
        self._used: dict[str, InstanceRecord] = {}
        self._session: SmokeSession | None = None
        self._sharing: Sharing | None = None
        self._over: list[str] = []
        self._causes: dict[tuple[str, str | None], list[Failure]] = {}
        """Failures behind each report, until it is logged."""
        self._to_be_cured: dict[str, list[Failure]] = {}
        """Errors of single runs, for tests whose body runs several times."""

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
                on_change=self._changed,
                forms=self.forms,
                test=lambda: self._test,
                origin=self.stage.claims,
                tape=self.tape,
                run=lambda: self.run,
                replay=self.replaying is not None,
            )
            if self._at_once:
                self._session.policy = replace(
                    self._session.policy, second_look=AT_ONCE, counted_at_end=True
                )
        return self._session

    def _changed(self, record: InstanceRecord) -> None:
        if self.replaying is not None:
            self.replaying.claims(record)
        self._on_change(record)

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
        return AsyncSmokeInstance(self.session.handle_async(AsyncIO(self.config.link), record))

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
        io, session = SyncIO(self.config.link), self.session
        return RunClient(
            io,
            self.reading,
            session.sightings,
            session.log_of,
            self.config.chat_end,
            session.by_hand,
            replay=session.replay,
        )

    def async_client(self) -> AsyncSmokeClient:
        """Return an async client."""
        io, session = AsyncIO(self.config.link), self.session
        return AsyncRunClient(
            io,
            self.reading,
            session.sightings,
            session.log_of,
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
        self._used[request.node.nodeid] = record
        self._changed(record)  # Another process may have provisioned it.
        return record

    def next_run(self, test: str, number: int, words: str, lasted: float) -> None:
        """Note that a run of a test's body begins: its runs so far, and the last duration."""
        self.run = number
        if number > 1:
            self.stage.next_run()
            self.run_begins(test, words, lasted)

    def run_failed(self, test: str, error: BaseException) -> None:
        """Note the error of one of a test's runs: it counts if the test fails."""
        self._causes.setdefault((test, "call"), []).extend(failures_of(error))

    # Hooks

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Find which recorded failures made a test fail, by its exception."""
        if call.excinfo is not None and call.when == "setup":
            advise_on_scope(call.excinfo.value)
        report = yield
        if call.excinfo is not None:
            causes = self._causes.setdefault((report.nodeid, report.when), [])
            causes.extend(failures_of(call.excinfo.value))
            self._not_found |= any(
                isinstance(error, NotFoundError) for error in errors_in(call.excinfo.value)
            )
        if hasattr(report, RUNS) and junit.tests_may_carry(self._pytest):
            report.user_properties += junit.of_runs(*getattr(report, RUNS))
        if report.failed and (chats := self._turns_of(report.nodeid)):
            words = turns.section(chats, replies=self.config.report_replies)
            add_section(report, turns.TITLE, self._scrub(words))
        return report

    def _turns_of(self, test: str) -> list[turns.Turn]:
        """Return a test's turns in order, without those of an earlier attempt."""
        if self._session is None:
            return []
        found = [
            (record.reference or "?", turn)
            for record in self._session.records
            for turn in record.turns
            if turn.test == test and turn.at >= self._test_began
        ]
        return sorted(found, key=lambda it: it[1].at)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._test_began = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record, for `keep` and for the run's story, which instances a failed test used.

        The report carries it to xdist's main process, before a worker sends it.
        """
        if self._session is None:
            return
        records = self._session.records
        used = self._used.get(report.nodeid)
        causes = self._causes.pop((report.nodeid, report.when), [])
        using = [record for record in records if record.touched or record is used]
        if report.when != "teardown":  # Fixtures of other tests end there, too.
            setattr(report, USED, [record.reference for record in using])
        # Plugins that run a test again report an outcome of their own.
        if report.failed or str(report.outcome) == "rerun":
            words = safe_text(failure_words(report))
            failures = self._session.test_failed(report.nodeid, words, causes, using)
            if report.failed:
                for record in using:
                    record.failed = True
                setattr(report, FAILED, [record.key for record in using if record.key is not None])
            else:
                self._to_be_cured.setdefault(report.nodeid, []).extend(failures)
        elif report.when == "call" and report.passed:
            for failure in self._to_be_cured.pop(report.nodeid, []):
                failure.cured = True
        if junit.tests_may_carry(self._pytest):
            replies = self.config.report_replies
            for record in records:
                failed_of_it = any(one.test == report.nodeid for one in record.failures)
                if failed_of_it or record is used:
                    report.user_properties += junit.of_test(record, replies=replies)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """End shares whose scope is over, once the last report of a test is in.

        Outermost, so that no test's own time limit is still running.
        """
        self._test = item.nodeid
        self._not_found = False
        if self._session is not None:
            for record in self._session.records:
                record.touched = False
        result = yield
        while self._over:
            self.sharing.end(self._over.pop())
        if self._not_found and self._sharing is not None:
            self._sharing.give_up_if_gone(item.nodeid)
        self.release()
        return result

    def release(self) -> None:
        """Release what the last test shared."""
        if self._sharing is not None:
            self._sharing.release()


def advise_on_scope(error: BaseException) -> None:
    """Extend pytest's ScopeMismatch message with what to use there."""
    words = str(error)
    if isinstance(error, pytest.fail.Exception) and re.match(r"ScopeMismatch: .*smoke_", words):
        error.msg = (
            f"{words}\nhydra-smoke: a fixture of wider scope takes its instance from "
            "smoke_instance_factory: docs/how-to/use-an-instance-in-a-wider-fixture.md"
        )


def failures_of(error: BaseException) -> Iterator[Failure]:
    """Yield the recorded failures of an error, its causes and its members."""
    for one in errors_in(error):
        if isinstance(one, HydraSmokeError) and isinstance(one.failure, Failure):
            yield one.failure


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes, and the members of exception groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", one).exceptions
        context = None if one.__suppress_context__ else one.__context__
        waiting += [other for other in (one.__cause__, context) if other is not None]


def scope_node(item: pytest.Item, scope: str) -> pytest.Item | pytest.Collector:
    """Return the node whose end is the end of an instance of this scope."""
    kinds: dict[str, type[pytest.Collector]] = {
        "package": pytest.Package,
        "module": pytest.Module,
        "class": pytest.Class,
    }
    if scope == "session":
        return item.session
    if scope == "function":
        return item
    found = item.getparent(kinds[scope])
    # A test outside any class is its own class; one outside any package uses the session.
    return found or (item if scope == "class" else item.session)
