"""The table of a run's instances for a terminal, as wide as that is; all of it pure.

Where it is too wide it becomes several tables below each other, each with the instances' slots in
front. With very many instances, unremarkable ones show only their times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from pytest_hydrasmoke._base.run_keys import slot_of
from pytest_hydrasmoke._base.width import width_of
from pytest_hydrasmoke._core.phases import PHASES

from .model import InstanceReport, Report

MANY = 12
"""The most instances that are all shown in full."""
MARK = "*"
"""The mark of an instance's slowest phase, where there are no colours."""
_LABEL = 8

Piece = tuple[str, str]
"""A text and its style: pytest's markup, by name, or nothing."""
Line = list[Piece]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, and a cell for each row."""

    title: str
    cells: tuple[Piece, ...]
    left: bool = False

    @property
    def width(self) -> int:
        """Return how many columns of the terminal it takes."""
        return max(width_of(text) for text in (self.title, *(text for text, _ in self.cells)))

    def padded(self, piece: Piece) -> Piece:
        """Return one of its cells, padded to its width."""
        room = " " * (self.width - width_of(piece[0]))
        return (piece[0] + room if self.left else room + piece[0]), piece[1]


def table(report: Report, width: int, *, colour: bool) -> list[Line]:
    """Draw the instances, at most `width` columns wide if possible."""
    instances = report.instances
    shown = [
        instance for instance in instances if len(instances) <= MANY or remarkable(instance, report)
    ]
    slots = Column(
        "slot", tuple((label_of(instance, report), "") for instance in instances), left=True
    )
    times = [_outcomes(instances), *_times(instances, colour=colour)]
    counts = list(_counts(shown, report))
    if len(instances) > MANY:
        slots, times = _with_median(slots, times, instances, colour=colour)
    elif _fits([slots, *times, *counts], width):
        return _drawn([slots, *times, *counts], width)
    lines = _blocks(slots, times, width)
    if shown:
        its_slots = Column(
            "slot", tuple((label_of(instance, report), "") for instance in shown), left=True
        )
        lines += [[], *_blocks(its_slots, counts, width)]
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


def _outcomes(instances: Sequence[InstanceReport]) -> Column:
    styles = {"leaked": "red bold", "kept": "yellow"}
    cells = ((instance.outcome, styles.get(instance.outcome, "")) for instance in instances)
    return Column("outcome", tuple(cells), left=True)


def _times(instances: Sequence[InstanceReport], *, colour: bool) -> Iterator[Column]:
    slowest = [
        max(instance.phases, key=lambda name: instance.phases[name], default="")
        for instance in instances
    ]
    marked = {name for name in slowest if name and not colour}
    for name in PHASES:
        room = " " if name in marked else ""
        cells = (
            _time(instance.phases.get(name), slow == name, room)
            for instance, slow in zip(instances, slowest, strict=True)
        )
        yield Column(name + room, tuple(cells))


def _time(seconds: float | None, slowest: bool, room: str) -> Piece:
    if seconds is None:
        return "", ""
    if slowest:
        return f"{seconds:.1f}s{MARK if room else ''}", "bold"
    return f"{seconds:.1f}s{room}", ""


def _with_median(
    slots: Column, times: Sequence[Column], instances: Sequence[InstanceReport], *, colour: bool
) -> tuple[Column, list[Column]]:
    """Add the median and the maximum of the phases as two rows below the others."""
    wide = [Column("slot", (*slots.cells, ("median", ""), ("slowest", "")), left=True)]
    reduce: tuple[Callable[[list[float]], float], ...] = (median, max)
    for column in times:
        name = column.title.strip()
        taken = [instance.phases[name] for instance in instances if name in instance.phases]
        room = column.title[len(name) :]
        more = [_time(each(taken) if taken else None, False, room) for each in reduce]
        wide.append(Column(column.title, (*column.cells, *more), column.left))
    return wide[0], wide[1:]


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


def _blocks(slots: Column, columns: Sequence[Column], width: int) -> list[Line]:
    """Draw as many columns beside each other as there is space for, and the rest below."""
    for number in range(len(columns), 1, -1):
        if _fits([slots, *columns[:number]], width):
            break
    else:
        number = 1
    lines = _drawn([slots, *columns[:number]], width)
    rest = columns[number:]
    return [*lines, [], *_blocks(slots, rest, width)] if rest else lines


def _fits(columns: Sequence[Column], width: int, gap: int = 1) -> bool:
    return sum(column.width for column in columns) + gap * (len(columns) - 1) <= width


def _drawn(columns: Sequence[Column], width: int) -> list[Line]:
    gap = "  " if _fits(columns, width, gap=2) else " "
    heads = [column.padded((column.title, "bold")) for column in columns]
    rows = zip(*([column.padded(cell) for cell in column.cells] for column in columns), strict=True)
    return [_line(row, gap) for row in (heads, *rows)]


def _line(cells: Sequence[Piece], gap: str) -> Line:
    """Join cells on one line, without spaces at the end."""
    line: Line = []
    for text, style in cells:
        line += [(text, style), (gap, "")]
    while line and not line[-1][0].strip():
        line.pop()
    return [*line[:-1], (line[-1][0].rstrip(), line[-1][1])] if line else line
