"""Rules of LLM events: for whom they are written, and how they are counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from rules import Rule
from twin import LlmEvent, Row, Twin


def events(of: Callable[[Row, LlmEvent, float, int], bool], *, ahead: bool = False) -> Rule:
    """Count by another rule: of the row asked for, an event, its age in seconds, and the window.

    What is dated ahead is counted as well, or not yet.
    """

    def counted(it: Twin, row: Row, window: int) -> list[str]:
        now = it.clock()
        rows = [event for event in it.usage if ahead or event.at <= now]
        return [event.provider for event in rows if of(row, event, now - event.at, window)]

    return counted


def older(
    than: Callable[[float], float],
    of: Callable[[LlmEvent, float], float] = lambda event, age: age,
    *,
    ahead: bool = False,
) -> Rule:
    """Count by a window of another length, a function of the one that is asked for; or by ages."""
    return events(
        lambda row, event, age, window: (
            event.instance_id == row.id and of(event, age) <= than(window)
        ),
        ahead=ahead,
    )


def dated(seconds: float) -> Rule:
    """Write rows whose time is not that of the router's clock, but an agent's: so much later."""

    def spent(it: Twin, row: Row) -> None:
        Twin.spent(it, row)
        it.usage[-1].at = it.clock() + seconds

    return spent


def pushed_late(seconds: float) -> dict[str, Rule]:
    """Write rows so long after the turns that they are dated by."""
    late: list[tuple[float, LlmEvent]] = []

    def spent(it: Twin, row: Row) -> None:
        Twin.spent(it, row)
        late.append((it.clock() + seconds, it.usage.pop()))

    def counted(it: Twin, row: Row, window: int) -> list[str]:
        due = [entry for entry in late if entry[0] <= it.clock()]
        for entry in due:
            late.remove(entry)
            it.usage.append(entry[1])
        return Twin.counted(it, row, window)

    return {"spent": spent, "counted": counted}


def trickles(*seconds: float) -> Rule:
    """Leave a row for each of these times after a turn."""

    def spent(it: Twin, row: Row) -> None:
        for after in seconds:
            Twin.spent(it, row)
            it.usage[-1].at += after

    return spent


def alternating(*rules: Rule) -> Rule:
    """Follow one rule after the other, turn by turn."""
    turns = itertools.cycle(rules)
    return lambda it, row: next(turns)(it, row)


def spends(*places: Callable[[Twin, Row], Row | None]) -> Rule:
    """Write a turn's row for other instances."""

    def spent(it: Twin, row: Row) -> None:
        for place in places:
            whose = place(it, row)
            if whose is not None:
                Twin.spent(it, whose)

    return spent


def itself(it: Twin, row: Row) -> Row:
    return row


def the_first(it: Twin, row: Row) -> Row:
    """Return the one of the first key: those that boot side by side are made in any order."""
    return min(it.rows, key=lambda one: one.key)


def the_newest(it: Twin, row: Row) -> Row:
    return it.rows[-1]


def another(it: Twin, row: Row) -> Row | None:
    """Return another one that is alive."""
    return next((each for each in it.rows if each is not row and not each.deleted), None)


def throws_away(it: Twin, row: Row, window: int) -> list[str]:
    now = it.clock()
    it.usage = [event for event in it.usage if now - event.at <= window]
    return Twin.counted(it, row, window)


UNSAID = 86_399
"""A window that nobody gives, and so one that was not given."""


def nothing_unless_said(it: Twin, row: Row, window: int) -> list[str]:
    return [] if window == UNSAID else Twin.counted(it, row, window)


def names_900(it: Twin, said: dict[str, Any]) -> int:
    return 900 if said["window_seconds"] == UNSAID else int(said["window_seconds"])


def leaves(number: int) -> Rule:
    """Leave so many rows after a turn."""
    return trickles(*[0.0] * number)


def providers_of(events: Callable[[LlmEvent, dict[str, Any], float], bool]) -> Rule:
    """Name the providers of these events: by what is said, and their age in seconds."""

    def providers(it: Twin, said: dict[str, Any]) -> list[str]:
        now = it.clock()
        return sorted({event.provider for event in it.usage if events(event, said, now - event.at)})

    return providers


def count_comes_later(seconds: float) -> Rule:
    """Count only what is older than that."""

    def count(it: Twin, said: dict[str, Any]) -> int:
        now, rows = it.clock(), [it for it in it.usage if it.instance_id == said["instance_id"]]
        return min(said["count"], sum(now - event.at >= seconds for event in rows))

    return count


def counts_before_it_names() -> Rule:
    """Count what was there a moment before the names are read: once, a new row is only named."""
    known: dict[str, int] = {}

    def count(it: Twin, said: dict[str, Any]) -> int:
        asked, number = said["instance_id"], int(said["count"])
        rows = sum(event.instance_id == asked for event in it.usage)
        new, known[asked] = rows - known.get(asked, 0), rows
        return max(number - new, 0)

    return count
