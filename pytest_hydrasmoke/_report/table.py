"""A run's instances for a terminal: a table of how long each phase took; all pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from pytest_hydrasmoke._base.columns import Column, Line, aligned
from pytest_hydrasmoke._base.run_keys import slot_of
from pytest_hydrasmoke._journal.story import PHASES

from .model import InstanceReport, Report

MANY = 12
"""The most instances that are all shown in full."""
_LABEL = 8
_Sum = Callable[[list[float]], float]
_SUMS: Mapping[str, _Sum] = {"median": median, "slowest": max}


def table(report: Report, width: int, *, colour: bool) -> list[Line]:
    """Draw how long the phases of each instance took; nothing where all of them took no time."""
    instances = report.instances
    sums: Mapping[str, _Sum] = _SUMS if len(instances) > MANY else {}
    labels = [label_of(it, report) for it in instances]
    styles = {"leaked": "red bold", "kept": "yellow"}
    outcomes = [(it.outcome, styles.get(it.outcome, "")) for it in instances]
    times = [*_times(instances, [*sums.values()], colour=colour)]
    if not times:
        return []
    names = Column("instance", tuple((name, "") for name in (*labels, *sums)), left=True)
    ends = Column("outcome", (*outcomes, *[("", "")] * len(sums)), left=True)
    return aligned([names, ends, *times], width)


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


def _times(
    instances: Sequence[InstanceReport],
    sums: Sequence[_Sum],
    *,
    colour: bool,
) -> Iterator[Column]:
    """Yield a column for each phase that took time; in colours, the slowest of a row stands out."""
    for name in PHASES:
        taken = [it.phases[name] for it in instances if name in it.phases]
        cells = [
            (_seconds(it.phases.get(name)), _style(name, it.phases, colour)) for it in instances
        ]
        cells += [(_seconds(each(taken) if taken else None), "") for each in sums]
        if any(text not in ("", "0.0s") for text, _ in cells):
            yield Column(name, tuple(cells))


def _seconds(it: float | None) -> str:
    return "" if it is None else f"{it:.1f}s"


def _style(name: str, phases: Mapping[str, float], colour: bool) -> str:
    return "bold" if colour and phases and name == max(phases, key=lambda it: phases[it]) else ""
