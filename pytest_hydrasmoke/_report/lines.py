"""What is logged of a run's entries, and which of them get a line: a fold, without I/O or a clock.

A short phase gets only its outcome. A phase that lasts gets a line, another one for each new status
word, and one now and then that says that it still lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import (
    Became,
    Claimed,
    Doing,
    Entry,
    Failed,
    RunsCounted,
    Status,
)
from pytest_hydrasmoke._journal.states import State

BRIEF = 2.0
"""Seconds that a phase lasts before it gets a line."""
FIRST = 10.0
"""Seconds after which a line says that a phase still lasts."""
EVERY = 30.0
"""Seconds between two such lines."""

_CHAT = {"turn", "llm_events"}
"""Phases of a chat: they wait for the agent, whatever the router's status word."""
_DOING = {
    "provision": "provisioning",
    "row": "waiting for its row",
    "ready": "booting",
    "turn": "chatting",
    "llm_events": "waiting for its LLM events",
    "delete": "deleting",
}
_ENDS = {
    State.READY: "ready",
    State.FAILED: "failed",
    State.REFUSED: "refused",
    State.GONE: "deleted",
    State.DELETED: "deleted",
    State.KEPT: "kept",
}
_LONGEST_KEY = 72
_LONGEST_TEST = 300


class News(NamedTuple):
    """What to log of an entry, and its line, if it gets one now."""

    logged: str | None = None
    line: str | None = None


@dataclass(slots=True)
class _Seen:
    """An instance as it is by now."""

    name: str
    state: State = State.CLAIMED
    status: str | None = None
    """The last status word, safe to print."""
    joined: bool = False
    """Whether its next state may be the one that it had before this process claimed it, too."""


@dataclass(slots=True)
class _Phase:
    seen: _Seen
    by: str
    """The process in which it is under way; empty for this one."""
    name: str
    since: float
    due: float
    """When its next line is due."""
    deadline: float | None = None
    tool: str | None = None
    """The tool that the agent calls, safe to print."""
    shown: bool = False
    failed: bool = False

    def words(self, now: float) -> str:
        tool = () if self.tool is None else (f"calling {self.tool}",)
        return ", ".join((_DOING[self.name], f"{now - self.since:.0f} s", *self._status, *tool))

    def logged(self, now: float) -> str:
        """Describe it with the time left."""
        elapsed = now - self.since
        name = f"{self.name} {elapsed:.0f} s" if elapsed >= 1 else self.name
        left = () if self.deadline is None else (f"{max(self.deadline - now, 0):.0f} s left",)
        return ", ".join((name, *self._status, *left))

    @property
    def _status(self) -> tuple[str, ...]:
        status = self.seen.status
        return () if status is None or self.name in _CHAT else (f"status {status}",)


