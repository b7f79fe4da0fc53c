"""The last look of a run, on made-up time: at what was deleted, was refused, or would not go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from scripted_io import (
    ID,
    MALFORMED,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    START,
    ScriptedIO,
    calls_of,
    deleted,
    lost,
    policy_of,
    record,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import LeakError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.proof import AFTER, REFUSED_AFTER
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.last_look import CLAIMS, LOOKS, MOST_LAG, LastLook, _note_failure
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE, drive

POLICY = policy_of(delete_timeout=30.0)
Part = Callable[[LastLook], Callable[[Calls, InstanceRecord], Awaitable[None]]]


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


def look(
    part: Part,
    it: InstanceRecord,
    *,
    row_lag: float = 0.0,
    hurried: float | None = None,
    late: float = 0.0,
    **scripts: Any,
) -> ScriptedIO:
    """Look once more, `late` seconds after the run's end."""
    given = {"poll": [NO_ROW, ...], "status": [NOT_FOUND, ...], "delete": [deleted(), ...]}
    io, calls = calls_of(it, **{**given, **scripts})
    io.time += late
    if hurried is not None:
        io.hurried = START + hurried
    drive(part(LastLook(POLICY, START, row_lag))(calls, it))
    return io


def gone(*, was_ready: bool = True, at: float | None = START) -> InstanceRecord:
    """Return an instance that was proved gone."""
    it = record(state=State.READY, id=ID)
    it.was_ready, it.deletion_asked = was_ready, True
    it.evidence[plain_id(ID)] = it.evidence[plain_id(ID)].answered(0, accepted=True)
    it.is_gone(START, ends=False)
    it.gone_at = at
    return it


# At what was proved gone


def of_proved(it: LastLook) -> Callable[[Calls, InstanceRecord], Awaitable[None]]:
    return it.of_proved


def test_what_is_still_gone_a_while_later_is_deleted() -> None:
    it = gone()
    io = look(of_proved, it)
    assert (it.state, it.leak, list(it.notes)) == (State.DELETED, None, [])
    assert (io.waited, io.calls_sent()) == (AFTER, ["status", "poll"])


def test_a_proof_that_is_old_enough_needs_no_wait() -> None:
    it = gone(at=START - 60)
    assert look(of_proved, it).waited == 0
    it = gone(at=None)
    assert look(of_proved, it).waited == AFTER


def test_what_was_never_ready_is_asked_to_go_once_more_and_stays_open() -> None:
    it = gone(was_ready=False)
    io = look(of_proved, it)
    assert io.calls_sent() == ["status", "poll", "delete"]
    assert (it.state, it.leak, list(it.notes)) == (State.GONE, None, [])


@pytest.mark.parametrize(
    ("scripts", "what"),
    [
        ({"status": [status("running"), NOT_FOUND, ...]}, "status 'running'"),
        ({"poll": [row("running", OTHER_ID), NO_ROW, ...]}, f"its key names {OTHER_ID}"),
    ],
    ids=["alive", "another"],
)
def test_what_is_there_again_is_a_leak_and_is_deleted_again(
    scripts: dict[str, Any], what: str
) -> None:
    it = gone()
    io = look(of_proved, it, **scripts)
    assert it.leak == f"it was proved gone, and is there again: {what}; it was deleted once more"
    assert it.state is State.GONE, "it stays open: a sweep looks again"
    assert "delete" in io.calls_sent()


def test_what_is_there_again_and_does_not_go_is_a_leak() -> None:
    it = gone()
    with pytest.raises(LeakError, match="not confirmed as deleted"):
        look(of_proved, it, status=[status("running"), ...])
    assert it.leak == "it was proved gone, and is there again: status 'running'"
    assert it.state is State.DELETING


@pytest.mark.parametrize("answer", [reply(400, {"detail": "no"}), lost()], ids=["refused", "lost"])
def test_what_proves_nothing_takes_no_proof_back(answer: Any) -> None:
    it = gone()
    look(of_proved, it, status=[answer, ...])
    assert (it.state, it.leak) == (State.GONE, None)
    [note] = it.notes
    assert note.startswith("the last look at it proves nothing: ")
    assert note.endswith("; a sweep looks again")


def test_what_is_still_being_deleted_stays_open() -> None:
    it = gone()
    look(of_proved, it, status=[status("deleting"), ...])
    assert (it.state, it.leak) == (State.GONE, None)
    assert list(it.notes) == [
        "the last look at it proves nothing: the router is still deleting it; a sweep looks again"
    ]


@pytest.mark.parametrize(
    ("late", "hurried"),
    [(LOOKS + AFTER, None), (0.0, AFTER + LAST_CHANCE)],
    ids=["late", "hurried"],
)
def test_what_is_not_reached_in_time_is_named_and_not_asked(
    late: float, hurried: float | None
) -> None:
    it = gone()
    io = look(of_proved, it, late=late, hurried=hurried)
    assert (io.calls_sent(), it.state, it.leak) == ([], State.GONE, None)
    assert list(it.notes) == [
        "the last look at it proves nothing: it was not reached in time; a sweep looks again"
    ]


# At what could not be deleted


def try_again(it: LastLook) -> Callable[[Calls, InstanceRecord], Awaitable[None]]:
    return it.try_again


def leaked(state: State, **more: Any) -> InstanceRecord:
    it = record(state=state, **more)
    it.leak, it.deletion_asked = "not confirmed as deleted", True
    return it


def test_a_leak_that_is_gone_at_the_end_is_a_note() -> None:
    it = leaked(State.DELETING, id=ID)
    io = look(try_again, it)
    assert (it.state, it.leak) == (State.GONE, None), "it was never ready"
    assert list(it.notes) == ["its deletion was proved only at the run's end"]
    assert io.waited == 2 * AFTER


