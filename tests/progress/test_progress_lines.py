"""What is told of what happens, what is logged of it, and when."""

from __future__ import annotations

import re

import pytest
from golden import GOLDEN, golden

from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._journal.events import (
    Attempt,
    Became,
    Claimed,
    Doing,
    Entry,
    Event,
    Failed,
    Hosted,
    RunsCounted,
    Status,
)
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke._report.lines import ProgressLines

TOKEN = "a-made-up-token-of-nobody"
FAILED, REST = Failed(1, "it", "it"), Doing(None)
Step = Event | float
"""What happens, or seconds that pass, after which it is looked what has lasted."""


class Story:
    """Lines on a clock of their own, which is at 100 when it begins."""

    def __init__(self, *, changes: bool = True) -> None:
        self.lines = ProgressLines(scrubbing(Token(TOKEN)), changes=changes)
        self.now = 100.0
        self.told: list[str] = []
        self.logged: list[str] = []

    def tell(self, *steps: Step, of: str = "run-0") -> None:
        for step in steps:
            if isinstance(step, int | float):
                self.now += step
                self.told += self.lines.due(self.now)
            else:
                name = None if isinstance(step, RunsCounted) else of
                news = self.lines.apply(Entry(self.now, name, step))
                self.logged += [] if news.logged is None else [news.logged]
                self.told += [] if news.line is None else [news.line]


def became(state: State, seconds: float = 0.0) -> Became:
    return Became(state, None, seconds)


def answered(status: int | None) -> Attempt:
    return Attempt("provision", "POST", "/provision", 1, 0.1, status)


def runs(*numbers: int, test: str = "test_a.py::test_b") -> list[RunsCounted]:
    return [RunsCounted(test, number, number - 1, 5) for number in numbers]


