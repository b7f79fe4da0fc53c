"""The published schema of `report.json`: up to date, and what reports are like."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from report_tools import a_failed_report, a_long_report, a_report, an_instance

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import files
from pytest_hydrasmoke._report.parts import AnswerReport, EventReport, Manners

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = ROOT / "docs" / "reference" / "report-schema.json"
TAUGHT = Manners(
    answers=(AnswerReport(call="poll", code=200, fields={"found": "boolean"}),),
    events=(EventReport(event="message", data="object", keys=("type",), kind="delta"),),
)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(PUBLISHED.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def as_read(report: Report) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(files.as_json(report))
    return read


@pytest.mark.parametrize("name", ["report", "history"])
def test_the_published_schema_is_that_of_the_model(name: str) -> None:
    made = runpy.run_path(str(ROOT / "docs" / "report_schema.py"))["schema"](name)
    published = PUBLISHED.with_name(f"{name}-schema.json")
    assert published.read_text("utf-8") == made, "run: python docs/report_schema.py"


@pytest.mark.parametrize(
    "report",
    [
        a_report(manners=TAUGHT),
        a_failed_report(),
        a_long_report(50),
        a_report(an_instance(spec=None, began=None, hostname=None)),
        a_report().model_copy(update={"instances": ()}),
    ],
    ids=["passed", "failed", "long", "attached", "none"],
)
def test_every_report_is_as_the_schema_says(
    validator: Draft202012Validator, report: Report
) -> None:
    validator.validate(as_read(report))


@pytest.mark.parametrize("field", sorted(Report.model_fields))
def test_what_is_not_a_report_is_refused(validator: Draft202012Validator, field: str) -> None:
    broken = as_read(a_report())
    del broken[field]
    with pytest.raises(ValidationError, match=f"'{field}' is a required property"):
        validator.validate(broken)


def test_another_version_is_refused_and_another_field_is_not(
    validator: Draft202012Validator,
) -> None:
    report = as_read(a_report())
    report["instances"][0]["spec"]["colour"] = report["new"] = "blue"
    validator.validate(report)
    with pytest.raises(ValidationError):
        validator.validate(report | {"schema_version": 3})
