"""A key's machine, from a claim to a proof and its last look: by tables of answers, without I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_io import ID, OTHER_ID, instance, policy_of
from sizes import examples, sizes

from pytest_hydrasmoke._api.models import PollResult
from pytest_hydrasmoke._core.deletion import Deletion, Verification
from pytest_hydrasmoke._core.key_machine import (
    Delete,
    Ended,
    FindRow,
    KeyMachine,
    Probe,
    Question,
    Result,
    Wait,
)
from pytest_hydrasmoke._core.proof import Look, Says
from pytest_hydrasmoke._journal.states import State

NAMES = {ID: "A", OTHER_ID: "B"}
Answer = int | str | None | tuple[Says, str | None]
"""The code of a DELETE or why there is none; the id that a key names; a look's word, and that."""


def shown(named: str | None) -> PollResult:
    """Return what a key's answer says."""
    return PollResult(found=named is not None, instance_id=named)


def tell(machine: KeyMachine, question: Question, answer: Answer, now: float) -> str:
    """Tell a machine an answer; return the question in a word."""
    match question, answer:
        case FindRow(), str() if answer not in NAMES:
            assert isinstance(machine, Deletion)
            machine.saw_row(answer, now)
            return "row"
        case FindRow(), None | str():
            assert isinstance(machine, Deletion)
            machine.saw_row(shown(answer), now)
            return "row"
        case Delete(instance_id), int() | str():
            machine.saw_answer(instance_id, answer, now)
            return f"delete {NAMES[instance_id]}"
        case Probe(instance_id), (says, named):
            machine.saw(Look(now, says, f"it says {says}", named), now)
            return f"look {NAMES[instance_id]}"
        case _:
            raise AssertionError(f"{question} has no answer {answer}")


def play(machine: KeyMachine, answers: list[Answer], patience: float = math.inf) -> str:
    """Answer at once what a machine asks, the last answer for good; return all of it in words."""
    now, told, left = 0.0, list[str](), iter(answers)
    answer: Answer = None
    for _ in range(1_000):
        match machine.next(now, patience):
            case Ended(result, why):
                return " > ".join([*told, result.name + (f": {why}" if why else "")])
            case Wait(until):
                assert until > now, "a wait is for what is to come"
                told.append(f"{until - now:g} s")
                now = until
            case question:
                answer = next(left, answer)
                told.append(tell(machine, question, answer, now))
    raise AssertionError("it asks without end")


ACCEPTED, GONE, UNKNOWN = 204, ("gone", None), ("unknown", None)
POLICY = policy_of(row_wait=1.0, delete_timeout=12.0)
UNSURE = "it is not found, but the router has accepted no delete"
SOON = "(for {0} s of 10 s) {0} s after the delete"
NO_ROW = "the router may have carried out the request, but shows no instance for its key"
HELD = "look A > 1 s > "

DELETIONS: dict[str, tuple[State, list[Answer], float, str]] = {
    # What was known, the answers, when a signal ends all of it, and what is asked.
    "gone at once": (State.READY, [ACCEPTED, GONE], math.inf, "delete A > look A > PROVED"),
    "alive for a while": (
        *(State.READY, [ACCEPTED, ("alive", ID), ACCEPTED, UNKNOWN], math.inf),
        "delete A > look A > 0.25 s > delete A > look A > PROVED",
    ),
    "not found, and no delete accepted": (
        *(State.CREATED, [404, UNKNOWN], math.inf),
        f"delete A > {HELD * 10}look A > PROVED",
    ),
    "its key names another one": (
        *(State.READY, [ACCEPTED, ("unknown", OTHER_ID), ACCEPTED, GONE], math.inf),
        "delete A > look A > delete B > look B > PROVED",
    ),
    "no answer to the delete": (
        *(State.READY, ["HTTP 503", GONE], math.inf),
        "delete A > look A > PROVED",
    ),
    "a row comes late": (
        *(State.REQUESTED, [None, ID, ACCEPTED, GONE], math.inf),
        "row > 0.25 s > row > delete A > look A > PROVED",
    ),
    "no row comes": (
        *(State.REQUESTED, [None], math.inf),
        f"row > 0.25 s > row > 0.25 s > row > NO_ROW: {NO_ROW}",
    ),
    "nothing is known of its row": (
        *(State.REQUESTED, ["HTTP 500"], math.inf),
        "row > 0.25 s > row > 0.25 s > row > UNPROVED: HTTP 500",
    ),
    "a signal before its row": (
        *(State.REQUESTED, [None], 0.75),
        "row > 0.25 s > row > UNPROVED: a signal came before a row for its key did",
    ),
    "a signal after the first look": (
        *(State.READY, [404, UNKNOWN], 2.0),
        f"delete A > {HELD}look A > 0.5 s > look A > UNPROVED: {UNSURE} {SOON.format(2)}",
    ),
    "time for one question alone": (
        *(State.READY, [404, UNKNOWN], 0.1),
        f"delete A > look A > UNPROVED: {UNSURE} {SOON.format(0)}",
    ),
}


