"""Write the JSON Schema of `report.json`, from the models that make it.

python docs/report_schema.py
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from described import described
from pydantic import BaseModel

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import model as report_model
from pytest_hydrasmoke._report import parts

SOURCES = (parts, report_model)
FILE = Path(__file__).parent / "reference" / "report-schema.json"


def schema() -> str:
    """Return the schema as its file holds it."""
    version = Report.model_fields["schema_version"].default
    head: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pytest-hydrasmoke:report:{version}",
    }
    made = head | Report.model_json_schema(mode="serialization")
    kinds = {kind.__name__: kind for kind in _models(BaseModel)}
    for inner, part in {Report.__name__: made, **made["$defs"]}.items():
        _describe(part, kinds[inner])
    return json.dumps(_plain(made), indent=2) + "\n"


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the package's models."""
    for kind in base.__subclasses__():
        yield from _models(kind)
        if kind.__module__.partition(".")[0] == "pytest_hydrasmoke":
            yield kind


def _describe(part: dict[str, Any], kind: type[BaseModel]) -> None:
    """Add what a model's fields are; pydantic could too, and takes a tenth of a run's start."""
    fields = part["properties"]
    for base in [base.__name__ for base in reversed(kind.__mro__)]:
        for name, _, words in itertools.chain.from_iterable(
            described(module, base) for module in SOURCES
        ):
            fields[name] = dict(sorted({"description": words, **fields[name]}.items()))


def _plain(part: Any) -> Any:
    """Leave out what says nothing, and what releases of pydantic disagree on."""
    if isinstance(part, list):
        return [_plain(it) for it in part]
    if not isinstance(part, dict):
        return part
    again = ("title",) if isinstance(part.get("title"), str) else ()
    again += ("enum", "type") if "const" in part else ()
    # A field that is added is no other version.
    again += ("additionalProperties",) if part.get("additionalProperties") is False else ()
    kept = {name: _plain(it) for name, it in part.items() if name not in again}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept


if __name__ == "__main__":
    FILE.write_text(schema(), "utf-8")
