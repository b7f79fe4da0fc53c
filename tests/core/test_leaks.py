"""What is left: on purpose, or as a leak that can be tried again."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    SPEC,
    START,
    Listening,
    ScriptedIO,
    attached,
    calls_of,
    deleted,
    policy_of,
    record,
    reply,
    row,
)

from pytest_hydrasmoke import LeakError, UnauthorizedError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core.deletion import delete, keep
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._journal.states import HAS_ROW, NOTHING_TO_DELETE, State
from pytest_hydrasmoke._transport.protocol import drive

POLICY = policy_of()


def ready() -> InstanceRecord:
    """Return an instance that this run has tried to delete before: nobody else is suspected."""
    it = record(state=State.READY, id=ID)
    it.deletion_asked = True
    return it


def deleting(
    it: InstanceRecord | None = None, policy: Policy = POLICY, **scripts: Any
) -> tuple[ScriptedIO, InstanceRecord, LeakError | None]:
    """Delete, and give what came of it; the key has no row any more, unless `poll` says so."""
    it = it or ready()
    io, calls = calls_of(it, **{"poll": [NO_ROW, ...], **scripts})
    try:
        drive(delete(calls, it, policy))
    except LeakError as error:
        return io, it, error
    return io, it, None


ONCE = ["delete", "status", "poll"]


UNSEEN = sorted(set(State) - HAS_ROW - NOTHING_TO_DELETE)


@pytest.mark.parametrize("state", [State.CREATED, State.READY, State.FAILED, State.KEPT])
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("wanted", ["never", "on-failure", "always"])
def test_an_instance_is_kept_as_the_settings_say(wanted: str, failed: bool, state: State) -> None:
    it, told = record(state=state, id=ID), []
    it.keeper = Listening(state=lambda changed: told.append(changed.state))
    it.failed = failed
    kept = wanted == "always" or (wanted == "on-failure" and failed)
    assert keep(it, policy_of(keep=wanted)) is kept
    assert it.state is (State.KEPT if kept else state)
    # What is kept already is no news.
    assert told == ([State.KEPT] if kept and state is not State.KEPT else [])


def test_what_there_is_no_row_of_or_is_anothers_is_not_kept() -> None:
    theirs = attached()
    theirs.state = State.READY
    gone = [record(state=state, id=ID) for state in sorted(NOTHING_TO_DELETE)]
    for it in (theirs, record(state=State.REQUESTED), *gone):
        before = it.state
        assert not keep(it, policy_of(keep="always"))
        assert it.state is before


@pytest.mark.parametrize("state", UNSEEN)
def test_what_is_kept_without_a_row_is_not_taken_to_have_one(state: State) -> None:
    it = record(state=state, id=ID)
    assert not keep(it, policy_of(keep="always"))
    assert it.state is state
    io, _, _ = deleting(it, poll=[NO_ROW, row(), NO_ROW], delete=[deleted()], status=[NOT_FOUND])
    assert io.calls_sent() == ["poll"] * 2 + ONCE


def test_a_refused_deletion_is_a_leak_at_once() -> None:
    _, it, error = deleting(delete=[reply(403, {"detail": "Forbidden"})])
    assert it.state is State.READY
    assert error is not None
    assert isinstance(error.__cause__, UnauthorizedError)
    assert str(error) == (
        "not confirmed as deleted, it may still run: delete was refused with 403: Forbidden\n"
        "  phase:     delete, after 0.0 s\n"
        f"  instance:  {ID} (key {KEY})\n"
        "  next step: hydra-smoke sweep --run-id night"
    )


def test_a_grace_that_runs_out_is_a_leak() -> None:
    class Hurried(ScriptedIO):
        async def grace(self, seconds: float, work: Any) -> Any:
            raise TimeoutError(f"not done within {seconds:g} s")

    it = ready()
    with pytest.raises(LeakError) as caught:
        drive(delete(Calls(Hurried(), it), it, POLICY))
    assert caught.value.message == (
        "not confirmed as deleted, it may still run: not done within 125 s"
    )


def test_a_leak_names_the_run_that_a_sweep_is_to_look_for() -> None:
    it = InstanceRecord(SPEC, key="a-b-c-12", id=ID, state=State.CREATED)
    _, _, error = deleting(it, delete=[reply(403)])
    assert error is not None
    assert error.next_step == "hydra-smoke sweep --run-id a-b-c"


def test_a_deletion_that_was_taken_and_not_confirmed_needs_no_row_to_be_tried_again() -> None:
    it = record(state=State.ACCEPTED, id=ID)
    scripts = {"delete": [deleted(), ...], "status": [reply(401), NOT_FOUND]}
    io, calls = calls_of(it, poll=[row(), NO_ROW], **scripts)
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    assert it.state is State.DELETING
    drive(delete(calls, it, POLICY))
    assert it.state is State.GONE
    assert io.calls_sent() == ["poll", "delete", "status", *ONCE]


def test_a_deletion_that_was_not_taken_has_shown_its_row_for_the_next_one() -> None:
    it = record(state=State.ACCEPTED, id=ID)
    poll = [row(), NO_ROW]
    io, calls = calls_of(it, poll=poll, delete=[reply(403), deleted()], status=[NOT_FOUND])
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    assert it.state is State.CREATED
    drive(delete(calls, it, POLICY))
    assert it.state is State.GONE
    assert io.calls_sent() == ["poll", "delete", *ONCE]


def test_an_interrupt_of_a_deletion_leaves_it_to_be_done() -> None:
    it = ready()
    _, calls = calls_of(it, delete=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        drive(delete(calls, it, POLICY))
    assert it.state is State.READY


@pytest.mark.parametrize("state", [State.READY, State.ACCEPTED])
def test_the_time_left_is_that_of_what_is_waited_for(state: State) -> None:
    it = ready() if state is State.READY else record(state=state, id=ID)
    doing: list[Doing] = []
    it.keeper = Listening(doing=doing.append)
    policy = policy_of(delete_timeout=60.0, row_wait=40.0)
    found = [row(), NO_ROW] if state is State.ACCEPTED else [NO_ROW]
    _, _, error = deleting(it, policy, poll=found, delete=[deleted()], status=[NOT_FOUND])
    assert error is None
    first = 60 if state is State.READY else 40
    deadlines = [it.deadline - START for it in doing if it.deadline is not None]
    assert deadlines[0] == first
    assert max(deadlines) <= 61
    assert deadlines[-1] == pytest.approx(60, abs=1)
