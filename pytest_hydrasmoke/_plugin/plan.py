"""Act on what collected tests need: a plan prints it, and a run that can't have it ends.

The refusal is raised where tests are collected: under xdist by every worker, whose main process
sets the exit code.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.pytest_internals import collect_here, worker_input, worker_output
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._options import LIVE, PLAN, TABLE, variable

from .bundled_checks import CheckModule
from .needs import Needs, needs_of

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig

_TOO_MANY = "hydra_smoke_too_many"


def too_many(needs: Needs, most: int, *, checks: bool) -> str | None:
    """Return why a run of these tests would run out of instances; None if it need not."""
    if needs.least <= most:
        return None
    without = ", or leave out the bundled checks (bundled_checks = false)" if checks else ""
    return (
        f"these tests need at least {needs.least} instances, and max_instances is {most}: nothing "
        f"was provisioned. Raise it (set {variable('max_instances')}, or max_instances = "
        f"{needs.least} in [{TABLE}]), run fewer tests (-k, -m), have more of them share one "
        f"(scope){without}. {LIVE} {PLAN} lists what is needed"
    )


class Limit:
    """Ends a run before its first boot where it needs more instances than it may have."""

    def __init__(
        self, pytest_config: pytest.Config, config: HydraSmokeConfig, *, replaying: bool
    ) -> None:
        self._pytest = pytest_config
        self._config = config
        self._replaying = replaying
        self._refused = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        config = self._config
        needs = needs_of(session.items, config.spec, config.scope, replaying=self._replaying)
        checks = any(item.getparent(CheckModule) is not None for item in session.items)
        words = too_many(needs, config.max_instances, checks=checks)
        if words is None:
            return
        if worker_input(self._pytest) is None:
            raise pytest.UsageError(words)
        # An error raised here would be an internal error of xdist, with all its frames.
        session.shouldfail = words
        session.items.clear()
        worker_output(self._pytest)[_TOO_MANY] = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Note that a worker has refused."""
        self._refused |= _TOO_MANY in worker_output(node)

    # Outside the wrapper that stores the run's exit code.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        if self._refused:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        return (yield)


class Planner:
    """Prints what collected tests need, and runs none of them."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        config: HydraSmokeConfig,
        warnings: Sequence[str],
        *,
        replaying: bool,
    ) -> None:
        self._config = config
        self._warnings = warnings
        self._replaying = replaying
        self._lines: list[str] = []
        collect_here(pytest_config)

    def pytest_report_header(self) -> list[str]:
        lines = [f"hydra-smoke: WARNING: {warning}" for warning in self._warnings]
        return ["hydra-smoke: a plan: nothing is provisioned, and no test is run", *lines]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        config = self._config
        if config.instance is not None:
            self._lines = [f"at least 0 instances: the run is attached to {config.instance}"]
            return
        needs = needs_of(session.items, config.spec, config.scope, replaying=self._replaying)
        most = config.max_instances
        many = "instance" if needs.least == 1 else "instances"
        known = len(needs.instances)
        perhaps = f", {known} if no two are the same" if known > needs.least else ""
        enough = "" if needs.least <= most else ": the run would be refused"
        head = f"at least {needs.least} {many}{perhaps}; max_instances is {most}{enough}"
        scrub = scrubbing(config.token)
        self._lines = [scrub(line) for line in (head, *needs.lines())]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool:
        return True

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("hydra-smoke plan")
        for line in self._lines:
            terminalreporter.line(line)
