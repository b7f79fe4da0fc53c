"""What a folder of recordings shows of the router: a report, reduced to forms and times.

The fake learns from it as from any `report.json`. Later runs add only new forms: times differ in
each run, and the calls of a run depend on its tests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from pytest_hydrasmoke._report.model import SCHEMA_VERSION, InstanceReport, Report, TurnReport

_ARRIVALS = 20
"""How many of a turn's arrivals are kept: the pauses between them are similar."""
_DEPTH = 4
"""Nesting level below which JSON stays on one line."""
Plain = dict[str, Any]


class FormsError(ValueError):
    """Raised for a file that can't be read, and so not be updated; says why, and what to do."""


def forms_of(report: Report, before: bytes | None) -> str | None:
    """Return the file's new text; None where it is up to date, or there is nothing to store.

    Raises `FormsError`: what earlier runs have learned must not be lost.
    """
    old = None if before is None else forms_in(before)
    ready = [
        instance
        for instance in report.instances
        if any(span.phase == "ready" for span in instance.spans)
    ]
    if old is None and not ready:
        return None
    manners = report.manners.model_dump(mode="json", exclude={"drift"})
    known: Plain = {} if old is None else old["manners"]
    forms: Plain = {
        "schema_version": report.schema_version,
        "instances": (old and old["instances"]) or [_instance(instance) for instance in ready],
        "manners": {name: _joined(known.get(name, []), new) for name, new in manners.items()},
    }
    return None if forms == old else f"{_lines(forms)}\n"


def _lines(value: object, depth: int = 0) -> str:
    """Return JSON with one line per moment of an instance, and per field of a form."""
    if depth == _DEPTH or not value:
        return json.dumps(value)
    if isinstance(value, list):
        items = [_lines(item, depth + 1) for item in cast("list[object]", value)]
        return "[\n{}\n]".format(",\n".join(items))
    if isinstance(value, dict):
        fields = cast("Plain", value).items()
        parts = [f"{json.dumps(name)}: {_lines(field, depth + 1)}" for name, field in fields]
        return "{{\n{}\n}}".format(",\n".join(parts))
    return json.dumps(value)


def forms_in(text: bytes) -> Plain:
    """Return the forms in a file; raises `FormsError`."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from None
    plain = cast("Plain", value) if isinstance(value, dict) else {}
    version = plain.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        update = "update pytest-hydrasmoke, or " if newer else ""
        raise FormsError(
            f"it has the schema_version {version!r}, and this release writes {SCHEMA_VERSION}: "
            f"{update}move it away, and a run makes it anew"
        )
    if not _is_whole(plain):
        raise _damaged("it has no instances and manners as a run writes them")
    return plain


def _is_whole(plain: Plain) -> bool:
    try:
        manners = [form for forms in plain["manners"].values() for form in forms]
        return isinstance(plain["instances"], list) and all(map(_is_object, manners))
    except (KeyError, TypeError, AttributeError):
        return False


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _damaged(why: str) -> FormsError:
    return FormsError(
        f"it is damaged: {why}: mend it, for example from version control, or move it away, "
        "and a run makes it anew"
    )


def _joined(known: Sequence[Plain], new: Sequence[Plain]) -> list[Plain]:
    every = {json.dumps(form, sort_keys=True): form for form in (*known, *new)}
    return [form for _, form in sorted(every.items())]


def _instance(instance: InstanceReport) -> Plain:
    zero = min(span.at for span in instance.spans)
    exchanges = instance.exchanges
    troubled = any(one.error is not None or one.status in (429, 503) for one in exchanges)
    if not troubled:
        # Where an instance was not found in the end, its last words were on the way to that.
        looks = [one for one in exchanges if one.call == "status"]
        exchanges = tuple(one for one in looks[-1:] if one.status == 404)
    return {
        "spans": [
            {"phase": span.phase, "at": _at(span.at - zero), "seconds": _at(span.seconds)}
            for span in instance.spans
            if span.phase in ("provision", "row", "ready", "delete")
        ],
        "statuses": [{"at": _at(one.at - zero), "word": one.word} for one in instance.statuses],
        "turns": [_turn(turn, zero) for turn in instance.turns],
        "usage": [
            {"at": _at(one.at - zero), "count": one.count, "providers": one.providers}
            for one in instance.usage
        ],
        "exchanges": [
            {"call": one.call, "status": one.status, "error": one.error and "lost"}
            for one in exchanges
        ],
    }


def _turn(turn: TurnReport, zero: float) -> Plain:
    cut = turn.error is not None and turn.error.startswith("the reply was cut")
    return {
        "at": _at(turn.at - zero),
        "seconds": None if turn.seconds is None else _at(turn.seconds),
        "complete": turn.complete,
        "events": turn.events,
        "arrivals": [_at(at) for at in turn.arrivals[:_ARRIVALS]],
        # No text of an agent may be in this file.
        "error": turn.error and ("the reply was cut" if cut else "it failed"),
    }


def _at(seconds: float) -> float:
    return round(seconds, 3)
