"""Which changes of instances get a line, and when; no I/O, and no clock of its own.

A short phase gets only its outcome. A phase that lasts gets a line, another one for each new status
word, and one now and then that says that it still lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_hydrasmoke._journal.states import State

from .snapshot import CHAT, Snapshot, duration, end, has_ended

BRIEF = 2.0
"""Seconds that a phase lasts before it gets a line."""
FIRST = 10.0
"""Seconds after which a line says that a phase still lasts."""
EVERY = 30.0
"""Seconds between two such lines."""

_DOING = {
    "provision": "provisioning",
    "row": "waiting for its row",
    "ready": "booting",
    "turn": "chatting",
    "llm_events": "waiting for its LLM events",
    "delete": "deleting",
}


@dataclass(slots=True)
class _Phase:
    seen: Snapshot
    due: float
    """When its next line is due."""
    shown: bool = False


class Lines:
    """The phases under way; with `changes` false there is no line for what a log shows already."""

    def __init__(self, *, changes: bool = True) -> None:
        self._changes = changes
        self._phases: dict[str, _Phase] = {}

    @property
    def under_way(self) -> bool:
        """Whether a phase may get a line later."""
        return bool(self._phases)

    def changed(self, before: Snapshot, after: Snapshot, now: float) -> str | None:
        """Handle a change; return its line, or None if it gets none, or not yet."""
        words = self._words(self._phase_of(after), before, after, now)
        return f"{after.name}: {words}" if words is not None and self._changes else None

    def due(self, now: float) -> list[str]:
        """Return the lines of phases that last."""
        due = [phase for phase in self._phases.values() if now >= phase.due]
        return [f"{phase.seen.name}: {self._lasting(phase, now)}" for phase in due]

    def run_begins(self, line: str, lasted: float) -> list[str]:
        """Return the line on a test's next run, if there is time to read it."""
        return [line] if lasted >= BRIEF and self._changes else []

    def _phase_of(self, seen: Snapshot) -> _Phase | None:
        """Return the phase that an instance is in, or has just left."""
        phase = self._phases.get(seen.name)
        if seen.phase is None:
            return self._phases.pop(seen.name, None)
        if phase is None or (phase.seen.phase, phase.seen.since) != (seen.phase, seen.since):
            # Chats are many, and their beginnings are no news.
            brief = self._changes and seen.phase not in CHAT
            phase = _Phase(seen, seen.since + (BRIEF if brief else FIRST))
            self._phases[seen.name] = phase
        phase.seen = seen
        return phase

    def _lasting(self, phase: _Phase, now: float) -> str:
        since, elapsed = phase.seen.since, now - phase.seen.since
        phase.shown = True
        if elapsed < FIRST:
            phase.due = since + FIRST
            return _under_way(phase.seen, now)
        phase.due = since + FIRST + EVERY * ((elapsed - FIRST) // EVERY + 1)
        return f"still {_under_way(phase.seen, now)}"

    def _words(
        self, phase: _Phase | None, before: Snapshot, after: Snapshot, now: float
    ) -> str | None:
        if has_ended(before, after):
            return _outcome(phase, after, now)
        if phase is None or not phase.shown:
            return None
        if after.phase is None:
            return _given_up(phase.seen, after, now)
        return _under_way(after, now) if after.status != before.status else None


def _outcome(phase: _Phase | None, after: Snapshot, now: float) -> str | None:
    elapsed = 0.0
    if phase is not None:
        phase.shown = False  # This line shows how it ended.
        elapsed = now - phase.seen.since
    words = end(after, now)
    deleted = after.state in (State.GONE, State.DELETED)
    # If this process did not request it, it was ready before, or another worker has shown it.
    joined = after.state is State.READY and after.born is None
    if elapsed < BRIEF and (deleted or joined):
        return None
    return f"{words} after {duration(elapsed)}" if deleted else words


def _under_way(seen: Snapshot, now: float) -> str:
    parts = [_DOING[str(seen.phase)], f"{now - seen.since:.0f} s"]
    if seen.status is not None and seen.phase not in CHAT:
        parts.append(f"status {seen.status}")
    if seen.calling is not None:
        parts.append(f"calling {seen.calling}")
    return ", ".join(parts)


def _given_up(left: Snapshot, after: Snapshot, now: float) -> str | None:
    """Describe a phase that ended in a failure."""
    if after.failed is None or after.failed <= left.since:
        return None
    return f"gave up {_DOING[str(left.phase)]} after {duration(now - left.since)}"
