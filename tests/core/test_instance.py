"""An instance's story, as it is written down."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from core_tools import NAMED
from scripted_io import ID, OTHER_ID, SPEC, Listening, attached, instance, lost

from pytest_hydrasmoke import PollResult, ProvisionError
from pytest_hydrasmoke._api.retry import Tried
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal import events
from pytest_hydrasmoke._journal.chat import MOST_ARRIVALS, MOST_TEXT, Turn, TurnBegan
from pytest_hydrasmoke._journal.events import Took
from pytest_hydrasmoke._journal.states import (
    CLOSED,
    HAS_ROW,
    LATE,
    NOTHING_TO_DELETE,
    SETTLED,
    State,
)
from pytest_hydrasmoke._journal.story import MOST, MOST_WORDS, PHASES
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import Request

MIB = 1 << 20


def test_a_fact_that_can_not_be_told_is_known_all_the_same_and_no_request_leaves() -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    it = instance()
    it.keeper = Listening(state=full)
    with pytest.raises(OSError, match="disk full"):
        it.becomes(State.REQUESTED)
    assert it.state is State.CLAIMED, "its request may not leave"
    it.state = State.REQUESTED
    with pytest.raises(OSError, match="disk full"):
        it.becomes(State.ACCEPTED)
    assert it.state is State.ACCEPTED, "there may be something to delete"


def test_an_instance_is_named_by_what_there_is_and_its_key_names_its_run() -> None:
    for key, run_id in {"night-0": "night", "a-b-12": "a-b", "alone": "", None: None}.items():
        assert Instance(SPEC, key=key).run_id == run_id
    assert [instance(id=ID).name, instance().name] == [NAMED, "(key night-0)"]
    assert (attached().name, attached().attached, instance().attached) == (ID, True, False)


def test_words_notes_and_phases_are_kept_once() -> None:
    it = instance()
    assert it.last_state is None
    for at, word in enumerate(("a", "a", "b", "a")):
        it.saw_status(word, at)
    assert [(at, seen.word) for at, seen in it.statuses] == [(0, "a"), (2, "b"), (3, "a")]
    assert it.last_state == "status 'a'"
    it = instance()
    for at in range(MOST_WORDS + 3):
        it.saw_status(f"step {at}", at)
    assert len(it.statuses) == MOST_WORDS
    assert [told.event.word for told in it.statuses[-2:]] == [
        f"step {MOST_WORDS - 2}",
        f"step {MOST_WORDS + 2}",
    ]
    for _ in range(2):
        it.add_remark("odd")
        it.saw_answer("poll", PollResult.model_validate({"found": True, "zone": 1, "age": 2}))
    assert list(it.notes) == ["odd"]
    assert it.drift == ["unknown in the answer to poll: age, zone"], "apart from it"
    for at, seconds in enumerate((2.0, 3.0, 1.0)):
        it.note(Took("turn", seconds), at)
    assert it.phases == {"turn": 3.0}, "the longest"
    assert list(it.spans) == [
        (at, Took("turn", seconds)) for at, seconds in ((0, 2.0), (1, 3.0), (2, 1.0))
    ]


def test_every_request_is_told_and_only_provisions_unknown_outcomes_matter() -> None:
    it = instance()
    poll = Request("poll", "GET", "/by-key/k")
    it.saw_attempt(Tried(poll, 1, 7.0, 0.5, lost()))
    it.saw_attempt(Tried(poll, 2, 8.0, 0.25, 404))
    why = "the answer was lost (reset)"
    assert list(it.requests.kept) == [
        (7.0, events.Attempt("poll", "GET", "/by-key/k", 1, 0.5, None, why)),
        (8.0, events.Attempt("poll", "GET", "/by-key/k", 2, 0.25, 404)),
    ]
    for call, number, outcome in (("provision", 1, 500), ("provision", 2, 200), ("status", 1, 500)):
        it.saw_attempt(Tried(Request(call, "GET", "/x"), number, 0, 0, outcome))
    assert it.requests.times == {"poll": 2, "provision": 2, "status": 1}
    assert (it.requests.retries, it.evidence.unknown_outcomes) == (2, 1)


def test_a_count_is_told_when_it_changes_and_shares_its_names() -> None:
    it = instance()
    for at, count, providers in (
        *((0, 0, ()), (1, 1, ["a"]), (2, 2, ["a"]), (2.5, 2, ["a"])),
        *((3, 2, ["b", "a"]), (4, 2, ["a", "b"])),
    ):
        it.target.saw_count(at, count, tuple(providers))
    assert [(at, seen.total) for at, seen in it.chats.counted] == [(0, 0), (1, 1), (2, 2), (3, 2)]
    _, one, two, three = (seen for _, seen in it.chats.counted)
    assert one.providers is two.providers
    assert set(three.providers) == {"a", "b"}


@pytest.mark.parametrize("late", [State.ACCEPTED, State.CREATED])
def test_a_late_answer_of_another_thread_brings_nothing_back(late: State) -> None:
    it = instance(id=ID, state=State.CREATED)
    it.is_gone(1.0, ends=False)
    it.becomes(late)
    assert it.state is State.GONE
    it.becomes(State.DELETED)
    it.becomes(late)
    assert it.state is State.DELETED
    it.id = OTHER_ID
    it.becomes(late)
    assert it.state is late, "another instance is news"
    it = instance(state=State.DELETED)
    it.becomes(late)
    assert it.state is late, "so is a row that comes after all"


@pytest.mark.parametrize("late", sorted(LATE))
@pytest.mark.parametrize("state", [State.KEPT, State.DELETING, State.GONE, State.DELETED])
def test_what_a_request_or_a_boot_came_to_is_no_news_behind_a_deletion(
    state: State, late: State
) -> None:
    it = instance(id=ID, state=state)
    it.becomes(late)
    assert it.state is state


@pytest.mark.parametrize("late", [State.UNUSED, State.REFUSED])
def test_what_its_key_has_named_was_requested_whatever_an_answer_says(late: State) -> None:
    it = instance(state=State.REQUESTED)
    it.names(ID, 1.0)
    it.becomes(late)
    assert it.state is State.CREATED


def test_an_error_that_is_seen_twice_is_one_failure() -> None:
    it, error = instance(), ProvisionError("no row")
    error.add_context(phase="row", seconds=1.0)
    for at, one in ((1.0, error), (2.0, error), (3.0, ProvisionError("no row"))):
        it.fails(one, "no row", at)
    told = [(failure.at, failure.phase) for failure in it.failures.values()]
    assert told == [(1.0, "row"), (3.0, None)]
    assert ("", error.failure) in it.failures


def test_words_that_others_rely_on() -> None:
    assert {State.UNUSED, State.ABSENT, State.DELETED} == CLOSED
    still_open = {State.CLAIMED, State.REFUSED, State.GONE}
    assert CLOSED | still_open == NOTHING_TO_DELETE, "a proof is of a moment, and so is a refusal"
    assert NOTHING_TO_DELETE | {State.KEPT} == SETTLED, "what was left on purpose is left"
    assert {State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT} == HAS_ROW
    assert PHASES == ("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")


def chat(it: Instance, number: int) -> None:
    """Write into a story what a chat with a count before it does, with words of its own."""
    at = number + 0.25
    path = f"/internal/hydra/instances/{ID}"
    count = Request("llm_events", "GET", f"{path}/llm-events?window_seconds={900 + number}")
    for request in (count, Request("chat", "POST", f"{path}/chat")):
        it.saw_attempt(Tried(request, 1, at / 3, at / 7, 200))
    it.target.saw_count(
        at / 5, 1000 + number, tuple(f"{name}-hosted" for name in ("openai", "mistral"))
    )
    message = f"message {number}"
    it.note(TurnBegan(number, message), at)
    times, text = tuple([at * event for event in range(1, 8)]), f"word {number} " * 7
    it.note(Turn(number, message, text=text, events=7, arrivals=times), at)
    it.note(Took("first_event", at / 11), at / 9)
    it.note(Took("turn", at / 15), at / 13)


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """Return a function that returns how many bytes were allocated, and are still in use."""
    gc.collect()  # It empties Python's own stores of small objects, which would not be counted.
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_is_kept_of_a_long_run_is_small(traced: Callable[[], int]) -> None:
    it = instance(id=ID)
    for number in range(MOST):
        chat(it, number)
    full = traced()
    assert full < 2.25 * MIB
    for number in range(MOST, MOST + MOST // 4):
        chat(it, number)
    assert traced() - full < MIB / 200, "it is full"
    assert (len(it.requests.kept), len(it.spans)) == (MOST, MOST)
    path = it.requests.kept[-1][1].path
    assert path.endswith("/chat"), "the newest are kept"
    assert it.requests.times == {"llm_events": MOST * 5 // 4, "chat": MOST * 5 // 4}, (
        "and all counted"
    )


def incoming(events: int) -> Incoming:
    """Read a stream of so many events, one each second."""
    came = Incoming(Reading(), "auto", Content())
    for number in range(events):
        came.feed(b"data: abcdefghij\n\n", float(number))
        assert came.take() is not None
    came.unlooked.clear()
    return came


def test_what_is_kept_of_a_long_turn_is_small(traced: Callable[[], int]) -> None:
    incoming(1)  # What is made once, and what counts the branches, is no part of a turn.
    before = traced()
    came = incoming(2 * MOST_ARRIVALS - 1)
    assert len(came.times.arrivals) == 2 * MOST_ARRIVALS - 1
    assert traced() - before < MIB / 4
    long = incoming(9 * MOST_ARRIVALS)
    assert traced() - before < MIB / 2, "its text and its times are bounded"
    assert (long.times.events, len(str(long.reply))) == (9 * MOST_ARRIVALS, MOST_TEXT)
    # Of its arrivals it keeps an even choice.
    assert MOST_ARRIVALS <= len(long.times.arrivals) < 2 * MOST_ARRIVALS
    assert {b - a for a, b in itertools.pairwise(long.times.arrivals)} == {8.0}
    assert long.times.arrivals[0] == 0
