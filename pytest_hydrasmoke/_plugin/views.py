"""Hand a run's report to all that show it, and show it in the terminal's summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.pytest_internals import session_of
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.turn_end import UNENDED
from pytest_hydrasmoke._report import files, github, junit, pytest_html, terminal
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.sources import Loaded


_ENDS = (
    "WARNING: streams of chats ended without a terminal event, and so nothing tells a cut reply "
    'from a whole one: if their runtime sends one, set chat_end = "required", else "optional"'
)


class Views:
    """The views of the report; no failure in them changes the run's outcome."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        config: HydraSmokeConfig,
        scrub: Callable[[str], str],
        loaded: Loaded | None,
    ) -> None:
        self._pytest = pytest_config
        self._config = config
        self._scrub = scrub
        self._loaded = loaded
        self._report: Report | None = None
        self._page: Path | None = None
        self.remarks: list[str] = []
        """Lines that the summary shows in red."""
        self.summary_shown = False
        """Whether the summary was shown."""

    def write(self, report: Report) -> None:
        """Write the report's files, before the report is handed out."""
        self._report = report
        failed = report.exit_code != pytest.ExitCode.OK
        self._warn_of_ends(report)
        wanted = self._config.report
        pages = wanted == "always" or (wanted == "on-failure" and failed)
        problems = files.write(report, self._config.output, pages=pages)
        self.remarks += problems
        if pages and not any(problem.startswith(files.PAGE) for problem in problems):
            self._page = self._config.output / files.PAGE

    def _warn_of_ends(self, report: Report) -> None:
        """Warn once of replies that may have been cut: a green run may hide that all were."""
        concerned = any(UNENDED in instance.notes for instance in report.instances)
        if concerned and self._config.chat_end == "auto" and _ENDS not in self.remarks:
            self.remarks.append(_ENDS)

    def hand_out(self, report: Report) -> None:
        """Hand the report to all hooks and views."""
        self.attempt(
            "the JUnit file has no properties", lambda: junit.add_properties(self._pytest, report)
        )
        self.attempt(
            "GitHub's job summary was not written",
            lambda: github.append_summary(report, os.environ),
        )
        self.attempt(
            "the hook pytest_hydra_smoke_report failed",
            lambda: self._pytest.hook.pytest_hydra_smoke_report(report=report),
        )

    def attempt(self, otherwise: str, view: Callable[[], object]) -> None:
        """Call a view of the report; if it fails, the summary says so."""
        try:
            view()
        except Exception as error:
            self.remarks.append(f"{otherwise}: {safe_line(repr(error))}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._report is None:
            return
        # Under -q there was no header.
        unseen = self._loaded.warnings if self._loaded and terminalreporter.verbosity < 0 else ()
        remarks = (*unseen, *self.remarks)
        # The last line of pytest, or of xdist, is the reason, and there is nothing else to show.
        refused = self._is_refused(self._report)
        if refused and not remarks:
            return
        self.summary_shown = True
        terminalreporter.section("hydra-smoke")
        if not refused:
            self._sum_up(self._report, terminalreporter)
        for remark in remarks:
            terminalreporter.line(self._scrub(f"hydra-smoke: {remark}"), red=True)

    def _is_refused(self, report: Report) -> bool:
        """Return whether a usage error ended the run before its first test."""
        session = session_of(self._pytest)
        assert session is not None  # It is at its end.
        # Under xdist, the session gets this code after the report was made.
        refused = session.exitstatus == pytest.ExitCode.USAGE_ERROR
        return refused and not report.instances and not report.tests

    def _sum_up(self, report: Report, reporter: pytest.TerminalReporter) -> None:
        writer = self._pytest.get_terminal_writer()
        lines = terminal.summary(report, writer.fullwidth, colour=writer.hasmarkup)
        terminal.show(reporter, lines)
        if self._page is not None:
            reporter.line(self._scrub(f"hydra-smoke: what happened is in {self._page}"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_summary(self, summary: list[str]) -> None:
        """Show the run at the head of pytest-html's page, which that plugin writes later."""
        page = Path(str(self._pytest.getoption("htmlpath")))

        def show() -> None:
            assert self._report is not None, "the run has no report"
            summary.extend(pytest_html.summary(self._report, self._page, page))

        self.attempt("pytest-html shows nothing of the run", show)
