"""Progress on a clock and a terminal of its own, and instances to make up a story of."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._journal.events import (
    Became,
    Claimed,
    Doing,
    Entry,
    Event,
    Failed,
    RunsCounted,
    Status,
)
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.stories import Tail
from pytest_hydrasmoke._report import live
from pytest_hydrasmoke._report.lines import Lines, News
from pytest_hydrasmoke._report.live import Progress

TOKEN = "a-made-up-token-of-nobody"


class Rows:
    """A terminal whose lines are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, text: str) -> None:
        self.lines.append(text)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


class Told:
    """An instance of which events tell."""

    def __init__(self, watched: Watched, name: str) -> None:
        self._watched = watched
        self.name = name
        self.born: float | None = None

    def note(self, event: Event) -> None:
        self._watched.note(event, self.name)

    def begins(self, phase: str, deadline: float | None = None, tool: str | None = None) -> None:
        self.note(Doing(phase, deadline, tool))

    def rests(self) -> None:
        self.note(Doing(None))

    def becomes(self, state: State) -> None:
        now = self._watched.clock.now()
        if state is State.REQUESTED:
            self.born = now
        self.note(Became(state, None, 0.0 if self.born is None else now - self.born))

    def saw_status(self, word: str) -> None:
        self.note(Status(word))

    def fails(self) -> None:
        self.note(Failed(1, "it", "it"))


class Watched:
    """Progress on a clock of its own, and instances to make up a story of."""

    def __init__(
        self, config: pytest.Config, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.clock = VirtualClock(100.0)
        self.interrupts = Interrupts()
        self.terminal = Rows()
        monkeypatch.setattr(live, "terminal_of", lambda config: self.terminal)
        self.progress = Progress(
            config,
            Tail(folder, "main"),
            self.interrupts,
            scrubbing(Token(TOKEN)),
            clock=self.clock.now,
        )
        self.progress.pytest_sessionstart()
        self._number = 0

    def note(self, event: Event, name: str | None) -> None:
        self.progress.saw(Entry(self.clock.now(), name, event))

    def instance(self) -> Told:
        name = f"nightly-7-{self._number}"
        self._number += 1
        return Told(self, name)

    def begins(self, phase: str) -> Told:
        """Return a new instance, at the beginning of a phase."""
        told = self.instance()
        told.begins(phase)
        return told

    def joined(self, state: State) -> Told:
        """Return an instance that another process has begun."""
        told = self.instance()
        told.note(Claimed(None))
        told.note(Became(state))
        return told

    def run_begins(self, test: str, number: int, passed: int) -> None:
        self.note(RunsCounted(test, number, passed, 5), None)

    def wait(self, *seconds: float) -> None:
        """Let time pass, with a tick after each of several waits."""
        for each in seconds:
            self.clock.advance(each)
            self.progress.tick()

    def told(self) -> list[str]:
        """Return all lines so far."""
        return [line.removeprefix("hydra-smoke: ") for line in self.terminal.lines]

    def boot(self) -> None:
        """Tell of two instances, of which one fails, two chats, and a deletion."""
        one, two = self.instance(), self.instance()
        for it in (one, two):
            it.becomes(State.REQUESTED)
            it.begins("provision", 1000.0)
            it.becomes(State.ACCEPTED)
        self.wait(2)
        one.begins("row", 1000.0)
        one.saw_status("queued")
        two.becomes(State.REFUSED)
        two.rests()
        self.wait(1, 2)
        one.begins("ready", 1000.0)
        one.saw_status("booting")
        self.wait(1, 1, 8, 30, 30)
        one.saw_status("running")
        one.becomes(State.READY)
        one.rests()
        one.begins("turn", self.clock.now() + 120)
        self.wait(2)
        one.rests()
        one.begins("turn", self.clock.now() + 120)
        self.wait(9, 1, 21)
        one.rests()
        one.begins("delete", self.clock.now() + 60)
        one.becomes(State.DELETED)
        one.rests()


def told_of(lines: Lines, at: float, event: Event, name: str | None = "run-0") -> News:
    """Tell of an event: of a test's, without an instance."""
    return lines.apply(Entry(at, None if isinstance(event, RunsCounted) else name, event))


def threads() -> list[str]:
    return [it.name for it in threading.enumerate() if it.name == "hydra-smoke-progress"]
