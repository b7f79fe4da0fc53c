"""What the tests of a replay share: a process whose player is asked, and routers that play."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_tools import SPEC, Caller, HandClock
from recording_tools import write

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.course import Course
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.recordings import read
from pytest_hydrasmoke.fake.records import Ordered
from pytest_hydrasmoke.fake.replay import NotRecordedError, Replay
from pytest_hydrasmoke.fake.state import World

TEST = "t.py::test"
COUNTED = {"count": 2, "providers": ["b", "a"], "after": 0.8}
IDLE = World(Scenario(), HandClock())
"""A world that nobody calls, for a replay that is asked directly."""
REFUSED = {"status": 503, "content_type": "text/plain", "body": "busy"}


def ordered(key: str, **spec: str) -> Ordered:
    """Return an instance, by its key."""
    return Ordered(key, key, key, **{"agent_name": None, **SPEC, **spec})  # type: ignore[arg-type]


class Process:
    """A process of a run, whose player is asked directly."""

    def __init__(self, folder: Path) -> None:
        self.course = Course(read(folder))
        self.replay = Replay(self.course, IDLE)
        self.replay.follow(lambda owner, run, message: message.rstrip("!"))
        self.replay.claim("shared", "shared")

    def begin(self, owner: str, run: int = 1, *, begins: bool = True) -> None:
        self.replay.enter(owner, run, begins=begins, test=TEST)

    def says(self, message: str, key: str = "shared", **spec: str) -> str:
        """Return what is answered, or what is said of a message that was not recorded."""
        try:
            turn = self.replay.answer(message, ordered(key, **spec))
        except NotRecordedError as error:
            return str(error)
        if turn.refused is not None:
            return turn.refused.body.decode()
        return turn.chunks[0].decode().removeprefix("data: ").rstrip()

    def play(self, steps: Iterable[str]) -> list[str]:
        """Take steps one after the other, and return the answers to the messages among them.

        `> owner` puts an owner on stage, the test if none is named, `+ owner` where it was left;
        `# 2` goes on with a run of the test. `a/key` is a message to an instance of its own.
        """
        told: list[str] = []
        for step in steps:
            sign, _, rest = step.partition(" ")
            if sign in (">", "+"):
                self.begin(rest or TEST, begins=sign == ">")
            elif sign == "#":
                self.begin(TEST, int(rest), begins=False)
            elif step == "moves on":
                self.replay.moves_on("shared")
            else:
                message, _, key = step.partition("/")
                told.append(self.says(message, key or "shared").partition("; to record it: ")[0])
        return told


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

    @property
    def record(self) -> str:
        """The command that records the folder."""
        return f"pytest --hydra-smoke --hydra-smoke-record {self.folder}"
