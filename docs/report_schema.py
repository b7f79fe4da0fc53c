"""Write the JSON Schema of `report.json`, from the model that the report is made by.

python docs/report_schema.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report.model import SCHEMA_VERSION

PATH = Path(__file__).parent / "reference" / "report-schema.json"


def schema() -> str:
    """Return the schema as its file holds it."""
    head: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pytest-hydrasmoke:report:{SCHEMA_VERSION}",
    }
    made = head | Report.model_json_schema(mode="serialization")
    return json.dumps(_plain(made), indent=2) + "\n"


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
    PATH.write_text(schema(), "utf-8")
