"""Reports of many runs that never were, and what the history makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from report_tools import NOON, SPEC, a_report, an_instance

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._history.build import history
from pytest_hydrasmoke._history.model import History, Overview
from pytest_hydrasmoke._history.reading import Found, run_of_file
from pytest_hydrasmoke._history.runs import Run
from pytest_hydrasmoke._report import files
from pytest_hydrasmoke._report.model import (
    CaseReport,
    FailureReport,
    InstanceReport,
    PipelineReport,
)
from pytest_hydrasmoke._report.parts import SpanReport

Output = pytest.CaptureFixture[str]
TEST = "tests/test_agent.py::test_greeting"


def booted(ready: float, slot: int = 0, **changes: Any) -> InstanceReport:
    """Make an instance that was ready after so many seconds."""
    plain: dict[str, Any] = {
        "idempotency_key": f"night-{slot}",
        "phases": {"ready": ready},
        "spans": (SpanReport(at=1.0, phase="ready", seconds=ready),),
    }
    return an_instance(**{**plain, **changes})


def failure(words: str, test: str = TEST, **changes: Any) -> FailureReport:
    plain: dict[str, Any] = {"at": 70.0, "phase": None}
    return FailureReport(message=words, test=test, **{**plain, **changes})


def report_of(
    number: int,
    *instances: InstanceReport,
    outcomes: dict[str, str] | None = None,
    pipeline: dict[str, Any] | None = None,
    **changes: Any,
) -> Report:
    """Make the report of a run of its own group, so many hours after noon."""
    its = instances or (booted(40.0),)
    tests = tuple(
        CaseReport(id=test, outcome=outcome, seconds=1.0, instances=("night-0",))
        for test, outcome in (outcomes or {TEST: "passed"}).items()
    )
    ends = {it.outcome for it in tests}
    of = {"group": f"g{number}", "job": "smoke", "attempt": 1, "commit": f"c{number}"}
    plain: dict[str, Any] = {
        "run_id": f"run-{number}",
        "began": NOON + timedelta(hours=number),
        "tests": tests,
        "exit_code": int(not ends.isdisjoint({"failed", "error"})),
        "pipeline": PipelineReport(**{**of, **(pipeline or {})}),
    }
    return a_report(*its, **{**plain, **changes})


def written(folder: Path, reports: Iterable[Report]) -> Path:
    """Write each report as a pipeline keeps its artifacts."""
    for number, report in enumerate(reports):
        home = folder / f"artifact-{number}" / ".hydrasmoke"
        home.mkdir(parents=True)
        (home / "report.json").write_text(files.as_json(report), "utf-8")
    return folder


def runs_of(folder: Path, reports: Sequence[Report]) -> list[Run]:
    """Write reports and read them again."""
    written(folder, reports)
    return [run_of_file(it) for it in sorted(folder.rglob("report.json"))]


def history_of(runs: list[Run], **options: Any) -> History:
    plain: dict[str, Any] = {
        "last": 1_000,
        "group": None,
        "fake": False,
        "now": NOON + timedelta(days=300),
    }
    return history(Found(runs), **{**plain, **options})


def live(runs: list[Run], **options: Any) -> Overview:
    made = history_of(runs, **options).live
    assert made is not None
    return made


def plain(report: Report) -> dict[str, Any]:
    """Return a report as its file has it."""
    read: dict[str, Any] = json.loads(files.as_json(report))
    return read


def slower() -> list[Report]:
    """Make ten calm groups, and two in which boots are slower and a test is flaky."""
    calm = [report_of(number, booted(40.0 + number % 3)) for number in range(10)]
    same = {"commit": "0a1b2c3d4e5f6a7b", "branch": "main"}
    words = an_instance(failures=(failure("AssertionError: no `ready`|"),))
    return [
        *calm,
        report_of(10, booted(90.0), pipeline=same),
        report_of(11, booted(92.0), words, outcomes={TEST: "failed"}, pipeline=same),
    ]


def command(capsys: Output, *arguments: object) -> tuple[int, list[str]]:
    code = main(["history", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, (out + err).splitlines()


__all__ = ["NOON", "SPEC", "a_report", "an_instance"]
