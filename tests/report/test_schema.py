"""The published schema of `report.json`: up to date, and what reports are like."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from report_tools import a_failed_report, a_report, an_instance, several

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import files
from pytest_hydrasmoke._report.parts import AnswerReport, EventReport, Manners

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = ROOT / "docs" / "reference" / "report-schema.json"
TAUGHT = Manners(
    answers=(AnswerReport(call="poll", code=200, fields={"found": "boolean"}),),
    events=(EventReport(event="message", data="object", keys=("type",), kind="delta"),),
)


@pytest.mark.parametrize("name", ["report", "history"])
def test_the_published_schema_is_that_of_the_model(name: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "report_schema.py"))["schema"](name)
    published = PUBLISHED.with_name(f"{name}-schema.json")
    assert published.read_text("utf-8") == made, "run: python docs/report_schema.py"


def test_reports_are_as_the_schema_says_and_nothing_else_is() -> None:
    schema = json.loads(PUBLISHED.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    attached = an_instance(spec=None, began=None, hostname=None)

    def problems(report: object) -> list[str]:
        return [error.message for error in Draft202012Validator(schema).iter_errors(report)]

    def as_read(report: Report) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(files.as_json(report))
        return read

    for report in (a_report(attached, manners=TAUGHT), a_failed_report(), several()):
        assert problems(as_read(report)) == []
    missing = [f"'{name}' is a required property" for name in Report.model_fields]
    assert sorted(problems({})) == sorted(missing)
    newer = as_read(a_report())
    newer["instances"][0]["spec"]["colour"] = newer["new"] = "blue"
    assert problems(newer) == [], "a later version may have more fields"
    assert problems(newer | {"schema_version": 3}) == ["2 was expected"]
