"""What is logged of an instance."""

from __future__ import annotations

import pytest
from watched import TOKEN, told_of

from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._journal.events import Became, Claimed, Doing, Event, Hosted, Status
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._report.lines import Lines

BOOTING = (Became(State.CREATED), Doing("ready", 900.0))
IN_TURN = (Status("ok"), Doing("turn", 120.0))


@pytest.mark.parametrize(
    ("before", "at", "event", "words"),
    [
        ((), 100.0, Doing("ready", 900.0), "ready, 800 s left"),
        (BOOTING, 100.4, Status("booting"), "ready, status 'booting', 800 s left"),
        (BOOTING, 142.0, Status("booting"), "ready 42 s, status 'booting', 758 s left"),
        (BOOTING, 901.0, Status("booting"), "ready 801 s, status 'booting', 0 s left"),
        ((Doing("row"),), 103.0, Status("queued"), "row 3 s, status 'queued'"),
        (BOOTING, 105.0, Doing("ready", 950.0), None),
        (BOOTING, 105.0, Doing(None), None),
        # What a turn waits for is the agent.
        (IN_TURN, 105.0, Status("odd"), "turn 5 s, 15 s left"),
        (IN_TURN, 105.0, Doing("turn", 120.0, "look"), None),
        ((), 100.0, Status("ok"), None),
        ((), 100.0, Hosted("a-host"), None),
        (BOOTING, 105.0, Became(State.READY, None, 15.0), "ready after 15 s"),
        (BOOTING, 105.0, Became(State.READY, None, 0.26), "ready after 0.3 s"),
        (BOOTING, 105.0, Became(State.READY, None, 9.94), "ready after 9.9 s"),
        (BOOTING, 105.0, Became(State.READY, None, 9.96), "ready after 10 s"),
        (BOOTING, 105.0, Became(State.READY), "ready"),
        ((*BOOTING, Status("error")), 105.0, Became(State.FAILED), "failed, status 'error'"),
        (BOOTING, 105.0, Became(State.FAILED), "failed"),
        (BOOTING, 105.0, Became(State.GONE), "deleted"),
        ((Became(State.GONE),), 105.0, Became(State.DELETED), None),
        ((Doing("provision"),), 105.0, Became(State.REFUSED), "refused"),
        # A test has asked for it by hand.
        ((Claimed(None), Became(State.REQUESTED)), 105.0, Became(State.REFUSED), None),
        ((Claimed(None),), 105.0, Became(State.UNUSED), None),
        # It was so before this process had a part in it.
        ((Claimed(None),), 105.0, Became(State.READY), None),
        ((Claimed(None), Became(State.READY)), 105.0, Became(State.KEPT), "kept"),
        ((Claimed(None), Doing("ready")), 105.0, Became(State.READY), "ready"),
    ],
)
def test_what_changes_is_logged_once(
    before: tuple[Event, ...], at: float, event: Event, words: str | None
) -> None:
    lines = Lines()
    for earlier in before:
        told_of(lines, 100.0, earlier)
    assert told_of(lines, at, event).logged == (words and f"run-0: {words}")


def test_what_is_told_of_a_run_without_an_instance_is_not_logged() -> None:
    assert told_of(Lines(), 1.0, Status("x"), name=None) == (None, None)


@pytest.mark.parametrize("word", ["\x1b[2J::error::\n" + "x" * 150, f"ready with {TOKEN}"])
def test_a_routers_word_is_harmless(word: str) -> None:
    lines = Lines(scrubbing(Token(TOKEN)))
    told_of(lines, 1.0, Doing("row"))
    logged = told_of(lines, 1.0, Status(word)).logged
    assert logged is not None
    assert logged.isprintable()
    assert len(logged) < 130
    assert TOKEN[:8] not in logged