@pytest.mark.parametrize("name", DELETIONS)
def test_a_deletion_asks_what_is_due(name: str) -> None:
    state, answers, patience, steps = DELETIONS[name]
    it = instance(state=state, id=None if state is State.REQUESTED else ID, policy=POLICY)
    it.evidence.asked = True
    assert play(Deletion(it, 0.0), answers, patience) == steps
    assert (it.state is State.GONE) is steps.endswith("PROVED") or "UNPROVED" in steps


@pytest.mark.parametrize("was_asked", [False, True])
def test_what_was_seen_alive_and_is_unknown_to_its_first_delete_is_not_proved(
    was_asked: bool,
) -> None:
    it = instance(state=State.READY, id=ID, policy=POLICY)
    it.evidence.asked = was_asked
    it.evidence.alive.add(ID)
    steps = play(Deletion(it, 0.0), [404, UNKNOWN])
    told = "UNPROVED: its first DELETE found nothing, although it was seen alive before"
    assert (told in steps) is not was_asked
    assert steps.endswith("PROVED") is was_asked


def test_a_key_that_names_another_instance_each_time_is_left_when_its_time_is_up() -> None:
    it = instance(state=State.READY, id=ID, policy=POLICY)
    it.evidence.asked = True
    machine, now = Deletion(it, 0.0), 0.0
    for number in range(100):
        match machine.next(now):
            case Delete(instance_id):
                machine.saw_answer(instance_id, ACCEPTED, now)
            case Probe():
                now += 1.0
                machine.saw(Look(now, "unknown", named=f"other-{number}"), now)
            case step:
                why = "its key names another instance each time 12 s after the delete"
                assert step == Ended(Result.UNPROVED, why)
                return
    raise AssertionError("it asks without end")


LAST_LOOKS: dict[str, tuple[Says | None, bool, list[Answer], float, str]] = {
    # What was seen last, whether a DELETE follows, the answers, and when a signal ends all of it.
    "gone": ("gone", False, [GONE], math.inf, "look A > VERIFIED"),
    "gone, and deleted again": (
        *("gone", True, [GONE, ACCEPTED], math.inf),
        "look A > delete A > VERIFIED",
    ),
    "there again": (
        *("gone", True, [("alive", ID)], math.inf),
        "look A > RETURNED: it was proved gone, and is there again: it says alive",
    ),
    "another one": (
        *("gone", True, [("unknown", OTHER_ID)], math.inf),
        "look A > RETURNED: it was proved gone, and is there again: its key names " + OTHER_ID,
    ),
    "no answer": (
        "gone",
        False,
        [("nothing", None)],
        math.inf,
        "look A > DOUBTED: it says nothing",
    ),
    "still under way": (
        *("gone", False, [("under way", ID)], math.inf),
        "look A > 1 s > look A > 1 s > look A > DOUBTED: the router is still deleting it",
    ),
    "under way, and a signal": (
        *("gone", False, [("under way", ID)], 2.0),
        "look A > 1 s > look A > 0.5 s > DOUBTED: the router is still deleting it",
    ),
    "seen under way alone": (
        *("under way", False, [("nothing", None)], math.inf),
        "look A > RETURNED: its deletion was seen under way, and not its end: it says nothing",
    ),
    "not known as such": (
        *(None, False, [UNKNOWN, 404, UNKNOWN], math.inf),
        f"look A > 1 s > delete A > {HELD * 3}look A > DOUBTED: {UNSURE} (for 4 s of 10 s)",
    ),
}


@pytest.mark.parametrize("name", LAST_LOOKS)
def test_a_last_look_asks_once_more(name: str) -> None:
    seen, deletes, answers, patience, steps = LAST_LOOKS[name]
    it = instance(state=State.GONE, id=ID)
    it.ids = [ID]
    it.evidence.asked = True
    if seen is not None:
        known = it.evidence[ID].answered(0.0, accepted=True)
        it.evidence[ID] = known.saw(Look(0.0, seen))
    assert play(Verification(it, 4.0, deletes_again=deletes), answers, patience) == steps


