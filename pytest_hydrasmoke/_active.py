"""The plugin while it is switched on: one object for each process of the run.

The main process reads the settings, serves the fake, and gives the verdict; whoever runs tests
(the main process itself, or xdist's workers) owns instances and deletes them. Workers report to
the main process in plain types.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from ._chat import Reading
from ._errors import own_frames
from ._factory import AsyncSmokeInstanceFactory, SmokeInstanceFactory, merged
from ._io import AsyncIO, SyncIO
from ._load import Loaded
from ._models import InstanceSpec
from ._session import SmokeSession
from ._settings import HydraSmokeConfig
from ._timeline import InstanceRecord, InstanceReport, Report, State, report_of
from .client import AsyncRunClient, AsyncSmokeClient, RunClient, SmokeClient
from .instance import AsyncSmokeInstance, SmokeInstance
from .report import terminal

if TYPE_CHECKING:
    from .fake import FakeRouter

__tracebackhide__ = own_frames

KEY = "hydra_smoke"


class Worker(Protocol):
    """What xdist's controller knows of a worker."""

    workerinput: dict[str, Any]


class Active:
    """Hooks and state of a run with smoke tests."""

    def __init__(
        self,
        config: pytest.Config,
        loaded: Loaded,
        *,
        fake: FakeRouter | None = None,
        worker: bool = False,
    ) -> None:
        self.config = loaded.config
        self._pytest = config
        self._sources = loaded.sources
        self._fake = fake
        self._worker = worker
        self._executed = False
        self._from_workers: list[InstanceReport] = []
        self._report: Report | None = None
        self._why_failed: str | None = None

    @cached_property
    def session(self) -> SmokeSession:
        """What this process owns; made when a test first asks for something."""
        hook = self._pytest.hook
        return SmokeSession(
            self.config,
            self.reading,
            on_ready=lambda it: hook.pytest_hydra_smoke_instance_ready(instance=it),
        )

    @cached_property
    def reading(self) -> Reading:
        """How events are understood: asks the hooks only if somebody implements them."""
        hook = self._pytest.hook
        text, end = hook.pytest_hydra_smoke_chat_text, hook.pytest_hydra_smoke_chat_end
        return Reading(
            (lambda event: text(event=event)) if text.get_hookimpls() else None,
            (lambda event: end(event=event)) if end.get_hookimpls() else None,
        )

    # For the fixtures

    def instance(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> SmokeInstance:
        """Give a handle on the instance that this test shares."""
        return SmokeInstance(self.session.handle(self._shared(request, spec)))

    def async_instance(
        self, request: pytest.FixtureRequest, spec: InstanceSpec
    ) -> AsyncSmokeInstance:
        """Give an async handle on the instance that this test shares."""
        record = self._shared(request, spec)
        return AsyncSmokeInstance(self.session.handle_async(AsyncIO(self.config.link), record))

    def factory(self) -> SmokeInstanceFactory:
        """Give a factory; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return SmokeInstanceFactory(self.session)

    def async_factory(self) -> AsyncSmokeInstanceFactory:
        """Give a factory for coroutines; skips where the run is attached to an instance."""
        self._skip_if_attached()
        return AsyncSmokeInstanceFactory(self.session, AsyncIO(self.config.link))

    def client(self) -> SmokeClient:
        """Give the six calls over connections of their own."""
        return RunClient(SyncIO(self.config.link), self.reading)

    def async_client(self) -> AsyncSmokeClient:
        """Give the six calls, to be awaited."""
        return AsyncRunClient(AsyncIO(self.config.link), self.reading)

    def _skip_if_attached(self) -> None:
        if self.config.instance is not None:
            pytest.skip(f"attached to {self.config.instance}: nothing is provisioned")

    def _shared(self, request: pytest.FixtureRequest, spec: InstanceSpec) -> InstanceRecord:
        changes = getattr(request, "param", None)
        wanted = spec if changes is None else merged(spec, changes)
        node = scope_node(request.node, self.config.scope)
        if self.session.begins(node):
            node.addfinalizer(lambda: self.session.end(node))
        return self.session.shared(wanted, node, request.node.nodeid)

    # Hooks

    def pytest_report_header(self) -> list[str]:
        return terminal.header(self.config, self._sources, fake=self._fake is not None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A skip is no execution; an expected failure is one, although it is reported as skipped.
        ran = report.when == "call" and (not report.skipped or hasattr(report, "wasxfail"))
        self._executed |= ran and "hydra_smoke" in report.keywords

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        reports = self._close()
        if self._worker:
            output: dict[str, Any] = self._pytest.workeroutput  # type: ignore[attr-defined]
            output[KEY] = [report.model_dump(mode="json") for report in reports]
            return
        self._report = Report(
            run_id=self.config.run_id,
            fake=self._fake is not None,
            url=self.config.url or "",
            instances=(*reports, *self._from_workers),
        )
        self._report_leaks(session, self._report)
        if session.exitstatus == 0 and not self._executed:
            self._why_failed = "no smoke test was executed: the run proves nothing"
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._pytest.hook.pytest_hydra_smoke_report(report=self._report)

    def _close(self) -> list[InstanceReport]:
        if "session" not in self.__dict__:
            return []
        self.session.close()
        return [report_of(it) for it in self.session.records if it.state is not State.REFUSED]

    def _report_leaks(self, session: pytest.Session, report: Report) -> None:
        for instance in report.instances:
            if instance.outcome != "leaked":
                continue
            name = instance.id or instance.idempotency_key or "?"
            # A report of its own: it adds to whatever the tests said, and hides none of it.
            self._pytest.hook.pytest_runtest_logreport(
                report=pytest.TestReport(
                    nodeid=f"hydra-smoke::leak::{name}",
                    location=("hydra-smoke", None, f"leak of {name}"),
                    keywords={},
                    outcome="failed",
                    longrepr=terminal.leak(instance),
                    when="call",
                )
            )
            if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._report is None:
            return
        terminalreporter.section("hydra-smoke")
        for line in terminal.summary(self._report):
            terminalreporter.line(line)
        if self._why_failed is not None:
            terminalreporter.line(f"hydra-smoke: {self._why_failed}", red=True)

    def pytest_unconfigure(self) -> None:
        try:
            # An interrupt of the clean-up in `pytest_sessionfinish` leaves the rest to this one.
            self._close()
        finally:
            if self._fake is not None:
                self._fake.__exit__(None, None, None)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Worker) -> None:
        """Give an xdist worker its settings: it reads and checks none itself."""
        worker_id: str = node.workerinput["workerid"]
        run_id = f"{self.config.run_id}-{worker_id}"
        node.workerinput[KEY] = {**self.config.to_plain(), "run_id": run_id}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        """Take what an xdist worker has to report; one that crashed has nothing."""
        output: dict[str, Any] = getattr(node, "workeroutput", {})
        self._from_workers += [InstanceReport(**plain) for plain in output.get(KEY, [])]


def scope_node(item: pytest.Item, scope: str) -> pytest.Item | pytest.Collector:
    """Find the node whose end is the end of an instance of this scope."""
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
    # A test outside of any class is its own class; one outside of any package ends the session.
    return found or (item if scope == "class" else item.session)


def settings_for_worker(plain: dict[str, Any]) -> Loaded:
    """Take the settings that the main process gave to this worker."""
    return Loaded(HydraSmokeConfig.from_plain(plain), {})