def test_a_leak_that_one_look_takes_back_needs_a_last_look() -> None:
    it = leaked(State.DELETING, id=ID)
    it.was_ready = True
    look(try_again, it)
    assert (it.state, it.leak) == (State.DELETED, None)
    it = leaked(State.DELETING, id=ID)
    look(try_again, it, status=[NOT_FOUND, status("running"), NOT_FOUND, ...])
    assert it.leak == (
        "it was proved gone, and is there again: status 'running'; it was deleted once more"
    )


def test_a_leak_that_is_not_proved_at_the_end_stays_one() -> None:
    it = leaked(State.DELETING, id=ID)
    io = look(try_again, it, status=[status("running"), ...])
    assert (it.leak, list(it.notes)) == ("not confirmed as deleted", [])
    assert io.calls_sent("status") == ["status"], "one look"


def test_a_leak_without_a_row_is_asked_for_once_and_not_waited_for() -> None:
    it = leaked(State.REQUESTED)
    io = look(try_again, it)
    assert (it.leak, io.calls_sent(), io.waited) == ("not confirmed as deleted", ["poll"], AFTER)


def test_a_leak_whose_row_has_come_is_deleted() -> None:
    it = leaked(State.ACCEPTED, id=ID)
    look(try_again, it, poll=[row("running"), NO_ROW, ...])
    assert (it.state, it.leak, it.id) == (State.GONE, None, ID)


def test_a_signal_leaves_no_time_for_a_leak() -> None:
    it = leaked(State.DELETING, id=ID)
    io = look(try_again, it, hurried=1.0)
    assert (it.leak, io.calls_sent()) == ("not confirmed as deleted", [])


def test_a_leak_whose_time_comes_late_is_looked_at_at_once() -> None:
    it = leaked(State.DELETING, id=ID)
    assert look(try_again, it, late=9).waited == 9 + AFTER


# At what was refused


def of_refused(it: LastLook) -> Callable[[Calls, InstanceRecord], Awaitable[None]]:
    return it.of_refused


def refused_record(at: float | None = START) -> InstanceRecord:
    it = record(state=State.REQUESTED)
    it.refuses(START)
    it.refused_at = at
    return it


@pytest.mark.parametrize(
    ("row_lag", "ago", "waits"),
    [
        (0.0, 0.0, REFUSED_AFTER),
        (1.0, 0.0, REFUSED_AFTER),
        (4.0, 0.0, 8.0),
        (100.0, 0.0, MOST_LAG),
        (0.0, 2.0, REFUSED_AFTER - 2.0),
        (4.0, 60.0, 0.0),
        (0.0, None, REFUSED_AFTER),
    ],
)
def test_a_refused_key_is_asked_for_later_than_rows_come(
    row_lag: float, ago: float | None, waits: float
) -> None:
    it = refused_record(None if ago is None else START - ago)
    io = look(of_refused, it, row_lag=row_lag)
    assert (io.waited, io.calls_sent()) == (waits, ["poll"])
    assert (it.state, it.conflict, it.leak) == (State.REFUSED, None, None)


def test_what_came_of_it_is_deleted_and_makes_the_run_red() -> None:
    it = refused_record()
    look(of_refused, it, poll=[row("running"), NO_ROW, ...])
    assert (it.state, it.id, it.leak) == (State.GONE, ID, None)
    assert it.conflict is not None
    assert "refused to provision it, and did it all the same: its key named it 3 s" in it.conflict


def test_a_router_that_calls_it_no_key_has_no_row_for_it() -> None:
    it = refused_record()
    look(of_refused, it, poll=[MALFORMED, ...])
    assert (it.state, it.conflict) == (State.REFUSED, None)


def test_a_refused_key_that_is_not_answered_for_is_an_error_and_no_leak() -> None:
    it = refused_record()
    with pytest.raises(HydraSmokeError):
        look(of_refused, it, poll=[reply(400, {"detail": "no"}), ...])
    assert (it.state, it.leak) == (State.REFUSED, None)


@pytest.mark.parametrize(
    ("late", "hurried"),
    [(CLAIMS + REFUSED_AFTER, None), (0.0, REFUSED_AFTER)],
    ids=["late", "hurried"],
)
def test_a_refused_key_that_is_not_reached_in_time_stays(
    late: float, hurried: float | None
) -> None:
    it = refused_record()
    io = look(of_refused, it, late=late, hurried=hurried)
    assert (io.calls_sent(), it.state) == ([], State.REFUSED)


def test_what_came_of_it_and_does_not_go_is_a_leak() -> None:
    it = refused_record()
    with pytest.raises(LeakError) as caught:
        look(of_refused, it, poll=[row("running"), ...], status=[status("running"), ...])
    _note_failure(it, caught.value)
    assert it.leak == caught.value.message


# What comes to no end


NO_PROOF = "the last look at it proves nothing"


def test_a_failure_is_a_leak_only_where_something_is_not_proved_gone() -> None:
    it = gone()
    _note_failure(it, LeakError("it is there"))
    assert (it.leak, list(it.notes)) == (None, [f"{NO_PROOF}: it is there; a sweep looks again"])
    it = record(state=State.DELETING, id=ID)
    _note_failure(it, HydraSmokeError("no answer"))
    assert (it.leak, list(it.notes)) == ("no answer", [])
    it = record(state=State.DELETING, id=ID)
    for _ in range(2):
        _note_failure(it, LeakError("it is there"))
        assert it.leak == "it is there"
    _note_failure(it, LeakError("it is still there"))
    assert it.leak == "it is there"
