"""What `router.json` among recordings tells of a live router: the manners of the fake.

It has a list of answers to each question that the contract leaves open, of which the fake gives the
first. What it needs for no replay, such as the words of a boot, is not read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

FORMAT, VERSION = "pytest-hydrasmoke router", 1
_FIRST = (
    "provision_status",
    "provision_instance_id",
    "poll_before_row",
    "unauthorized_status",
    "not_ready_status",
    "runtime",
    "terminal",
    "after_delete",
    "second_delete",
)
_SAMPLES: Mapping[str, Any] = {
    "null": None,
    "boolean": False,
    "string": "",
    "number": 0,
    "list": [],
    "object": {},
}


def changes_in(file: Path) -> dict[str, Any]:
    """Return the fields of a scenario with these manners; raises ValueError."""
    try:
        return _changes(json.loads(file.read_text("utf-8")))
    except RecursionError:
        raise ValueError(f"{file} can't be read: it is nested too deeply") from None
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise ValueError(f"{file}: {problem}") from None


def _changes(value: object) -> dict[str, Any]:
    given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if (given.get("format"), given.get("version")) != (FORMAT, VERSION):
        raise ValueError("it is not what recording writes: record again, without it")
    # A second delete that no run has seen refused was answered like the first.
    changes: dict[str, Any] = {"second_delete": 200}
    changes |= {name: given[name][0] for name in _FIRST if given.get(name)}
    for name in ("ready_words", "providers"):
        if given.get(name):
            changes[name] = tuple(given[name])
    if "ready_words" in changes:
        changes["statuses"] = ((0.0, changes["ready_words"][0]),)
    gone = given.get("gone_words")
    if gone and changes.get("after_delete") == "row":
        changes |= {"gone_word": gone[0], "cleaned_word": gone[-1] if len(gone) > 1 else None}
    return {**changes, "extra": {name: _SAMPLES[kind] for name, kind in given.get("extra", ())}}