TOLD: dict[str, tuple[list[Step], list[str]]] = {
    "a tool that is called": (
        [Doing("turn"), Doing("turn", None, f"search_{TOKEN}\n"), 10, Doing("turn"), 30],
        ["still chatting, 10 s, calling search_********", "still chatting, 40 s"],
    ),
    "a router that refuses for now, and one that is lost": (
        [
            *(Doing("provision"), answered(200), answered(503), 10),
            *(answered(None), 30, answered(202), 30),
        ],
        [
            "still provisioning, 10 s, last answer 503",
            "still provisioning, 40 s, last answer 503",
            "still provisioning, 70 s",
        ],
    ),
    "over at once": (
        [
            *(
                became(State.REQUESTED),
                Doing("provision"),
                Status("queued"),
                0.1,
                Doing("row"),
                0.1,
            ),
            *(Doing("ready"), 0.1, became(State.READY, 0.3), REST),
            *(Doing("delete"), 1.9, became(State.DELETED), REST),
        ],
        ["ready after 0.3 s"],
    ),
    "a deletion": (
        [Doing("delete"), 2, 8, 2, became(State.DELETED), REST],
        ["deleting, 2 s", "still deleting, 10 s", "deleted after 12 s"],
    ),
    "given up": (
        # The failure of an earlier phase is not that of a turn.
        [Doing("delete"), 20, FAILED, REST, FAILED, Doing("turn"), 10, REST],
        ["still deleting, 20 s", "gave up deleting after 20 s", "still chatting, 10 s"],
    ),
    "a failure": (
        [Doing("ready"), 3, became(State.FAILED), FAILED, REST],
        ["booting, 3 s", "failed"],
    ),
    "begun by another process": (
        [Claimed(None), became(State.REQUESTED), Doing("ready"), became(State.READY), REST],
        [],
    ),
    "ready by then": (
        [Claimed(None), became(State.READY), Doing("ready"), became(State.READY), REST],
        [],
    ),
    "begun by another process, and slow": (
        [Claimed(None), became(State.REQUESTED), Doing("ready"), 2, became(State.READY)],
        ["booting, 2 s", "ready"],
    ),
    "kept": ([became(State.KEPT)], ["kept"]),
    "deleted by somebody else": ([became(State.DELETED)], []),
    "a run after one that lasted": (
        [*runs(1), 1.9, *runs(2), 2, *runs(3), RunsCounted("test_a.py::test_b", 3, 3, 5)],
        ["run 3 of 5, 2 passed"],
    ),
    "run again by a plugin": ([*runs(1), 2, *runs(2), 2, *runs(1)], ["run 2 of 5, 1 passed"]),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_lasts_is_told_and_what_changes(name: str) -> None:
    story, (steps, lines) = Story(), TOLD[name]
    story.tell(*steps)
    assert [re.sub(r"^(run-0|test_a.py::test_b): ", "", it) for it in story.told] == lines


@pytest.mark.parametrize("phase", [name for name in PHASES if name != "first_event"])
def test_every_phase_that_lasts_is_told(phase: str) -> None:
    story = Story()
    story.tell(Doing(phase), 10)
    [line] = story.told
    assert re.fullmatch(r"run-0: still [a-zA-Z ]+ing[a-zA-Z ]*, 10 s", line)


def test_two_instances_of_which_one_fails_two_chats_and_a_deletion() -> None:
    story, one, two = Story(), "nightly-7-0", "nightly-7-1"
    for name in (one, two):
        story.tell(became(State.REQUESTED), Doing("provision", 1000.0), of=name)
        story.tell(became(State.ACCEPTED), of=name)
    story.tell(2, Doing("row", 1000.0), Status("queued"), of=one)
    story.tell(became(State.REFUSED), REST, of=two)
    story.tell(1, 2, Doing("ready", 1000.0), Status("booting"), 1, 1, 8, 30, 30, of=one)
    story.tell(Status("running"), became(State.READY, 75.0), REST, of=one)
    for waits in ((2,), (9, 1, 21)):
        story.tell(Doing("turn", story.now + 120), *waits, REST, of=one)
    story.tell(Doing("delete", story.now + 60), became(State.DELETED), REST, of=one)
    golden("progress-lines", "\n".join(story.told))
    golden("progress-log", "\n".join(story.logged))


def test_the_page_shows_lines_that_there_are() -> None:
    page = (GOLDEN.parent.parent.parent / "docs" / "pipelines" / "reports.md").read_text("utf-8")
    [(name, lines)] = re.findall(r"<!-- shown: (\S+) -->\n\n```text\n(.*?)```", page, re.DOTALL)
    there = (GOLDEN / f"{name}.txt").read_text("utf-8").splitlines()
    assert [line.removeprefix("hydra-smoke: ") for line in lines.splitlines()] == [
        line for line in there if "nightly-7-0" in line
    ]


def test_changes_that_a_log_shows_are_not_told_twice() -> None:
    story = Story(changes=False)
    story.tell(*runs(1), 5, *runs(2), Doing("ready"), Status("booting"), 9)
    assert story.told == []
    story.tell(1, Status("running"), 1, FAILED, became(State.READY, 11.0), REST)
    assert story.told == ["run-0: still booting, 10 s, status 'booting'"]
    assert story.logged == [
        "test_a.py::test_b: run 2 of 5, 1 passed",
        "run-0: ready",
        "run-0: ready, status 'booting'",
        "run-0: ready 10 s, status 'running'",
        "run-0: ready after 11 s",
    ]
    assert not story.lines.under_way


BOOTING = (Became(State.CREATED), Doing("ready", 900.0))
IN_TURN = (Status("ok"), Doing("turn", 120.0))


@pytest.mark.parametrize(
    ("before", "after", "event", "words"),
    [
        ((), 0, Doing("ready", 900.0), "ready, 800 s left"),
        (BOOTING, 0.4, Status("booting"), "ready, status 'booting', 800 s left"),
        (BOOTING, 42, Status("booting"), "ready 42 s, status 'booting', 758 s left"),
        (BOOTING, 801, Status("booting"), "ready 801 s, status 'booting', 0 s left"),
        (BOOTING, 5, Doing("ready", 950.0), None),
        (BOOTING, 5, REST, None),
        # What a turn waits for is the agent.
        (IN_TURN, 5, Status("odd"), "turn 5 s, 15 s left"),
        (IN_TURN, 5, Doing("turn", 120.0, "look"), None),
        ((), 0, Status("ok"), None),
        ((), 0, Hosted("a-host"), None),
        (BOOTING, 5, became(State.READY, 0.26), "ready after 0.3 s"),
        (BOOTING, 5, became(State.READY, 9.94), "ready after 9.9 s"),
        (BOOTING, 5, became(State.READY, 9.96), "ready after 10 s"),
        (BOOTING, 5, became(State.READY), "ready"),
        ((*BOOTING, Status("error")), 5, became(State.FAILED), "failed, status 'error'"),
        (BOOTING, 5, became(State.GONE), "deleted"),
        ((became(State.GONE),), 5, became(State.DELETED), None),
        ((Doing("provision"),), 5, became(State.REFUSED), "refused"),
        # A test has asked for it by hand.
        ((Claimed(None), became(State.REQUESTED)), 5, became(State.REFUSED), None),
        ((Claimed(None),), 5, became(State.UNUSED), None),
        # It was so before this process had a part in it.
        ((Claimed(None),), 5, became(State.READY), None),
        ((Claimed(None), became(State.READY)), 5, became(State.KEPT), "kept"),
        ((Claimed(None), Doing("ready")), 5, became(State.READY), "ready"),
    ],
)
def test_what_changes_is_logged_once(
    before: tuple[Event, ...], after: float, event: Event, words: str | None
) -> None:
    story = Story()
    story.tell(*before)
    known = len(story.logged)
    story.tell(after, event)
    assert story.logged[known:] == ([] if words is None else [f"run-0: {words}"])


def test_words_of_others_are_harmless() -> None:
    for word in ("\x1b[2J::error::\n" + "x" * 150, f"ready with {TOKEN}"):
        story, test = Story(), f"test_a.py::test_b[\x1b{'a' * 999}]"
        story.tell(Doing("row"), Status(word), *runs(1, test=test), 2, *runs(2, test=test))
        _, logged, run = story.logged
        assert logged.isprintable()
        assert len(logged) < 130
        assert TOKEN[:8] not in logged
        assert run.isprintable()
        assert len(run) < 400
        assert run.endswith(": run 2 of 5, 1 passed")
