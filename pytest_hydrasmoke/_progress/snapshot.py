"""The visible state of an instance at a moment, and the words for its log; all of it pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State

CHAT = frozenset({"turn", "llm_events"})
"""Phases of a chat: they wait for the agent, whatever the router's status word."""
_ENDS = {
    State.READY: "ready",
    State.FAILED: "failed",
    State.REFUSED: "refused",
    State.GONE: "deleted",
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
    failed: float | None = None
    """When its last failure was."""
    calling: str | None = None
    """The tool that the agent calls, safe to print."""


def take_snapshot(
    record: InstanceRecord, scrub: Callable[[str], str] = str, *, replies: bool = True
) -> Snapshot:
    """Read a record, in the thread that writes to it; `scrub` masks the token.

    Without `replies` no tool is named: its name is the agent's word.
    """
    doing = record.doing
    status = safe_line(scrub(repr(record.statuses[-1])), 60) if record.statuses else None
    name = record.key or record.id or "?"
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    failed = max((it.at for it in record.failures.values()), default=None)
    seen = Snapshot(name, record.state, status, born=record.born, failed=failed)
    if doing is None:
        return seen
    calling = record.calling and (safe_line(scrub(record.calling), 64) if replies else "a tool")
    return replace(
        seen, phase=doing.phase, since=doing.since, deadline=doing.deadline, calling=calling
    )


def news(before: Snapshot, after: Snapshot, now: float) -> str | None:
    """Return what has changed; None if it is of no interest."""
    if has_ended(before, after):
        return end(after, now)
    if after.phase is not None and (after.phase, after.status) != (before.phase, before.status):
        return _under_way(after, now)
    return None


def has_ended(before: Snapshot, after: Snapshot) -> bool:
    """Return whether a change leads to a final state."""
    # What a test asks for by hand has no phase: that it is refused is the test's affair.
    by_hand = after.state is State.REFUSED and after.phase is None
    word = _ENDS.get(after.state)
    return word is not None and word != _ENDS.get(before.state) and not by_hand


def end(seen: Snapshot, now: float) -> str:
    """Describe the final state."""
    word = _ENDS[seen.state]
    if seen.state is State.READY and seen.born is not None:
        return f"{word} after {duration(now - seen.born)}"
    if seen.state is State.FAILED and seen.status is not None:
        return f"{word}, status {seen.status}"
    return word


def duration(seconds: float) -> str:
    """Format a duration, to a tenth of a second where that matters."""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def _under_way(seen: Snapshot, now: float) -> str:
    """Describe the phase under way, its duration, the status and the time left."""
    elapsed = now - seen.since
    parts = [f"{seen.phase} {elapsed:.0f} s" if elapsed >= 1 else f"{seen.phase}"]
    if seen.status is not None and seen.phase not in CHAT:
        parts.append(f"status {seen.status}")
    if seen.deadline is not None:
        parts.append(f"{max(seen.deadline - now, 0):.0f} s left")
    return ", ".join(parts)