# Whole lives


@dataclass
class Router:
    """What one key has at a made-up router, and how that answers."""

    chance: random.Random
    row_after: float
    takes: float
    """Seconds that a deletion takes."""
    drops: int
    """DELETEs that it accepts, and forgets."""
    faults: float
    second_delete: int
    keeps_row: bool
    says_deleted: bool
    ends: float = math.inf
    """When its machine is gone."""
    deletes: list[float] = field(default_factory=list[float])

    def alive(self, now: float) -> bool:
        return now < self.ends

    def fails(self) -> bool:
        return self.chance.random() < self.faults

    def row(self, now: float) -> Answer:
        if self.fails():
            return "HTTP 503"
        return ID if now >= self.row_after else None

    def delete(self, now: float) -> Answer:
        self.deletes.append(now)
        fails = self.fails()
        if fails and self.chance.random() < 0.5:
            return "HTTP 502"
        if self.drops:
            self.drops -= 1
            code = ACCEPTED
        elif self.ends < math.inf:
            code = ACCEPTED if self.alive(now) else self.second_delete
        else:
            self.ends, code = now + self.takes, ACCEPTED
        return "it timed out" if fails else code

    def look(self, now: float) -> Answer:
        if self.fails():
            return "nothing", None
        if self.alive(now):
            return ("alive" if self.ends == math.inf else "under way"), ID
        if self.says_deleted:
            return "gone", ID
        return ("contradiction", ID) if self.keeps_row else ("unknown", None)


def router_of(chance: random.Random) -> Router:
    return Router(
        chance,
        row_after=chance.choice([0.0, 0.0, 2.0, 50.0]),
        takes=chance.choice([0.0, 0.0, 3.0, 20.0]),
        drops=chance.choice([0, 0, 0, 1, 2]),
        faults=chance.choice([0.0, 0.0, 0.1, 0.5]),
        second_delete=chance.choice([204, 404, 409, 410]),
        keeps_row=chance.random() < 0.2,
        says_deleted=chance.random() < 0.3,
    )


def led(machine: KeyMachine, router: Router, now: float, patience: float) -> tuple[Ended, float]:
    """Lead a machine to its end at a router; return that, and when it came."""
    for _ in range(2_000):
        match machine.next(now, patience):
            case Ended() as end:
                return end, now
            case Wait(until):
                assert until > now
                now = until
            case question:
                now += router.chance.choice([0.0, 0.01, 0.3])
                asked = {FindRow: router.row, Delete: router.delete, Probe: router.look}
                tell(machine, question, asked[type(question)](now), now)
    raise AssertionError("it asks without end")


def live(chance: random.Random) -> Iterator[Result]:
    """Lead a key through a deletion and its last look; no word of that is false."""
    router, policy = router_of(chance), policy_of(row_wait=10.0, delete_timeout=30.0)
    patience = chance.choice([math.inf, math.inf, 0.3, 5.0, 20.0])
    state = chance.choice([State.READY, State.CREATED, State.REQUESTED])
    if state is not State.REQUESTED:
        router.row_after = 0.0
    it = instance(state=state, id=None if state is State.REQUESTED else ID, policy=policy)
    end, now = led(Deletion(it, 0.0), router, 0.0, patience)
    yield end.result
    assert now <= 10.0 + 30.0 + 1.0
    is_right = not router.faults and not router.drops and router.row_after < 10.0
    if is_right and patience == math.inf:
        assert end.result is Result.PROVED, end.why
    if end.result is not Result.PROVED:
        return
    assert it.state is State.GONE
    assert router.ends < math.inf, "it is gone, or on its way"
    assert router.deletes
    due = max(it.last_look_at(now, now), now)
    last = Verification(it, due + 20.0, deletes_again=chance.random() < 0.5)
    end, now = led(last, router, due, math.inf)
    yield end.result
    assert end.result is not Result.VERIFIED or not router.alive(now), "a false word"
    if is_right:
        assert end.result in (Result.VERIFIED, Result.DOUBTED), end.why
        assert end.result is Result.VERIFIED or router.takes > 0.0, end.why


@examples(200, 10_000)
@given(st.randoms(use_true_random=False))
def test_no_word_of_a_life_is_false(chance: random.Random) -> None:
    assert [*live(chance)]


@pytest.mark.parametrize("lives", sizes("fuzz", 1_000, 100_000))
def test_no_word_of_many_lives_is_false(lives: int) -> None:
    results = set[Result]()
    for seed in range(lives):
        results.update(live(random.Random(seed)))
    assert results == {*Result}
