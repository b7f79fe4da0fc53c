"""Annotations of a run on GitHub: what has a place, and what is shown of many or of none."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from plugin_tools import CHECKS

from pytest_hydrasmoke._report.github import Annotations

WHY = "no smoke test was executed: the run proves nothing"


class Terminal:
    """Keeps the lines that it is given."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ensure_newline(self) -> None: ...

    def line(self, line: str) -> None:
        self.lines.append(line)


def failed(nodeid: str, when: Any = "call") -> pytest.TestReport:
    place = (nodeid.partition("::")[0], 4, "leak of one")
    return pytest.TestReport(nodeid, place, {}, "failed", "ValueError: words", when)


def shown(*reports: pytest.TestReport, workspace: str | None = None, red: bool = True) -> list[str]:
    """Return the lines of a run in a project on GitHub, in which all tests but one are smoke."""
    environ = {} if workspace is None else {"GITHUB_WORKSPACE": workspace}
    annotations = Annotations(
        *(lambda test: test != "t.py::plain", Path("/srv/app"), environ),
        replies=True,
        reason=lambda: WHY if red else None,
    )
    for report in reports:
        annotations.pytest_runtest_logreport(report)
    terminal = Terminal()
    annotations.pytest_terminal_summary(cast("pytest.TerminalReporter", terminal))
    return terminal.lines


@pytest.mark.parametrize(
    ("nodeid", "workspace", "file"),
    [
        ("t.py::test_a", None, "file=t.py,line=5,"),
        ("t.py::test_a", "/srv", "file=app/t.py,line=5,"),
        # A test of elsewhere, and a bundled one, have no place there.
        ("t.py::test_a", "/srv/app/other", ""),
        ("../t.py::test_a", "/srv/app", ""),
        (f"{CHECKS}/test_chat.py::test_a", "/", ""),
    ],
)
def test_places_are_the_repository_s(nodeid: str, workspace: str | None, file: str) -> None:
    title = f"title={nodeid.replace(':', '%3A')}"
    told = shown(failed(nodeid), workspace=workspace)
    assert told == [f"::error {file}{title}::ValueError: words"]


def test_of_many_the_last_says_how_many_there_are_and_of_none_the_reason_is_told() -> None:
    some = [failed(f"t.py::test_{number}", "setup") for number in range(12)]
    plain, budget = failed("t.py::plain"), failed("hydra-smoke::budget::row")
    leak = failed("hydra-smoke::leak::one")
    told = shown(*some[:10], plain, budget)
    assert [it.partition("::Val")[0] for it in told] == [
        f"::error file=t.py,line=5,title=setup of t.py%3A%3Atest_{number}" for number in range(10)
    ]
    told = shown(*some, leak)
    assert (len(told), told[0]) == (10, "::error title=leak of one::ValueError: words")
    assert told[-1] == "::error title=hydra-smoke::4 more errors are in this step's log"
    assert shown(plain, budget) == [f"::error title=hydra-smoke::{WHY}"]
    assert shown(red=False) == []
