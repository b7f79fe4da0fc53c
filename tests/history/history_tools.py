"""Reports of many runs that never were, and what the history makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from report_tools import NOON, SPEC, a_report, an_instance, case, failure

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._history.contents import History, Overview
from pytest_hydrasmoke._history.figures import history
from pytest_hydrasmoke._history.findings import Demand, problems
from pytest_hydrasmoke._history.reports import Found
from pytest_hydrasmoke._history.runs import PastRun
from pytest_hydrasmoke._report import run_files
from pytest_hydrasmoke._report.model import InstanceReport, PipelineReport
from pytest_hydrasmoke._report.parts import SpanReport, TokensReport

Output = pytest.CaptureFixture[str]
TEST = "tests/test_agent.py::test_greeting"
URL = "https://ci.example/1?a=1&b=2"
FAILED = {TEST: "failed"}
WEST = SPEC.model_copy(update={"region_id": "us-west"})


def booted(ready: float, slot: int = 0, **changes: Any) -> InstanceReport:
    """Make an instance that was ready after so many seconds."""
    plain: dict[str, Any] = {
        "idempotency_key": f"night-{slot}",
        "spans": (SpanReport(at=1.0, phase="ready", seconds=ready),),
    }
    return an_instance(**{**plain, **changes})


def broken(words: str = "AssertionError: no", **changes: Any) -> InstanceReport:
    """Make an instance with the failure of a test."""
    return booted(40.0, failures=(failure(70.0, words, **{"test": TEST, **changes}),))


LEAKED = booted(40.0, outcome="leaked", leak="not confirmed")
LOST = booted(900.0, 2, failures=(failure(901.0, "never ready", "ready", test=TEST),))


def report_of(
    number: int,
    *instances: InstanceReport,
    outcomes: dict[str, str] | None = None,
    pipeline: dict[str, Any] | None = None,
    **changes: Any,
) -> Report:
    """Make the report of a run of its own group, so many hours after noon."""
    its = instances or (booted(40.0),)
    told = ({TEST: "passed"} if outcomes is None else outcomes).items()
    of = {"group": f"g{number}", "job": "smoke", "attempt": 1, "commit": f"c{number}"}
    plain: dict[str, Any] = {
        "run_id": f"run-{number}",
        "began": NOON + timedelta(hours=number),
        "tests": tuple(case(test, outcome, instances=("night-0",)) for test, outcome in told),
        "exit_code": int(not {"failed", "error"}.isdisjoint(outcome for _, outcome in told)),
        "pipeline": PipelineReport(**{**of, **(pipeline or {})}),
    }
    return a_report(*its, **{**plain, **changes})


def written(folder: Path, reports: Iterable[Report]) -> Path:
    """Write each report as a pipeline keeps its artifacts."""
    for number, report in enumerate(reports):
        home = folder / f"artifact-{number}" / ".hydrasmoke"
        home.mkdir(parents=True)
        (home / "report.json").write_text(run_files.as_json(report), "utf-8")
    return folder


def runs_of(reports: Iterable[Report]) -> list[PastRun]:
    """Return what is read of reports."""
    return [TypeAdapter(PastRun).validate_json(run_files.as_json(report)) for report in reports]


def history_of(reports: Iterable[Report], **options: Any) -> History:
    now = NOON + timedelta(days=300)
    plain: dict[str, Any] = {"last": 1_000, "group": None, "fake": False, "now": now}
    return history(Found(runs_of(reports), [], []), **{**plain, **options})


def live(reports: Iterable[Report], **options: Any) -> Overview:
    made = history_of(reports, **options).live
    assert made is not None
    return made


def red(reports: Iterable[Report], *fail_on: str, **options: Any) -> list[str]:
    """Return why a history is red; `group` and `expect` are asked for, too."""
    expect, group = options.pop("expect", None), options.get("group")
    return problems(history_of(reports, **options), Demand(frozenset(fail_on), group, expect))


def plain(report: Report) -> dict[str, Any]:
    """Return a report as its file has it."""
    read: dict[str, Any] = json.loads(run_files.as_json(report))
    return read


def slower() -> list[Report]:
    """Make ten calm groups, and two in which boots are slower and a test is flaky."""
    calm = [report_of(number, booted(40.0 + number % 3)) for number in range(10)]
    same = {"commit": "0a1b2c3d4e5f6a7b", "branch": "main"}
    last = an_instance(failures=(failure(70.0, "AssertionError: no `ready`|", test=TEST),))
    return [
        *calm,
        report_of(10, booted(90.0), pipeline=same),
        report_of(11, booted(92.0), last, outcomes=FAILED, pipeline=same),
    ]


def a_history() -> History:
    """Make a history in which there is something of everything, live and of the fake."""
    same = {"commit": "c", "url": URL}
    took = TokensReport(input_tokens=1_000, output_tokens=234)
    last = broken().model_copy(update={"outcome": "leaked", "tokens": took})
    runs = [
        report_of(0, booted(48.0)),
        report_of(1, pipeline=same),
        report_of(2, last, outcomes=FAILED, pipeline=same | {"branch": "main"}),
        report_of(3, fake=True),
    ]
    made = history_of(runs, fake=True)
    return made.model_copy(update={"skipped": ("old/report.json: damaged",)})


def command(capsys: Output, *arguments: object) -> tuple[int, list[str]]:
    code = main(["history", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, (out + err).splitlines()
