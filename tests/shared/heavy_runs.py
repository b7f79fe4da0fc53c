"""A run that was asked for what a marker leaves out of the normal tests, and did none of it, fails.

Loaded by the conftest at the root. Without it, an environment whose tests are all skipped, for want
of what they need, is green.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

_NOTHING = pytest.StashKey[str]()


def asked_for(expression: str, markers: list[str]) -> set[str]:
    """Return the markers of heavy tests that a `-m` names; the default of `-m` names none."""
    if expression.startswith("not "):
        return set()
    return {line.partition(":")[0] for line in markers} & set(re.findall(r"\w+", expression))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    # A worker of xdist has none; the main process has the reports of all.
    if reporter is None or session.config.option.collectonly:
        return
    asked = asked_for(session.config.option.markexpr, session.config.getini("markers"))
    ran, skipped = (
        [
            report
            for category in categories
            for report in reporter.stats.get(category, ())
            if asked & set(getattr(report, "keywords", ()))
        ]
        for categories in (("passed", "failed", "xfailed", "xpassed", "error"), ("skipped",))
    )
    if skipped and not ran:
        session.config.stash[_NOTHING] = f"all {len(skipped)} tests of {', '.join(sorted(asked))}"
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    nothing = terminalreporter.config.stash.get(_NOTHING, None)
    if nothing is not None:
        terminalreporter.write_line(f"ERROR: {nothing} were skipped: nothing was tested", red=True)
