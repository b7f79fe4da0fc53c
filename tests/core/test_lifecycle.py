"""From a spec to a ready instance: how the router says so, who is told, and what interrupts it."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from core_tools import fails, telling
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    SPEC,
    START,
    Listening,
    Took,
    accepted,
    attached,
    calls_of,
    instance,
    late,
    lost,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import ConfigError, ProvisionError
from pytest_hydrasmoke._core import lifecycle
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.lifecycle import ask, check_free, provision
from pytest_hydrasmoke._core.policy import Policy, Statuses, poll_interval
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

NAMELESS = reply(200, {"found": True, "instance_id": None, "status": "queued"})
NOT_FOUND_BUT_NAMED = reply(200, {"found": False, "instance_id": ID, "status": None})
WAYS: dict[str, tuple[dict[str, Any], list[str]]] = {
    # What is not as usual, and the words that were seen.
    "200": ({"provision": [accepted(status=200)], "poll": [NO_ROW, NO_ROW, row()]}, ["running"]),
    "201, and no id": (
        {"provision": [accepted(..., status=201)], "poll": [NOT_FOUND, row()]},
        ["queued", "running"],
    ),
    "202, and an id that is null": (
        {"provision": [accepted(None, status=202)], "poll": [reply(200, {"found": False}), row()]},
        ["queued", "running"],
    ),
    **{
        f"not {word!r}": ({"status": [status(word), status("Running")]}, [word, "Running"])
        for word in ("", "run", "not running", "🐙")
    },
    **{
        name: (
            {"poll": [NO_ROW, it, row()], "status": [it, status("boot"), it, status("READY")]},
            ["queued", "boot", "READY"],
        )
        for name, it in {"502": reply(502), "429": reply(429), "late": late()}.items()
    },
    "a row that names nobody yet": (
        {"provision": [accepted(None)], "poll": [NAMELESS, row()]},
        ["queued", "running"],
    ),
    "not found, and named": ({"poll": [NOT_FOUND_BUT_NAMED, row()]}, ["queued", "running"]),
    "an id in capitals": ({"provision": [accepted(ID.upper())]}, ["queued", "running"]),
    "in progress": ({"provision": [reply(409)], "poll": [NO_ROW, row()]}, ["queued", "running"]),
    "an answer that was lost": ({"provision": [lost(), accepted()]}, ["queued", "running"]),
    "a hostname that is told once": (
        {"status": [status("a", "box-1"), status("active")]},
        ["queued", "a", "active"],
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_an_instance_gets_ready_in_many_ways(name: str) -> None:
    scripts, words = WAYS[name]
    usual = {"provision": [accepted()], "poll": [row()], "status": [status("running", "box-1")]}
    it = instance()
    io, calls = calls_of(it, **{**usual, **scripts})
    drive(provision(calls, it))
    assert (it.state, it.id) == (State.READY, ID)
    hostless = "status" in scripts and "hostname" not in name
    assert it.hostname == (None if hostless else "box-1")
    assert it.interrupted is None
    seen = [told.event.word for told in it.statuses]
    assert seen[-len(words) :] == words, "as the router wrote them"
    requests = [sent.request.body for sent in io.sent if sent.request.body]
    assert {body["idempotency_key"] for body in requests} == {KEY}, "asked again by the same key"
    assert len(requests) == len(scripts.get("provision", [1]))
    assert it.evidence.unknown_outcomes == (name in ("in progress", "an answer that was lost"))
    assert {call: not left for call, left in io.scripts.items()} == dict.fromkeys(usual, True)
    assert list(it.phases) == ["provision", "row", "ready"]


def test_words_of_ones_own_replace_the_usual_ones() -> None:
    policy = Policy(statuses=Statuses(*(frozenset({word}) for word in ("up", "down", "away"))))
    for word, state in (("Up", State.READY), ("DOWN", State.FAILED), ("Away", State.FAILED)):
        words = [status(it) for it in ("running", "failed", "deleted", word)]
        it = instance(policy=policy)
        _, calls = calls_of(it, provision=[accepted()], poll=[row()], status=words)
        with contextlib.suppress(ProvisionError):
            drive(provision(calls, it))
        assert it.state is state
        assert [told.event.word for told in it.statuses] == [
            "queued",
            "running",
            "failed",
            "deleted",
            word,
        ]


def test_the_usual_policy_is_the_documented_one() -> None:
    seconds = {"ready_timeout": 900, "chat_timeout": 120, "llm_events_timeout": 30}
    assert Policy() == Policy(
        **seconds,
        usage_settle=5,
        delete_timeout=60,
        row_wait=60,
        keep="never",
        statuses=Statuses(
            ready=frozenset({"running", "active", "ready", "online"}),
            failed=frozenset({"failed", "error", "provision_failed", "cancelled"}),
            gone=frozenset({"deleted", "deleting", "terminated"}),
        ),
        chat_end="auto",
    )


def test_the_next_look_is_a_tenth_of_the_time_waited_away() -> None:
    asked = {0: 0.25, 2.5: 0.25, 2.6: 0.26, 10: 1, 49: 4.9, 50: 5, 51: 5, 1e6: 5}
    assert {waited: poll_interval(waited) for waited in asked} == pytest.approx(asked)
    it = instance()
    polls = [*[NO_ROW] * 40, row()]
    words = [status("booting"), status("running")]
    io, calls = calls_of(it, provision=[Took(1, accepted())], poll=polls, status=words)
    drive(provision(calls, it))
    waited = list(itertools.accumulate(io.sleeps[:-1], initial=1.0))
    assert io.sleeps == pytest.approx([*map(poll_interval, waited)]), "one wait, from its request"
    assert (len(io.sleeps), io.sleeps[5], io.sleeps[-1] > 3) == (41, 0.25, True)
    assert it.phases == pytest.approx(
        {"provision": 1, "row": waited[-1] - 1, "ready": io.sleeps[-1]}
    )


def test_whoever_keeps_the_instance_is_told_of_every_step_before_the_next() -> None:
    told: list[str] = []
    it = instance()
    it.keeper = Listening(
        state=lambda changed: told.append(f"{changed.state} {changed.id}"),
        allow=lambda: told.append(f"may it, {it.state}?"),
    )
    _, calls = calls_of(
        it,
        provision=[telling(told, it) for it in (reply(503), accepted())],
        poll=[telling(told, it) for it in (NO_ROW, row())],
        status=[telling(told, status("running"))],
    )
    drive(provision(calls, it))
    assert told == [
        *("may it, claimed?", "requested None", "provision"),
        # A run may be over by the next attempt.
        *("may it, requested?", "requested None", "provision", f"accepted {ID}"),
        *("poll", "may it, accepted?", "poll", f"created {ID}", "status", f"ready {ID}"),
    ]
    assert it.born == START


def refuse(*_: object) -> None:
    raise ZeroDivisionError


STOPS: dict[str, tuple[Callable[[Instance], Listening], type[Exception], State, list[str]]]
STOPS = {
    # Who keeps the instance, what is raised, and how far it goes.
    "a step can't be written": (
        lambda _: Listening(state=refuse),
        *(ZeroDivisionError, State.CLAIMED, []),
    ),
    "no permission": (lambda _: Listening(allow=refuse), *(ZeroDivisionError, State.CLAIMED, [])),
    # The run ends in another thread, between the permission and the request.
    "the run ends": (lambda it: Listening(allow=it.give_up), *(ConfigError, State.UNUSED, [])),
    "the run is over while it waits": (
        lambda it: Listening(allow=lambda: it.state is State.CLAIMED or refuse()),
        *(ZeroDivisionError, State.ACCEPTED, ["provision", "poll"]),
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_where_a_run_may_not_go_on_nothing_more_is_sent(name: str) -> None:
    keeper, kind, state, sent = STOPS[name]
    it = instance()
    it.keeper = keeper(it)
    io, calls = calls_of(it, provision=[accepted()], poll=[NO_ROW, ...])
    error = fails(kind, provision(calls, it))
    assert (it.state, io.calls_sent()) == (state, sent)
    if kind is ConfigError:
        assert str(error).startswith("the run ended before this instance was requested\n")
    # What was given up for want of a request is not requested later.
    it.keeper = Listening()
    it.give_up()
    if it.state is State.UNUSED:
        fails(ConfigError, ask(calls, it, None))
        assert not io.sent


def test_only_what_was_not_requested_is_given_up_and_stays_so() -> None:
    for state in sorted(State):
        it = instance(state=state)
        it.give_up()
        it.give_up()
        assert it.state is (State.UNUSED if state is State.CLAIMED else state)


def test_a_key_is_free_that_nobody_has_or_that_this_run_has_asked_for() -> None:
    for answer in (NO_ROW, NOT_FOUND):
        io, calls = calls_of(it := instance(), poll=[answer])
        drive(check_free(calls, it))
        assert io.calls_sent() == ["poll"]
    for state in sorted(set(State) - {State.CLAIMED}):
        io, calls = calls_of(it := instance(state=state))
        drive(check_free(calls, it))
        assert not io.sent


def test_a_key_that_somebody_else_has_a_row_for_is_not_provisioned_under() -> None:
    _, calls = calls_of(it := instance(), poll=[row(), row()])
    assert str(fails(ConfigError, check_free(calls, it))) == (
        "the router has an instance for this key already: another run uses this run id, or has "
        "used it\n"
        "  phase:     provision, after 0.0 s\n"
        "  instance:  (key night-0)\n"
        f"  got:       {ID}\n"
        "  next step: give every run an id of its own, such as run, attempt, job and shard"
    )
    assert (it.state, it.id) == (State.CLAIMED, None), "it is not this run's to delete"
    it.key = "smoke-0123456789ab-0"
    error = fails(ConfigError, check_free(calls, it))
    assert error.message.endswith("this run has not requested it, and its run id is random")
    assert "smoke_instance_factory.own" in str(error.next_step)


def test_an_attached_instance_is_not_provisioned() -> None:
    io, calls = calls_of(it := attached())
    error = fails(ConfigError, provision(calls, it))
    assert error.message == "an attached instance can't be provisioned"
    assert not io.sent


def test_a_spec_that_cannot_be_sent_is_refused_before_it_is_taken_for_a_lost_request() -> None:
    it = instance()
    it.target.spec = SPEC.model_copy(update={"agent_name": "a\ud800"})
    io, calls = calls_of(it)
    error = fails(ConfigError, provision(calls, it))
    assert error.message.startswith("provision can't send this agent_name: 'utf-8' codec can't")
    assert (it.state, io.sent) == (State.CLAIMED, []), "there is nothing to delete"


@pytest.mark.parametrize("before", ["provision", "row"])
def test_an_interrupt_between_two_phases_names_the_one_before(before: str) -> None:
    def now() -> float:
        if doing[-1:] == [Doing(None)] and before in it.phases:
            raise KeyboardInterrupt
        return START

    doing: list[Doing] = []
    it = instance()
    it.keeper = Listening(doing=doing.append)
    io, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[status("running")])
    io.now = now  # type: ignore[method-assign]
    fails(KeyboardInterrupt, provision(calls, it))
    assert it.interrupted == before
    assert it.state is (State.ACCEPTED if before == "provision" else State.CREATED)


def _boot_interrupted_at(step: int) -> Instance | None:
    """Interrupt a boot at the nth line that its module runs; None if it has no more."""
    it = instance()
    _, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[status("running")])
    lines = itertools.count()
    began = False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal began
        if frame.f_code.co_filename != lifecycle.__file__:
            return None
        began = began or (frame.f_code is provision.__code__ and event == "line")
        if began and event == "line" and next(lines) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        drive(provision(calls, it))
    except KeyboardInterrupt:
        return it
    finally:
        sys.settrace(before)
    return None


def test_an_interrupt_at_any_line_of_a_boot_names_the_phase_that_had_begun_last() -> None:
    # The first lines read the clock, before the boot begins.
    boots = itertools.takewhile(bool, map(_boot_interrupted_at, itertools.count(3)))
    names = [name for name, _ in itertools.groupby(it and it.interrupted for it in boots)]
    assert names == ["provision", "row", "ready"]
