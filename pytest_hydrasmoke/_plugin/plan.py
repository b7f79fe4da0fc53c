"""Act on what collected tests need: a plan prints it, and a run that can't have it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.pytest_internals import collect_here
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._options import LIVE, PLAN, TABLE, variable

from .bundled_checks import CheckModule
from .needs import Needs, needs_of

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig

    from .refusal import Reason


def too_many(items: Sequence[pytest.Item], needs: Needs, most: int) -> str | None:
    """Return why tests would run out of instances; None if they may have enough."""
    if needs.least <= most:
        return None
    remedy = _remedy(items, needs)
    return (
        f"these tests need at least {needs.least} instances, and max_instances is {most}: nothing "
        f"was provisioned. {remedy[0].upper()}{remedy[1:]}. {LIVE} {PLAN} lists what is needed"
    )


def _remedy(items: Sequence[pytest.Item], needs: Needs) -> str:
    checks = any(item.getparent(CheckModule) is not None for item in items)
    without = ", or leave out the bundled checks (bundled_checks = false)" if checks else ""
    return (
        f"raise it (set {variable('max_instances')}, or max_instances = {needs.least} in "
        f"[{TABLE}]), run fewer tests (-k, -m), have more of them share one (scope){without}"
    )


def _head(needs: Needs, most: int) -> str:
    """Return the first line of a plan: the sum, and whether the run may have that many."""
    many = "instance" if needs.least == 1 else "instances"
    known, uncounted = len(needs.instances), len(needs.factory)
    perhaps = f", {known} if no two are the same" if known > needs.least else ""
    outcome = ""
    if needs.least > most:
        outcome = ": the run would be refused"
    elif needs.least == most and uncounted:
        provision = "1 test provisions" if uncounted == 1 else f"{uncounted} tests provision"
        outcome = f", probably too few: {provision} more with smoke_instance_factory"
    return f"at least {needs.least} {many}{perhaps}; max_instances is {most}{outcome}"


def limit(config: HydraSmokeConfig, *, replaying: bool) -> Reason:
    """Return what refuses tests that need more instances than the run may have."""

    def reason(items: Sequence[pytest.Item]) -> str | None:
        needs = needs_of(items, config.spec, config.scope, replaying=replaying)
        return too_many(items, needs, config.max_instances)

    return reason


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
        self._refused = False
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
        self._refused = needs.least > most
        remedy = [_remedy(session.items, needs)] if self._refused else []
        scrub = scrubbing(config.token)
        self._lines = [scrub(line) for line in (_head(needs, most), *remedy, *needs.lines())]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool:
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        # The run's own exit code: a pipeline that plans first is to stop here.
        if self._refused:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("hydra-smoke plan")
        for line in self._lines:
            terminalreporter.line(line)
