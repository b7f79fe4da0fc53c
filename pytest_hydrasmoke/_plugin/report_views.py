"""Hand a run's report to all that show it, and show it in the terminal's header and summary."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pytest_hydrasmoke._base.errors import at_hook
from pytest_hydrasmoke._base.pytest_internals import session_of
from pytest_hydrasmoke._base.text import aside, safe_line
from pytest_hydrasmoke._core.turn_end import UNENDED
from pytest_hydrasmoke._report import github, junit, run_files, terminal
from pytest_hydrasmoke._report.model import Report

from .context import RunContext
from .run_report import RunTold

_ENDS = (
    "WARNING: streams of chats ended without a terminal event, and so nothing tells a cut reply "
    'from a whole one: if their runtime sends one, set chat_end = "required", else "optional"'
)


class Views:
    """The views of the report; no failure in them changes the run's outcome."""

    def __init__(self, context: RunContext, *, told: RunTold) -> None:
        self._context = context
        self._told = told
        self._pytest = context.pytestconfig
        self.report: Report | None = None
        """The report as it was last written, in the main process."""
        self._page: Path | None = None
        self._remarks: dict[str, bool] = {}
        """Lines that the summary shows in red, and whether they were shown."""
        self._leaks: set[str | None] = set()
        """The keys of the leaks that were shown."""

    def remark(self, *lines: str) -> None:
        """Add lines to the summary; those that come after it go to standard error."""
        for line in lines:
            self._remarks.setdefault(line, False)

    def reason(self) -> str | None:
        """Return why the run is red, if it is so, beside what its tests tell."""
        report = self.report
        if report is None or report.exit_code == pytest.ExitCode.OK:
            return None
        remark = next(iter(self._remarks), None)
        words = report.ended or remark or f"exit code {report.exit_code}"
        return self._context.scrub(words)

    def write(self, report: Report) -> None:
        """Write the report's files, before the report is handed out."""
        self.report, config = report, self._context.config
        # A green run may hide that all replies were cut.
        concerned = any(UNENDED in instance.notes for instance in report.instances)
        if concerned and config.chat_end == "auto":
            self.remark(_ENDS)
        failed = report.exit_code != pytest.ExitCode.OK
        pages = config.report == "always" or (config.report == "on-failure" and failed)
        problems = run_files.write(report, config.output, page=pages)
        self.remark(*problems)
        if pages and not any(problem.startswith(run_files.PAGE) for problem in problems):
            self._page = config.output / run_files.PAGE

    def hand_out(self, report: Report) -> None:
        """Hand the report to all hooks and views."""
        with self.attempt("the JUnit file has no properties"):
            junit.add_properties(self._pytest, report)
        with self.attempt("GitHub's job summary was not written"):
            github.append_summary(report, os.environ)
        with self.attempt("the hook pytest_hydra_smoke_report failed"):
            self._pytest.hook.pytest_hydra_smoke_report(report=report)

    @contextmanager
    def attempt(self, otherwise: str) -> Generator[None]:
        """Have the summary say so if a view of the report fails."""
        try:
            yield
        except Exception as error:
            self.remark(f"{otherwise}{at_hook(error)}: {safe_line(repr(error))}")

    def show_unseen(self) -> None:
        """Write to standard error what no summary has shown: remarks, and leaks.

        pytest shows none after `pytest.exit` with a code of its own. And leaks may come later: from
        an interrupt of the first clean-up, or from a worker that outlived it.
        """
        for one in self._told.instances:
            if one.outcome == "leaked" and one.idempotency_key not in self._leaks:
                self._leaks.add(one.idempotency_key)
                self.say_late(terminal.leak(one, fake=self._context.router is not None))
        for remark, seen in self._remarks.items():
            if not seen:
                self._remarks[remark] = True
                self.say_late(f"hydra-smoke: {remark}")

    def say_late(self, line: str) -> None:
        """Write a line to standard error, when pytest's own output is over."""
        aside(self._context.scrub(line))

    # Hooks

    def pytest_report_header(self) -> list[str]:
        loaded, router = self._context.loaded, self._context.router
        if loaded is None:
            return []
        lines = terminal.header(self._context.config, loaded.sources, fake=router is not None)
        if router is not None and router.scenario.recordings is not None:
            what = router.scenario.recordings.in_words_with_age(datetime.now(UTC).date())
            lines.insert(1, f"hydra-smoke: FAKE, {what}; without the bundled checks")
        warnings = [*loaded.warnings, *terminal.timeout_warning(self._pytest)]
        lines += [f"hydra-smoke: WARNING: {warning}" for warning in warnings]
        return [self._context.scrub(line) for line in lines]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        report, loaded, session = self.report, self._context.loaded, session_of(self._pytest)
        if report is None:
            return
        # Under -q there was no header.
        unseen = loaded.warnings if loaded and terminalreporter.verbosity < 0 else ()
        remarks = (*unseen, *self._remarks)
        # The last line of pytest, or of xdist, is the reason, and there is nothing else to show.
        assert session is not None  # It is at its end.
        usage_error = session.exitstatus == pytest.ExitCode.USAGE_ERROR
        refused = usage_error and not report.instances and not report.tests
        if refused and not remarks:
            return
        self._remarks = dict.fromkeys(self._remarks, True)
        self._leaks |= {it.idempotency_key for it in report.instances if it.outcome == "leaked"}
        terminalreporter.section("hydra-smoke")
        if not refused:
            self._sum_up(report, terminalreporter)
        for remark in remarks:
            terminalreporter.line(self._context.scrub(f"hydra-smoke: {remark}"), red=True)

    def _sum_up(self, report: Report, reporter: pytest.TerminalReporter) -> None:
        writer = self._pytest.get_terminal_writer()
        lines = terminal.summary(report, writer.fullwidth, colour=writer.hasmarkup)
        terminal.show(reporter, lines)
        if self._page is not None:
            reporter.line(self._context.scrub(f"hydra-smoke: what happened is in {self._page}"))
