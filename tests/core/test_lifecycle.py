"""From a spec to a ready instance: how the router says so, and who is told of each step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    START,
    Listening,
    ScriptedIO,
    Took,
    accepted,
    calls_of,
    late,
    lost,
    policy_of,
    record,
    refused,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import (
    ConfigError,
    HydraSmokeError,
    ProvisionError,
)
from pytest_hydrasmoke._core.lifecycle import (
    provision,
    status_of,
)
from pytest_hydrasmoke._core.policy import Policy, poll_interval
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

POLICY = policy_of()


def provisioned(
    policy: Policy = POLICY, **scripts: Any
) -> tuple[ScriptedIO, InstanceRecord, HydraSmokeError | None]:
    """Provision, and give what came of it."""
    it = record()
    io, calls = calls_of(it, **scripts)
    try:
        drive(provision(calls, it, policy))
    except HydraSmokeError as error:
        return io, it, error
    return io, it, None


# --- how often -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waited", "seconds"),
    [(0, 0.25), (2.5, 0.25), (2.6, 0.26), (10, 1), (49, 4.9), (50, 5), (51, 5), (900, 5)],
)
def test_the_next_look_is_a_tenth_of_the_time_waited_away(waited: float, seconds: float) -> None:
    assert poll_interval(waited) == pytest.approx(seconds)


@given(st.floats(0, 1e6))
def test_looks_are_a_quarter_second_to_5_s_apart(waited: float) -> None:
    assert 0.25 <= poll_interval(waited) <= 5


def test_polling_slows_down_as_the_wait_goes_on() -> None:
    io, _, _ = provisioned(
        provision=[accepted()], poll=[NO_ROW] * 40 + [row()], status=[status("running")]
    )
    assert io.sleeps[:11] == [0.25] * 10 + [pytest.approx(0.25)]
    assert io.sleeps == sorted(io.sleeps)
    waited = 0.0
    for seconds in io.sleeps:
        assert seconds == pytest.approx(poll_interval(waited))
        waited += seconds


def test_the_wait_for_ready_goes_on_where_the_wait_for_the_row_ended() -> None:
    io, _, _ = provisioned(
        provision=[Took(20, accepted())],
        poll=[NO_ROW, row()],
        status=[status("booting"), status("running")],
    )
    assert io.sleeps == [2.0, pytest.approx(2.2)]


# --- the happy ends --------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 201, 202])
@pytest.mark.parametrize("given_id", [ID, None, ...], ids=["present", "null", "absent"])
@pytest.mark.parametrize(
    "no_row",
    [NO_ROW, reply(200, {"found": False}), NOT_FOUND],
    ids=["found_false", "without_nulls", "404"],
)
def test_an_instance_gets_ready_however_the_router_says_so(
    code: int, given_id: object, no_row: Any
) -> None:
    io, it, error = provisioned(
        provision=[accepted(given_id, status=code)],
        poll=[no_row, no_row, row()],
        status=[status("booting"), status("running", "box-1")],
    )
    assert error is None
    assert (it.state, it.id, it.hostname) == (State.READY, ID, "box-1")
    assert it.statuses == ["queued", "booting", "running"]
    assert io.calls_sent() == ["provision"] + ["poll"] * 3 + ["status"] * 2
    assert it.phases == {"provision": 0.0, "row": 0.5, "ready": pytest.approx(0.25)}


NAMELESS = reply(200, {"found": True, "instance_id": None, "status": "queued"})
NOT_FOUND_BUT_NAMED = reply(200, {"found": False, "instance_id": ID, "status": None})
NOT_YET = ("", "queued", "run", "not running", "degraded", "🐙")
HICCUPS = {
    "502": reply(502),
    "429": reply(429),
    "lost": lost(),
    "refused": refused(),
    "late": late(),
}
WAYS: dict[str, tuple[dict[str, Any], list[str]]] = {
    # What is not as usual, and the words that were seen.
    **{
        word: ({"status": [status(word)]}, ["queued", word])
        for word in ("running", "active", "ready", "online", "RUNNING", "Ready")
    },
    **{
        f"not {word!r}": ({"status": [status(word), status("running")]}, [word, "running"])
        for word in NOT_YET
    },
    **{
        name: (
            {"poll": [NO_ROW, it, row()], "status": [it, status("boot"), it, status("running")]},
            ["queued", "boot", "running"],
        )
        for name, it in HICCUPS.items()
    },
    "a row that names nobody yet": (
        {"provision": [accepted(None)], "poll": [NAMELESS, row()]},
        ["queued", "running"],
    ),
    "not found, and named": ({"poll": [NOT_FOUND_BUT_NAMED, row()]}, ["queued", "running"]),
    "an id in capitals": ({"provision": [accepted(ID.upper())]}, ["queued", "running"]),
    "in progress": (
        {"provision": [reply(409)], "poll": [NO_ROW, row()]},
        ["queued", "running"],
    ),
    "an answer that was lost": ({"provision": [lost(), accepted()]}, ["queued", "running"]),
}


@pytest.mark.parametrize("name", WAYS)
def test_an_instance_gets_ready_in_many_ways(name: str) -> None:
    scripts, words = WAYS[name]
    usual = {"provision": [accepted()], "poll": [row()], "status": [status("running")]}
    io, it, error = provisioned(**{**usual, **scripts})
    assert error is None
    assert (it.state, it.id) == (State.READY, ID)
    assert it.statuses[-len(words) :] == words, "as the router wrote them"
    requests = [sent.request.body for sent in io.sent if sent.request.body]
    assert {body["idempotency_key"] for body in requests} == {KEY}, "asked again by the same key"
    assert len(requests) == len(scripts.get("provision", [1]))
    assert it.unknown_outcomes == (name in ("in progress", "an answer that was lost"))
    assert len(io.calls_sent("poll")) >= len(scripts.get("poll", [1]))


def test_words_of_ones_own_replace_the_usual_ones() -> None:
    policy = Policy(ready=frozenset({"up"}), failed=frozenset({"down"}), gone=frozenset({"away"}))
    _, _, error = provisioned(
        policy,
        provision=[accepted()],
        poll=[row()],
        status=[status("running"), status("failed"), status("deleted"), status("Up")],
    )
    assert error is None
    for word in ("DOWN", "Away"):
        scripts = {"provision": [accepted()], "poll": [row()], "status": [status(word)]}
        assert type(provisioned(policy, **scripts)[2]) is ProvisionError


def test_a_hostname_once_seen_is_kept() -> None:
    it = record(id=ID)
    _, calls = calls_of(it, status=[status("a", "box-1"), status("b")])
    for _ in range(2):
        drive(status_of(calls, it, ID))
    assert (it.hostname, it.statuses) == ("box-1", ["a", "b"])


# --- who is told, and may say no -------------------------------------------------------------


def test_the_record_knows_of_the_request_before_it_leaves() -> None:
    it = record()
    seen = []

    def look(_: Any) -> Any:
        seen.append((it.state, it.born))
        return accepted()

    _, calls = calls_of(it, provision=[look], poll=[row()], status=[status("running")])
    assert it.state is State.CLAIMED
    drive(provision(calls, it, POLICY))
    assert seen == [(State.REQUESTED, START)]


def test_whoever_keeps_the_record_is_told_of_every_step_before_the_next() -> None:
    def seen(answer: Any) -> Any:
        return lambda request: (told.append(request.call), answer)[1]

    told: list[str] = []
    it = record()
    it.keeper = Listening(state=lambda changed: told.append(f"{changed.state} {changed.id}"))
    _, calls = calls_of(
        it,
        provision=[seen(accepted())],
        poll=[seen(row())],
        status=[seen(status("running"))],
    )
    drive(provision(calls, it, POLICY))
    assert told == [
        *("requested None", "provision", f"accepted {ID}"),
        *("poll", f"created {ID}", "status", f"ready {ID}"),
    ]


def test_where_a_step_can_not_be_written_down_nothing_is_sent() -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    it = record()
    it.keeper = Listening(state=full)
    io, calls = calls_of(it)
    with pytest.raises(OSError, match="disk full"):
        drive(provision(calls, it, POLICY))
    assert not io.sent


class NoFurtherError(Exception):
    """What a run raises that must not go on."""


def test_a_provision_needs_the_runs_permission() -> None:
    def refuse() -> None:
        raise NoFurtherError

    it = record()
    it.keeper = Listening(state=lambda _: pytest.fail("nothing has happened"), allow=refuse)
    io, calls = calls_of(it)
    with pytest.raises(NoFurtherError):
        drive(provision(calls, it, POLICY))
    assert not io.sent
    assert it.state is State.CLAIMED, "there is nothing to delete"


def test_a_run_that_ends_just_before_the_request_lets_none_leave() -> None:
    it = record()
    # The run ends in another thread, between the permission and the request.
    it.keeper = Listening(allow=it.give_up)
    io, calls = calls_of(it)
    with pytest.raises(ConfigError, match="the run ended before this instance was requested"):
        drive(provision(calls, it, POLICY))
    assert not io.sent
    assert it.state is State.UNUSED, "its key is free"


def test_only_what_was_not_requested_is_given_up_and_stays_so() -> None:
    for state in sorted(set(State) - {State.CLAIMED}):
        it = record(state=state)
        it.give_up()
        assert it.state is state
    it = record()
    it.give_up()
    it.give_up()
    with pytest.raises(ConfigError):
        it.leaves()
    assert it.state is State.UNUSED


def test_permission_is_asked_for_before_the_request_and_before_each_wait() -> None:
    asked = []
    it = record()
    it.keeper = Listening(allow=lambda: asked.append(it.state))
    _, calls = calls_of(
        it,
        provision=[reply(503), accepted()],
        poll=[NO_ROW, row()],
        status=[status("running")],
    )
    drive(provision(calls, it, POLICY))
    assert asked == [State.CLAIMED, State.ACCEPTED]


def test_a_run_that_is_over_waits_for_nothing_more() -> None:
    def over() -> None:
        if it.state is State.ACCEPTED:
            raise ConfigError("the run is over")

    it = record()
    it.keeper = Listening(allow=over)
    io, calls = calls_of(it, provision=[accepted()], poll=[NO_ROW, ...])
    with pytest.raises(ConfigError, match="over"):
        drive(provision(calls, it, POLICY))
    assert io.calls_sent() == ["provision", "poll"]
