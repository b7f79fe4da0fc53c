"""A run's instances for a terminal: a table of their times, and one of what is counted; all pure.

With very many instances, unremarkable ones show only their times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median

from pytest_hydrasmoke._base.run_keys import slot_of
from pytest_hydrasmoke._base.table import Column, Line, Piece, aligned
from pytest_hydrasmoke._journal.story import PHASES

from .model import InstanceReport, Report

MANY = 12
"""The most instances that are all shown in full."""
MARK = "*"
"""The mark of an instance's slowest phase, where there are no colours."""
_LABEL = 8
_SUMS: Mapping[str, Callable[[list[float]], float]] = {"median": median, "slowest": max}


def table(report: Report, width: int, *, colour: bool) -> list[Line]:
    """Draw the instances; what is counted is shown below their times."""
    instances = report.instances
    many = len(instances) > MANY
    shown = [instance for instance in instances if not many or remarkable(instance, report)]
    slots, outcomes = _slots(instances, report), _outcomes(instances)
    if many:
        # Two more rows below the others.
        slots = replace(slots, cells=(*slots.cells, *((word, "") for word in _SUMS)))
        outcomes = replace(outcomes, cells=(*outcomes.cells, *[("", "")] * len(_SUMS)))
    times = _times(instances, colour=colour, sums=[*_SUMS.values()] if many else [])
    lines = aligned([slots, outcomes, *times], width)
    if shown:
        lines += [[], *aligned([_slots(shown, report), *_counts(shown, report)], width)]
    return lines


def remarkable(it: InstanceReport, report: Report) -> bool:
    """Return whether an instance has more to report than its times."""
    calm = it.outcome == "deleted" and verdict(it, report) == "ok"
    return not calm or bool(it.notes or it.drift or it.retries)


def verdict(it: InstanceReport, report: Report) -> str:
    """Return an instance's outcome as a word."""
    if it.outcome == "leaked":
        return "leaked"
    if it.failed:
        return "failed"
    if it.interrupted or _in_use(it, report):
        return "interrupted"
    slow = any(breach.instance == it.name for breach in report.breaches)
    return "over budget" if slow else "ok"


def _in_use(it: InstanceReport, report: Report) -> bool:
    """Return whether a test that used it was interrupted."""
    return any(case.outcome == "interrupted" and case.id in it.tests for case in report.tests)


def label_of(it: InstanceReport, report: Report) -> str:
    """Return the part of its key after the run id, which is unique in the run."""
    slot = slot_of(report.run_id, it.idempotency_key or "-")
    return slot if len(slot) <= _LABEL else f"...{slot[3 - _LABEL :]}"


def _slots(instances: Sequence[InstanceReport], report: Report) -> Column:
    return Column("slot", tuple((label_of(it, report), "") for it in instances), left=True)


def _outcomes(instances: Sequence[InstanceReport]) -> Column:
    styles = {"leaked": "red bold", "kept": "yellow"}
    cells = ((instance.outcome, styles.get(instance.outcome, "")) for instance in instances)
    return Column("outcome", tuple(cells), left=True)


def _times(
    instances: Sequence[InstanceReport],
    *,
    colour: bool,
    sums: Sequence[Callable[[list[float]], float]],
) -> Iterator[Column]:
    slowest = [
        max(instance.phases, key=lambda name: instance.phases[name], default="")
        for instance in instances
    ]
    marked = {name for name in slowest if name and not colour}
    for name in PHASES:
        room = " " if name in marked else ""
        cells = [
            _time(instance.phases.get(name), slow == name, room)
            for instance, slow in zip(instances, slowest, strict=True)
        ]
        taken = [instance.phases[name] for instance in instances if name in instance.phases]
        cells += [_time(each(taken) if taken else None, False, room) for each in sums]
        yield Column(name + room, tuple(cells))


def _time(seconds: float | None, slowest: bool, room: str) -> Piece:
    if seconds is None:
        return "", ""
    if slowest:
        return f"{seconds:.1f}s{MARK if room else ''}", "bold"
    return f"{seconds:.1f}s{room}", ""


def _counts(instances: Sequence[InstanceReport], report: Report) -> Iterator[Column]:
    def counted(title: str, count: Callable[[InstanceReport], int]) -> Column:
        return Column(title, tuple((str(count(instance)), "") for instance in instances))

    yield counted("chats", lambda it: it.chats)
    if any(instance.tokens.total for instance in report.instances):
        yield Column("tokens", tuple((_tokens(instance), "") for instance in instances))
    yield counted("retries", lambda it: it.retries)
    yield counted("polls", lambda it: it.requests.get("poll", 0) + it.requests.get("status", 0))
    yield counted("notes", lambda it: len(it.notes))
    yield counted("drift", lambda it: len(it.drift))
    words = (verdict(instance, report) for instance in instances)
    yield Column(
        "verdict", tuple((word, "" if word == "ok" else "red bold") for word in words), True
    )


def _tokens(it: InstanceReport) -> str:
    """Return its tokens; a chat without usage may have used more."""
    more = "?" if it.untold else ""
    return f"{it.tokens.total or ''}{more}"
