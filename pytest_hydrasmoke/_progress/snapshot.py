"""What is to be seen of an instance at a moment, in words for whoever waits; all of it pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.record import InstanceRecord, State

SWIFT = frozenset({"turn", "llm_events"})
"""Phases that there are many of, and that are short: worth a word only once they last."""
_ENDS = {
    State.READY: "ready",
    State.FAILED: "failed",
    State.REFUSED: "refused",
    State.ABSENT: "absent: the router never had a row for it",
    State.DELETED: "deleted",
    State.KEPT: "kept",
}


_LONGEST = 72


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An instance at a moment; points in time are seconds on the IO's clock."""

    name: str
    """Its key, or the id of one that the run is attached to; no longer than fits a line."""
    state: State = State.CLAIMED
    status: str | None = None
    """The last status word, safe to print."""
    phase: str | None = None
    since: float = 0.0
    deadline: float | None = None
    born: float | None = None


def take_snapshot(record: InstanceRecord, scrub: Callable[[str], str] = str) -> Snapshot:
    """Look at a record, in the thread that writes to it; `scrub` masks what must not be shown."""
    doing = record.doing
    status = safe_line(scrub(repr(record.statuses[-1])), 60) if record.statuses else None
    name = record.key or record.id or "?"
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    seen = Snapshot(name, record.state, status, born=record.born)
    if doing is None:
        return seen
    return Snapshot(
        seen.name, seen.state, status, doing.phase, doing.since, doing.deadline, seen.born
    )


def news(before: Snapshot, after: Snapshot, now: float) -> str | None:
    """Return what has changed; None if it is nothing that a person would want to know."""
    if after.state is not before.state and after.state in _ENDS:
        # One that was never asked for was not refused either: only its key is free again.
        never_asked = after.state is State.REFUSED and after.phase is None
        return None if never_asked else _end(after, now)
    if after.phase is not None and (after.phase, after.status) != (before.phase, before.status):
        return under_way(after, now)
    return None


def _end(seen: Snapshot, now: float) -> str:
    word = _ENDS[seen.state]
    if seen.state is State.READY and seen.born is not None:
        return f"{word} after {now - seen.born:.0f} s"
    if seen.state is State.FAILED and seen.status is not None:
        return f"{word}, status {seen.status}"
    return word


def under_way(seen: Snapshot, now: float) -> str:
    """Describe the phase under way, for how long it has been, the status and the time left."""
    elapsed = now - seen.since
    parts = [f"{seen.phase} {elapsed:.0f} s" if elapsed >= 1 else f"{seen.phase}"]
    if seen.status is not None and seen.phase not in SWIFT:
        parts.append(f"status {seen.status}")
    if seen.deadline is not None:
        parts.append(f"{max(seen.deadline - now, 0):.0f} s left")
    return ", ".join(parts)


def overall(seen: Collection[Snapshot], now: float) -> tuple[str, str]:
    """Describe several by the one that is longest at its phase: its name, and words."""
    longest = min(seen, key=lambda it: it.since)
    number = f"{len(seen)} at once, " if len(seen) > 1 else ""
    return longest.name, number + under_way(longest, now)
