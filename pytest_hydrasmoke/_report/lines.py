"""What is logged of a run's entries, and which of them get a line: a fold, without I/O or a clock.

A short phase gets only its outcome. A phase that lasts gets a line, another one for each new status
word, and one now and then that says that it still lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pytest_hydrasmoke._api.retry import TRANSIENT
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import (
    Attempt,
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
    """An instance as it is by now for one process."""

    name: str
    state: State = State.CLAIMED
    status: str | None = None
    """The last status word, safe to print."""
    claimed: bool = False
    """Whether nothing was told since its claim: another process may have begun it before."""


@dataclass(slots=True)
class _Phase:
    seen: _Seen
    name: str
    since: float
    due: float
    """When its next line is due."""
    deadline: float | None = None
    tool: str | None = None
    """The tool that the agent calls, safe to print."""
    refusal: int | None = None
    """The code of its last answer, where that is one to ask again after."""
    shown: bool = False
    failed: bool = False

    def words(self, now: float) -> str:
        tool = () if self.tool is None else (f"calling {self.tool}",)
        last = () if self.refusal is None else (f"last answer {self.refusal}",)
        lasted = f"{now - self.since:.0f} s"
        return ", ".join((_DOING[self.name], lasted, *self._status, *tool, *last))

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

    def lasts(self, now: float) -> str:
        """Say that it lasts, and when to say so again."""
        self.shown, elapsed = True, now - self.since
        again = elapsed >= FIRST
        more = EVERY * ((elapsed - FIRST) // EVERY + 1) if again else 0.0
        self.due = self.since + FIRST + more
        return f"{self.seen.name}: {'still ' if again else ''}{self.words(now)}"


class ProgressLines:
    """The instances of a run; without `changes` there is no line for what a log shows already."""

    def __init__(self, clean: Callable[[str], str] = str, *, changes: bool = True) -> None:
        self._clean = clean
        """Masks the token."""
        self.changes = changes
        self._seen: dict[tuple[str, str], _Seen] = {}
        """By process, which is empty for this one, and key."""
        self._phases: dict[tuple[str, str], _Phase] = {}
        self._runs: dict[str, tuple[int, float]] = {}
        """How often a test's body has begun, and when it did so last."""

    @property
    def under_way(self) -> bool:
        """Whether a phase may get a line later."""
        return bool(self._phases)

    def due(self, now: float) -> list[str]:
        """Return the lines of phases that last."""
        return [phase.lasts(now) for phase in self._phases.values() if now >= phase.due]

    def ends(self, process: str) -> None:
        """Take it that nothing is under way in a process: it is no more."""
        self._phases = {key: phase for key, phase in self._phases.items() if key[0] != process}

    def apply(self, entry: Entry, process: str = "") -> News:
        """Add an entry, and return what to tell of it; `process` is another one that wrote it."""
        event, at, by = entry.event, entry.at, f"{process}: " if process else ""
        news = News()
        if isinstance(event, RunsCounted):
            name, news = by + self._safe(event.test, _LONGEST_TEST), self._runs_on(event, at)
        elif entry.of is None:
            return news
        else:
            key = process, entry.of
            if key not in self._seen:
                self._seen[key] = _Seen(by + self._safe(entry.of, _LONGEST_KEY))
            seen, phase = self._seen[key], self._phases.get(key)
            name = seen.name
            match event:
                case Claimed():
                    seen.claimed = True
                case Failed() if phase is not None:
                    phase.failed = True
                case Attempt(status=int(code)) if phase is not None:
                    phase.refusal = code if code in TRANSIENT else None
                case Status():
                    seen.status = self._safe(repr(event.word), 60)
                    if phase is not None:
                        news = News(phase.logged(at), phase.words(at) if phase.shown else None)
                case Became():
                    news = _outcome(seen, phase, event, at)
                case Doing(phase=None):
                    self._phases.pop(key, None)
                    if phase is not None and phase.shown and phase.failed:
                        lasted = _duration(at - phase.since)
                        news = News(None, f"gave up {_DOING[phase.name]} after {lasted}")
                case Doing():
                    news = self._does(key, event, at)
                case _:
                    pass
        line = f"{name}: {news.line}" if news.line is not None and self.changes else None
        return News(news.logged and f"{name}: {news.logged}", line)

    def _does(self, key: tuple[str, str], event: Doing, at: float) -> News:
        phase, begins = self._phases.get(key), False
        if phase is None or phase.name != event.phase:
            # Chats are many, and their beginnings are no news.
            brief = self.changes and event.phase not in _CHAT
            due = at + (BRIEF if brief else FIRST)
            phase, begins = _Phase(self._seen[key], str(event.phase), at, due), True
            self._phases[key] = phase
        phase.deadline = event.deadline
        phase.tool = event.tool and self._safe(event.tool, 64)
        return News(phase.logged(at) if begins else None)

    def _runs_on(self, event: RunsCounted, at: float) -> News:
        """Tell of a test's next run; it gets a line if there was time to read the one before."""
        before, since = self._runs.get(event.test, (0, at))
        self._runs[event.test] = event.began, at
        if not 0 < before < event.began:
            return News()
        words = f"run {event.began} of {event.most}, {event.passed} passed"
        return News(words, words if at - since >= BRIEF else None)

    def _safe(self, text: str, most: int) -> str:
        """Return words that are safe to print; the token is masked before they are cut."""
        return safe_line(self._clean(text), most)


def _outcome(seen: _Seen, phase: _Phase | None, event: Became, at: float) -> News:
    """Tell of a final state."""
    before, seen.state = _ENDS.get(seen.state), event.state
    claimed, seen.claimed = seen.claimed, False
    word = _ENDS.get(event.state)
    # What a test asks for by hand has no phase: that it is refused is the test's affair.
    quiet = phase is None and (claimed or event.state is State.REFUSED)
    if word in (None, before) or quiet:
        return News()
    elapsed = 0.0 if phase is None else at - phase.since
    if phase is not None:
        phase.shown = False  # The line shows how it ended.
    if word == "deleted":
        return News(word, f"deleted after {_duration(elapsed)}" if elapsed >= BRIEF else None)
    if word == "ready" and not event.seconds:
        # It was ready before, or another process has told it.
        return News(word, word if elapsed >= BRIEF else None)
    if word == "ready":
        word = f"ready after {_duration(event.seconds)}"
    elif word == "failed" and seen.status is not None:
        word = f"failed, status {seen.status}"
    return News(word, word)


def _duration(seconds: float) -> str:
    """Format a duration, to a tenth of a second where that matters."""
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
