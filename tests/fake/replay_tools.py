"""What the tests of a replay share: a process whose player is asked, and routers that play."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_tools import SPEC, Caller, HandClock
from recording_tools import write

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.course import Course
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.recording_files import read
from pytest_hydrasmoke.fake.replay import Asked, Player

TEST = "t.py::test"
COUNTED = {"count": 2, "providers": ["b", "a"], "after": 0.8}
REFUSED = {"status": 503, "content_type": "text/plain", "body": "busy"}


class Process:
    """A process of a run, whose player is asked directly."""

    def __init__(self, folder: Path) -> None:
        self.course = Course(read(folder))
        self.player = Player(self.course)
        self.player.follow(lambda owner, run, message: message.rstrip("!"))

    def begin(self, owner: str, run: int = 1, *, begins: bool = True) -> None:
        self.player.enter(owner, run, begins=begins, test=TEST)

    def says(self, message: str, key: str = "shared", **spec: str) -> str:
        turn = self.player.answer(Asked(message, key, {**SPEC, **spec}))
        if turn.refused is not None:
            return turn.refused.body.decode()
        return next(turn.stream()).decode().removeprefix("data: ").rstrip()


class Playing:
    """Routers that play a folder, and who calls them."""

    def __init__(self, folder: Path, clock: HandClock, stack: ExitStack) -> None:
        self.folder, self._clock, self._stack = folder, clock, stack

    def ready(self, *turns: dict[str, Any], **scenario: Any) -> tuple[Caller, str]:
        write(self.folder, TEST, *turns)
        recorded = replace(load(str(self.folder)), **scenario)
        router = self._stack.enter_context(FakeRouter(recorded, clock=self._clock))
        caller = Caller(router)
        self._stack.callback(caller.http.close)
        return caller, caller.ready(self._clock)


def how_to_record(playing: Playing) -> str:
    command = f"pytest --hydra-smoke --hydra-smoke-record {playing.folder}"
    return f"to record it, send it in a test, and run that: {command}"