class Lines:
    """The instances of a run; without `changes` there is no line for what a log shows already."""

    def __init__(self, clean: Callable[[str], str] = str, *, changes: bool = True) -> None:
        self._clean = clean
        """Masks the token."""
        self.changes = changes
        self._seen: dict[str, _Seen] = {}
        self._phases: dict[str, _Phase] = {}
        self._runs: dict[str, tuple[int, float]] = {}
        """How often a test's body has begun, and when it did so last."""

    @property
    def under_way(self) -> bool:
        """Whether a phase may get a line later."""
        return bool(self._phases)

    def apply(self, entry: Entry, process: str = "") -> News:
        """Add an entry, and return what to tell of it; `process` is another one that wrote it."""
        event = entry.event
        if isinstance(event, RunsCounted):
            return self._runs_on(process, entry.at, event)
        if entry.of is None or not isinstance(event, Claimed | Became | Status | Failed | Doing):
            return News()
        name = self._safe(entry.of, _LONGEST_KEY)
        seen = self._seen.setdefault(name, _Seen(name))
        logged, line = self._apply(seen, process, entry.at, event)
        return News(logged and f"{name}: {logged}", line and f"{_of(process)}{name}: {line}")

    def _apply(
        self,
        seen: _Seen,
        process: str,
        at: float,
        event: Claimed | Became | Status | Failed | Doing,
    ) -> News:
        phase = self._phases.get(seen.name)
        match event:
            case Claimed():
                seen.joined = True
            case Became():
                return self._becomes(seen, at, event)
            case Doing():
                return self._does(seen, process, at, event)
            case Status():
                seen.status = self._safe(repr(event.word), 60)
                if phase is not None:
                    line = phase.words(at) if self.changes and phase.shown else None
                    return News(phase.logged(at), line)
            case Failed():
                if phase is not None:
                    phase.failed = True
        return News()

    def due(self, now: float) -> list[str]:
        """Return the lines of phases that last."""
        return [
            f"{_of(phase.by)}{name}: {_lasting(phase, now)}"
            for name, phase in self._phases.items()
            if now >= phase.due
        ]

    def ends(self, process: str) -> None:
        """Take it that nothing is under way in a process: it is no more."""
        for name in [name for name, phase in self._phases.items() if phase.by == process]:
            del self._phases[name]

    def _becomes(self, seen: _Seen, at: float, event: Became) -> News:
        before, seen.state, phase = seen.state, event.state, self._phases.get(seen.name)
        joined, seen.joined = seen.joined, False
        word = _ENDS.get(event.state)
        # What a test asks for by hand has no phase: that it is refused is the test's affair.
        quiet = phase is None and (joined or event.state is State.REFUSED)
        if word is None or word == _ENDS.get(before) or quiet:
            return News()
        elapsed = 0.0
        if phase is not None:
            phase.shown = False  # The line shows how it ended.
            elapsed = at - phase.since
        words = word
        if event.state is State.READY and event.seconds:
            words = f"{word} after {_duration(event.seconds)}"
        elif event.state is State.FAILED and seen.status is not None:
            words = f"{word}, status {seen.status}"
        deleted = word == "deleted"
        # Without a time since its request it was ready before.
        at_once = elapsed < BRIEF and (deleted or (word == "ready" and not event.seconds))
        line = f"{word} after {_duration(elapsed)}" if deleted else words
        return News(words, line if self.changes and not at_once else None)

    def _does(self, seen: _Seen, process: str, at: float, event: Doing) -> News:
        if event.phase is None:
            phase = self._phases.pop(seen.name, None)
            if phase is None or not phase.shown or not phase.failed or not self.changes:
                return News()
            return News(None, f"gave up {_DOING[phase.name]} after {_duration(at - phase.since)}")
        before = self._phases.get(seen.name)
        # Chats are many, and their beginnings are no news.
        brief = self.changes and event.phase not in _CHAT
        phase = _Phase(seen, process, event.phase, at, at + (BRIEF if brief else FIRST))
        if before is not None and before.name == event.phase:
            phase = before
        self._phases[seen.name] = phase
        phase.deadline = event.deadline
        phase.tool = event.tool and self._safe(event.tool, 64)
        return News() if phase is before else News(phase.logged(at))

    def _runs_on(self, process: str, at: float, event: RunsCounted) -> News:
        """Tell of a test's next run; it gets a line if there was time to read the one before."""
        before, since = self._runs.get(event.test, (0, at))
        self._runs[event.test] = event.began, at
        if not 0 < before < event.began:
            return News()
        test = self._safe(event.test, _LONGEST_TEST)
        words = f"{test}: run {event.began} of {event.most}, {event.passed} passed"
        shown = self.changes and at - since >= BRIEF
        return News(words, f"{_of(process)}{words}" if shown else None)

    def _safe(self, text: str, most: int) -> str:
        """Return words that are safe to print; the token is masked before they are cut."""
        return safe_line(self._clean(text), most)


def _lasting(phase: _Phase, now: float) -> str:
    """Say that a phase lasts, and when to say so again."""
    phase.shown, elapsed = True, now - phase.since
    if elapsed < FIRST:
        phase.due = phase.since + FIRST
        return phase.words(now)
    phase.due = phase.since + FIRST + EVERY * ((elapsed - FIRST) // EVERY + 1)
    return f"still {phase.words(now)}"


def _of(process: str) -> str:
    return f"{process}: " if process else ""


def _duration(seconds: float) -> str:
    """Format a duration, to a tenth of a second where that matters."""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
