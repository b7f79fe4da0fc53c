"""From an instance to a confirmed deletion, or to a leak that says so."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from scripted_io import (
    HANG,
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    SPEC,
    START,
    AtDeadline,
    Listening,
    ScriptedIO,
    Took,
    attached,
    calls_of,
    deleted,
    lost,
    policy_of,
    record,
    refused,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import ConfigError, HydraSmokeError, LeakError, UnauthorizedError
from pytest_hydrasmoke._api.calls import LAST_CHANCE, Calls
from pytest_hydrasmoke._core.deletion import delete, keep
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.removal import NoRowError
from pytest_hydrasmoke._core.states import HAS_ROW, NOTHING_TO_DELETE, State
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


# --- what confirms it ------------------------------------------------------------------------

ONCE = ["delete", "status", "poll"]
HELD = [*ONCE, *["status", "poll"] * 10]
"""Where no delete is accepted, "not found" must hold for ten seconds: one look in each."""
CONFIRMED: dict[str, tuple[list[Any], list[Any], list[str]]] = {
    # what delete and status answer, and the calls until it is confirmed
    "404 of status": ([deleted()], [NOT_FOUND], ONCE),
    "gone row": ([deleted()], [status("Deleted", "box-1-gone")], ONCE),
    "gone row, in progress": ([deleted()], [status("DELETING")], ONCE),
    "accepted": ([deleted("queued", 202)], [status("terminated")], ONCE),
    "gone already": ([NOT_FOUND], [NOT_FOUND, ...], HELD),
    "later": (
        [deleted("x"), deleted("x"), deleted("x")],
        [status("running"), status("running"), NOT_FOUND],
        ["delete", "status", "delete", "status", *ONCE],
    ),
    "no body": ([reply(204)], [NOT_FOUND], ONCE),
    "broken body": ([reply(200, b"<html>")], [NOT_FOUND, ...], HELD),
    "broken body, later": (
        [reply(200, b"{}"), reply(200, b"{}")],
        [status("running"), NOT_FOUND, ...],
        ["delete", "status", *HELD],
    ),
    "not taken": ([reply(422)], [NOT_FOUND, ...], HELD),
    "not taken, later": (
        [reply(302), reply(418), deleted()],
        [status("running"), status("running"), NOT_FOUND],
        ["delete", "status", "delete", "status", *ONCE],
    ),
    "hiccups": (
        [reply(503), lost(), deleted()],
        [refused(), NOT_FOUND],
        ["delete", "delete", "delete", "status", "status", "poll"],
    ),
}


@pytest.mark.parametrize("case", CONFIRMED)
def test_a_deletion_is_confirmed(case: str) -> None:
    deletes, statuses, calls = CONFIRMED[case]
    io, it, error = deleting(delete=deletes, status=statuses)
    assert error is None
    assert it.state is State.GONE
    assert io.calls_sent() == calls


@pytest.mark.parametrize("earlier", [[], [deleted("x")]], ids=["first", "second"])
@pytest.mark.parametrize(
    "word", [deleted("deleted"), deleted("DELETED"), NOT_FOUND, reply(409), reply(410)], ids=repr
)
def test_what_delete_answers_confirms_nothing(word: Any, earlier: list[Any]) -> None:
    io, it, error = deleting(delete=[*earlier, word, ...], status=[status("running"), ...])
    assert error is not None
    assert it.state is (State.DELETING if earlier or word.status == 200 else State.READY)
    assert len(io.calls_sent("status")) > 5


def test_words_of_ones_own_tell_that_it_is_gone() -> None:
    policy = policy_of(gone=frozenset({"away"}))
    _, it, error = deleting(policy=policy, delete=[deleted("x")], status=[status("Away")])
    assert error is None
    assert it.state is State.GONE


def test_words_that_are_not_ones_own_do_not_tell_that_it_is_gone() -> None:
    policy = policy_of(gone=frozenset({"away"}))
    _, it, error = deleting(
        policy=policy, delete=[deleted("AWAY"), ...], status=[status("terminated"), ...]
    )
    assert error is not None
    assert it.state is State.DELETING


def test_an_instance_that_is_not_found_is_gone_whatever_the_words_of_ones_own_are() -> None:
    policy = policy_of(gone=frozenset({"away"}))
    _, it, error = deleting(policy=policy, delete=[deleted("x")], status=[NOT_FOUND])
    assert error is None
    assert it.state is State.GONE


def test_a_failed_row_is_not_a_gone_one() -> None:
    io, _, error = deleting(
        delete=[deleted("x"), ...], status=[status("failed"), status("failed"), NOT_FOUND]
    )
    assert error is None
    assert len(io.calls_sent("status")) == 3


def test_a_broken_answer_to_delete_is_noted() -> None:
    _, it, _ = deleting(delete=[reply(200, b"{}")], status=[NOT_FOUND, ...])
    [note] = it.notes
    assert note == (
        "delete answered against the router's contract: "
        "expected instance_id: present; status: present, got no such field; no such field"
    )
    _, it, _ = deleting(delete=[reply(204)], status=[NOT_FOUND])
    assert it.notes == [], "without a body it is accepted all the same"


def test_looks_after_a_delete_slow_down_too() -> None:
    io, _, _ = deleting(delete=[deleted("x"), ...], status=[*[status("running")] * 20, NOT_FOUND])
    assert io.sleeps[:10] == [0.25] * 10
    assert io.sleeps[-1] > 0.4


def test_what_the_delete_itself_took_counts_as_waited() -> None:
    io, _, _ = deleting(
        delete=[Took(20, deleted("x")), deleted("x")], status=[status("running"), NOT_FOUND]
    )
    assert io.sleeps == [2.0]


def test_a_deletion_is_carried_out_in_grace() -> None:
    policy = policy_of(delete_timeout=40, row_wait=20)
    io, _, _ = deleting(policy=policy, delete=[deleted()], status=[NOT_FOUND])
    assert io.graces == [20 + 40 + 5]


def test_a_deletion_is_timed() -> None:
    _, it, _ = deleting(delete=[Took(2, deleted())], status=[Took(3, NOT_FOUND)])
    assert it.phases == {"delete": 5.0}


# --- what there is nothing to do for ---------------------------------------------------------


@pytest.mark.parametrize("state", sorted(NOTHING_TO_DELETE))
def test_where_nothing_is_left_nothing_is_sent(state: State) -> None:
    io, it, error = deleting(record(state=state, id=ID))
    assert error is None
    assert not io.sent
    assert it.state is state


@pytest.mark.parametrize("state", sorted(set(State) - NOTHING_TO_DELETE))
def test_where_something_may_be_left_it_is_deleted(state: State) -> None:
    it = record(state=state, id=ID)
    it.deletion_asked = True
    first = [] if state in HAS_ROW else ["poll"]
    io, it, error = deleting(
        it, poll=[*[row() for _ in first], NO_ROW], delete=[deleted()], status=[NOT_FOUND]
    )
    assert error is None
    assert it.state is State.GONE
    assert io.calls_sent() == [*first, *ONCE]


def test_whoever_keeps_the_record_is_told_of_a_deletion_step_by_step() -> None:
    def seen(answer: Any) -> Any:
        return lambda request: (told.append(request.call), answer)[1]

    told: list[str] = []
    it = record(state=State.ACCEPTED)
    it.listener = Listening(state=lambda changed: told.append(f"{changed.state} {changed.id}"))
    poll = [seen(row()), seen(NO_ROW)]
    deleting(it, poll=poll, delete=[seen(deleted())], status=[seen(NOT_FOUND)])
    assert told[:3] == ["poll", f"created {ID}", "delete"]
    assert told[3:] == [f"deleting {ID}", "status", "poll", f"gone {ID}"]


def test_a_delete_that_was_not_taken_is_not_told_of() -> None:
    it, told = ready(), []
    it.listener = Listening(state=lambda changed: told.append(changed.state))
    _, _, error = deleting(it, delete=[reply(403)])
    assert error is not None
    assert told == []


def test_to_delete_twice_is_to_delete_once() -> None:
    it = ready()
    io, calls = calls_of(it, delete=[deleted()], status=[NOT_FOUND], poll=[NO_ROW])
    drive(delete(calls, it, POLICY))
    drive(delete(calls, it, POLICY))
    assert io.calls_sent() == ONCE


def test_an_attached_instance_is_never_deleted() -> None:
    it = attached()
    io, calls = calls_of(it)
    with pytest.raises(ConfigError) as caught:
        drive(delete(calls, it, POLICY))
    assert not io.sent
    assert str(caught.value) == (
        "an attached instance is never deleted\n"
        f"  instance:  {ID}\n"
        "  next step: delete it where it was provisioned"
    )


# --- a key whose row is not known ------------------------------------------------------------


def test_an_instance_known_by_its_key_alone_is_found_first() -> None:
    named = reply(200, {"found": True, "instance_id": ID, "status": None})
    io, it, error = deleting(
        record(state=State.REQUESTED),
        poll=[NO_ROW, NO_ROW, named, NO_ROW],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert (it.state, it.id) == (State.GONE, ID)
    assert io.calls_sent() == ["poll"] * 3 + ONCE
    assert io.sleeps[:2] == [0.25, 0.25]


UNSEEN = sorted(set(State) - HAS_ROW - NOTHING_TO_DELETE)


@pytest.mark.parametrize("state", UNSEEN)
def test_an_id_without_a_row_is_worth_nothing(state: State) -> None:
    io, it, error = deleting(
        record(state=state, id=ID),
        poll=[NO_ROW, NO_ROW, row(), NO_ROW],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert it.state is State.GONE
    assert io.calls_sent() == ["poll"] * 3 + ONCE


_NOTHING_SHOWN = "but shows no instance for its key"
NO_ROW_YET = {
    State.ACCEPTED: f"the router accepted the request, {_NOTHING_SHOWN}",
    State.REQUESTED: f"the router may have carried out the request, {_NOTHING_SHOWN}",
}
_ANSWERED = "the request was answered with"
_PERHAPS = f"and the router may have carried it out, {_NOTHING_SHOWN}"


@pytest.mark.parametrize("state", UNSEEN)
def test_without_a_row_there_is_nothing_to_delete_and_one_may_come(state: State) -> None:
    io, it, error = deleting(record(state=state), poll=[NO_ROW, ...])
    assert error is not None
    assert error.message == f"not confirmed as deleted, it may still run: {NO_ROW_YET[state]}"
    assert isinstance(error.__cause__, NoRowError)
    assert it.state is state
    assert it.phases == {"delete": pytest.approx(59.5)}
    assert set(io.calls_sent()) == {"poll"}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (413, f"{_ANSWERED} 413, {_PERHAPS}"),
        (502, f"{_ANSWERED} 502, {_PERHAPS}"),
        (204, NO_ROW_YET[State.REQUESTED]),
        (None, NO_ROW_YET[State.REQUESTED]),
    ],
)
def test_a_leak_without_a_row_tells_how_its_request_was_answered(
    code: int | None, told: str
) -> None:
    it = record(state=State.REQUESTED)
    io, calls = calls_of(
        it, provision=[lost() if code is None else reply(code)], poll=[NO_ROW, ...]
    )
    with contextlib.suppress(HydraSmokeError):
        drive(calls.provision(SPEC, KEY, deadline=io.now() + 0.2))
    with pytest.raises(LeakError) as caught:
        drive(delete(calls, it, POLICY))
    assert caught.value.message.endswith(f"it may still run: {told}")


@pytest.mark.parametrize("state", UNSEEN)
def test_an_id_without_a_row_is_deleted_if_its_key_was_asked_for_long_enough_and_it_is_alive(
    state: State,
) -> None:
    io, it, error = deleting(
        record(state=state, id=ID),
        poll=[NO_ROW, ...],
        delete=[deleted(), deleted()],
        status=[status("running"), NOT_FOUND],
    )
    assert error is None
    assert it.state is State.GONE
    assert set(io.calls_sent()[:-5]) == {"poll"}
    assert io.calls_sent()[-5:] == ["status", "delete", *ONCE]
    assert io.sent[-5].at - START >= POLICY.row_wait - 1


@pytest.mark.parametrize("state", UNSEEN)
@pytest.mark.parametrize("seen", [NOT_FOUND, status("deleted")], ids=["not found", "gone"])
def test_an_id_without_a_row_that_is_nobodys_may_still_get_one(seen: Any, state: State) -> None:
    """Its key's own answer has named it, so that a delete can only help; it proves nothing."""
    scripts = {"poll": [NO_ROW, ...], "status": [seen], "delete": [deleted()]}
    io, it, error = deleting(record(state=state, id=ID), **scripts)
    assert error is not None
    assert isinstance(error.__cause__, NoRowError)
    assert it.state is state
    assert io.calls_sent("delete") == ["delete"]


@pytest.mark.parametrize("state", UNSEEN)
def test_an_id_without_a_row_of_which_nothing_is_known_is_a_leak_that_no_sweep_closes(
    state: State,
) -> None:
    scripts = {"poll": [NO_ROW, ...], "status": [reply(500), ...], "delete": [reply(500), ...]}
    _, it, error = deleting(record(state=state, id=ID), **scripts)
    assert error is not None
    assert not isinstance(error.__cause__, NoRowError)
    assert "its key has no row, and its status proves nothing" in error.message
    assert it.state is state


def test_the_row_names_what_is_deleted_and_what_provision_named_is_deleted_too() -> None:
    def about(request: Any) -> str:
        return str(request.path.rpartition("/")[2])

    io, it, error = deleting(
        record(state=State.ACCEPTED, id=OTHER_ID),
        poll=[row(), NO_ROW, ...],
        delete=[
            lambda request: reply(200, {"instance_id": about(request), "status": "deleting"}),
            ...,
        ],
        status=[NOT_FOUND, ...],
    )
    assert error is None
    assert it.id == ID
    asked = [(sent.request.call, about(sent.request)) for sent in io.sent]
    both = [[("delete", it), ("status", it), ("poll", KEY)] for it in (ID, OTHER_ID)]
    assert asked == [("poll", KEY), *both[0], *both[1]]


def test_a_key_that_is_not_found_has_no_row_even_if_an_instance_is_named() -> None:
    named = reply(200, {"found": False, "instance_id": ID, "status": None})
    io, _, error = deleting(
        record(state=State.ACCEPTED, id=ID),
        poll=[named, named, row(), named],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert io.calls_sent() == ["poll"] * 3 + ONCE


NAMELESS = reply(200, {"found": True, "instance_id": None, "status": "queued"})


def test_a_chat_that_ends_as_a_deletion_begins_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = ready()
    io, calls = calls_of(it, delete=[deleted()], status=[NOT_FOUND], poll=[NO_ROW, ...])
    grace = io.grace

    async def after_a_chat(seconds: float, work: Any) -> None:
        it.rests()
        await grace(seconds, work)

    monkeypatch.setattr(io, "grace", after_a_chat)
    drive(delete(calls, it, POLICY))
    assert it.state is State.GONE


def test_a_row_that_names_no_instance_yet_is_waited_for() -> None:
    io, _, error = deleting(
        record(state=State.REQUESTED),
        poll=[NAMELESS, row(), NO_ROW],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert io.calls_sent() == ["poll"] * 2 + ONCE


def test_a_row_that_never_names_its_instance_is_a_leak() -> None:
    _, it, error = deleting(record(state=State.REQUESTED), poll=[NAMELESS, ...])
    assert error is not None
    assert error.message.endswith("the router has a row for its key, but names no instance")
    assert not isinstance(error.__cause__, NoRowError), "the router says that there is one"
    assert it.state is State.REQUESTED


@pytest.mark.parametrize("wait", [60.0, 8.0])
def test_a_key_without_a_row_is_asked_for_until_the_wait_for_it_is_over(wait: float) -> None:
    policy = policy_of(row_wait=wait, delete_timeout=3)
    io, _, _ = deleting(record(state=State.REQUESTED), policy, poll=[NO_ROW, ...])
    assert io.waited == pytest.approx(wait - LAST_CHANCE)
    assert len(io.calls_sent("poll")) > 20
    assert set(io.calls_sent()) == {"poll"}
    assert {sent.deadline - START for sent in io.sent} >= {wait}, "the last look can be answered"


def test_a_key_is_asked_for_once_where_there_is_no_time_to_wait() -> None:
    io, it, error = deleting(
        record(state=State.REQUESTED), policy_of(row_wait=LAST_CHANCE), poll=[NO_ROW]
    )
    assert error is not None
    assert isinstance(error.__cause__, NoRowError)
    assert it.state is State.REQUESTED
    assert io.sleeps == []


def test_a_look_that_ends_at_the_deadline_tells_that_there_is_no_row_yet() -> None:
    _, it, error = deleting(
        record(state=State.REQUESTED), policy_of(row_wait=9), poll=[AtDeadline(NO_ROW)]
    )
    assert error is not None
    assert isinstance(error.__cause__, NoRowError)
    assert it.state is State.REQUESTED


def test_a_key_whose_last_look_fails_is_not_told_to_have_no_row() -> None:
    _, it, error = deleting(record(state=State.REQUESTED), poll=[*[NO_ROW] * 10, reply(503), ...])
    assert error is not None
    assert not isinstance(error.__cause__, NoRowError)
    assert "poll was refused with 503" in error.message
    assert it.state is State.REQUESTED


def test_a_row_that_comes_late_is_deleted_within_the_whole_timeout() -> None:
    io, it, error = deleting(
        record(state=State.REQUESTED),
        policy_of(delete_timeout=8),
        poll=[Took(20, NO_ROW), Took(20, row())],
        delete=[deleted("x"), ...],
        status=[status("running"), ...],
    )
    assert error is not None
    found = 20 + 2 + 20
    assert io.waited == pytest.approx(found + 8 - LAST_CHANCE)
    ends = [sent.deadline - START for sent in io.sent if sent.request.call != "poll"]
    assert ends[0] == pytest.approx(found + 4), "half of the time is left to look at it"
    assert set(ends[1::2]) == {found + 8}
    assert it.state is State.DELETING


# --- in a hurry ------------------------------------------------------------------------------


def hurried(
    patience: float, it: InstanceRecord | None = None, policy: Policy = POLICY, **scripts: Any
) -> tuple[ScriptedIO, InstanceRecord, LeakError | None]:
    """Delete although a signal has come that leaves `patience` seconds."""
    it = it or ready()
    io, calls = calls_of(it, **{"poll": [NO_ROW, ...], **scripts})
    io.hurried = START + patience
    try:
        drive(delete(calls, it, policy))
    except LeakError as error:
        return io, it, error
    return io, it, None


def test_a_deletion_that_is_confirmed_in_time_is_as_good_in_a_hurry() -> None:
    io, it, error = hurried(
        3, delete=[deleted("x"), ...], status=[status("running"), status("running"), NOT_FOUND]
    )
    assert error is None
    assert it.state is State.GONE
    assert io.waited < 3


def test_a_deletion_in_a_hurry_looks_for_no_other_who_deletes() -> None:
    it = record(state=State.READY, id=ID)
    io, _, error = hurried(3, it, delete=[deleted()], status=[NOT_FOUND])
    assert (error, it.conflict, io.calls_sent()) == (None, None, ONCE)


def test_a_deletion_in_a_hurry_ends_with_a_last_look() -> None:
    io, it, error = hurried(3, delete=[deleted("x"), ...], status=[status("running"), ...])
    assert error is not None
    assert error.message == (
        "not confirmed as deleted, it may still run: status 'running' 2 s after the delete"
    )
    assert error.next_step == "hydra-smoke sweep --run-id night"
    assert it.state is State.DELETING, "the router was asked"
    assert io.waited == pytest.approx(3 - LAST_CHANCE)
    assert io.calls_sent()[-1] == "status"


@pytest.mark.parametrize("answers", [NOT_FOUND, status("running")], ids=["gone", "there"])
def test_with_hardly_any_patience_left_there_is_one_delete_and_one_look(answers: Any) -> None:
    io, it, error = hurried(LAST_CHANCE, delete=[deleted("x")], status=[answers])
    gone = answers is NOT_FOUND
    assert io.calls_sent() == (ONCE if gone else ["delete", "status"])
    assert io.sleeps == []
    assert (error is None) is (it.state is State.GONE) is gone


def test_a_delete_that_hangs_takes_no_longer_than_a_signals_patience() -> None:
    io, it, error = hurried(3, delete=[HANG, ...], status=[status("running"), ...])
    assert error is not None
    assert it.state is State.READY
    assert io.waited == 3
    assert io.calls_sent() == ["delete", "status"], "the look comes too late to be answered"


def test_a_signal_while_a_deletion_is_looked_at_shortens_it() -> None:
    def signalled(_: Any) -> Any:
        io.hurried = io.now() + 3
        return status("running")

    it = ready()
    io, calls = calls_of(
        it,
        delete=[deleted("x"), ...],
        status=[*[status("running")] * 20, signalled, status("running"), ...],
    )
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    assert io.now() == pytest.approx(io.hurried - LAST_CHANCE)
    assert io.waited < 15


def test_a_patience_beyond_the_timeout_lengthens_nothing() -> None:
    policy = policy_of(delete_timeout=9)
    io, _, error = hurried(
        30, policy=policy, delete=[deleted("x"), ...], status=[status("running"), ...]
    )
    assert error is not None
    assert io.waited == pytest.approx(9 - LAST_CHANCE)


@pytest.mark.parametrize("known", [None, ID])
def test_a_signal_before_a_row_leaves_its_key_open(known: str | None) -> None:
    scripts = {"status": [NOT_FOUND], "delete": [NOT_FOUND]}
    io, it, error = hurried(
        3, record(state=State.REQUESTED, id=known), poll=[NO_ROW, ...], **scripts
    )
    assert error is not None
    assert error.message == (
        "not confirmed as deleted, it may still run: a signal came before a row for its key did"
    )
    assert error.next_step == "hydra-smoke sweep --run-id night"
    assert it.state is State.REQUESTED, "that there is no row is not certain"
    assert it.notes == []
    assert io.waited == pytest.approx(3 - LAST_CHANCE)
    assert set(io.calls_sent()) - {"status", "delete"} == {"poll"}
    assert ("delete" in io.calls_sent()) is (known is not None)


@pytest.mark.parametrize("patience", [LAST_CHANCE, 0.1])
def test_with_hardly_any_patience_left_a_key_is_asked_for_once(patience: float) -> None:
    io, it, error = hurried(patience, record(state=State.REQUESTED), poll=[NO_ROW])
    assert error is not None
    assert error.message.endswith("a signal came before a row for its key did")
    assert it.state is State.REQUESTED
    assert io.sleeps == []


def test_a_row_that_comes_in_time_is_deleted_in_a_hurry() -> None:
    io, it, error = hurried(
        3,
        record(state=State.ACCEPTED, id=ID),
        poll=[NO_ROW, NO_ROW, row(), NO_ROW],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert it.state is State.GONE
    assert io.waited < 3


@pytest.mark.parametrize("patience", [60.0, 90.0])
def test_a_patience_beyond_the_wait_for_a_row_changes_nothing(patience: float) -> None:
    io, it, error = hurried(patience, record(state=State.REQUESTED), poll=[NO_ROW, ...])
    assert error is not None
    assert isinstance(error.__cause__, NoRowError)
    assert it.state is State.REQUESTED
    assert io.waited == pytest.approx(60 - LAST_CHANCE)


def test_a_poll_that_fails_in_a_hurry_leaves_its_key_open() -> None:
    io, it, error = hurried(3, record(state=State.REQUESTED), poll=[reply(503), ...])
    assert error is not None
    assert it.state is State.REQUESTED
    assert io.waited == 3 - LAST_CHANCE


# --- what is left on purpose -----------------------------------------------------------------


@pytest.mark.parametrize("state", [State.CREATED, State.READY, State.FAILED, State.KEPT])
@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("wanted", ["never", "on-failure", "always"])
def test_an_instance_is_kept_as_the_settings_say(wanted: str, failed: bool, state: State) -> None:
    it, told = record(state=state, id=ID), []
    it.listener = Listening(state=lambda changed: told.append(changed.state))
    it.failed = failed
    kept = wanted == "always" or (wanted == "on-failure" and failed)
    assert keep(it, policy_of(keep=wanted)) is kept
    assert it.state is (State.KEPT if kept else state)
    assert told == ([State.KEPT] if kept else [])


@pytest.mark.parametrize("state", sorted(NOTHING_TO_DELETE))
def test_what_is_gone_is_not_kept(state: State) -> None:
    it = record(state=state, id=ID)
    assert not keep(it, policy_of(keep="always"))
    assert it.state is state


def test_what_has_no_id_is_not_kept() -> None:
    it = record(state=State.REQUESTED)
    assert not keep(it, policy_of(keep="always"))
    assert it.state is State.REQUESTED


def test_what_is_not_this_runs_is_not_kept() -> None:
    it = attached()
    it.state = State.READY
    assert not keep(it, policy_of(keep="always"))
    assert it.state is State.READY


@pytest.mark.parametrize("state", UNSEEN)
def test_what_is_kept_without_a_row_is_not_taken_to_have_one(state: State) -> None:
    it = record(state=state, id=ID)
    assert not keep(it, policy_of(keep="always"))
    assert it.state is state
    io, _, _ = deleting(it, poll=[NO_ROW, row(), NO_ROW], delete=[deleted()], status=[NOT_FOUND])
    assert io.calls_sent() == ["poll"] * 2 + ONCE


# --- leaks -----------------------------------------------------------------------------------


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


def test_an_instance_that_stays_is_a_leak_at_the_deadline() -> None:
    io, it, error = deleting(delete=[deleted("x"), ...], status=[status("running"), ...])
    assert error is not None
    assert io.waited == pytest.approx(60 - LAST_CHANCE), "so that the last look can be answered"
    assert io.calls_sent()[-1] == "status"
    assert (error.last, it.state) == ("status 'running'", State.DELETING)


def test_an_instance_that_stays_is_told_with_its_last_state() -> None:
    _, _, error = deleting(delete=[deleted("x"), ...], status=[status("running"), ...])
    assert error is not None
    assert error.message == (
        "not confirmed as deleted, it may still run: status 'running' 60 s after the delete"
    )


def test_a_look_that_ends_at_the_deadline_tells_the_last_state() -> None:
    _, _, error = deleting(
        policy=policy_of(delete_timeout=9),
        delete=[deleted("x")],
        status=[AtDeadline(status("running"))],
    )
    assert error is not None
    assert error.message == (
        "not confirmed as deleted, it may still run: status 'running' 9 s after the delete"
    )


RUNNING: list[Any] = [status("running"), ...]
TAKEN: list[Any] = [deleted(), ...]
NOT_REACHED = "no connection to https://router.example"
BROKEN = "answered against the router's contract: "
BROKEN += "expected id: present; status: present, got no such field; no such field"
LEAKS: dict[str, tuple[list[Any], list[Any], State, str]] = {
    # what delete and status answer, whether the router took it, and the reason that is told
    "delete never answers": (
        [HANG, ...],
        RUNNING,
        State.READY,
        "delete: no answer in time; status: no answer in time 60 s after the delete",
    ),
    "delete fails": (
        [reply(500), ...],
        RUNNING,
        State.READY,
        "delete was refused with 500; status 'running' 60 s after the delete",
    ),
    "delete is malformed": (
        [reply(422), ...],
        RUNNING,
        State.READY,
        "delete was refused with 422; status 'running' 60 s after the delete",
    ),
    "delete redirects": (
        [reply(302), ...],
        RUNNING,
        State.READY,
        "delete was refused with 302; status 'running' 60 s after the delete",
    ),
    "router gone": (
        [refused(), ...],
        [refused(), ...],
        State.READY,
        f"delete: {NOT_REACHED}; status: {NOT_REACHED} 60 s after the delete",
    ),
    "status refused": (TAKEN, [reply(401)], State.DELETING, "status was refused with 401"),
    "status broken": (
        TAKEN,
        [reply(200, b"{}"), ...],
        State.DELETING,
        f"status {BROKEN} 60 s after the delete",
    ),
    "status lost": (
        TAKEN,
        [lost(), ...],
        State.DELETING,
        "status: the answer was lost (reset) 60 s after the delete",
    ),
    "second delete refused": (
        [deleted(), reply(403)],
        [status("running")],
        State.DELETING,
        "delete was refused with 403",
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_what_is_not_confirmed_is_a_leak(case: str) -> None:
    deletes, statuses, state, reason = LEAKS[case]
    io, it, error = deleting(delete=deletes, status=statuses)
    assert error is not None
    told = re.sub(r" \(\d+ attempts\)", "", error.message)
    assert told == f"not confirmed as deleted, it may still run: {reason}"
    assert it.state is state
    assert io.waited <= 60
    assert error.next_step == "hydra-smoke sweep --run-id night"


def test_a_key_that_can_not_be_resolved_is_a_leak() -> None:
    _, it, error = deleting(record(state=State.REQUESTED), poll=[reply(401)])
    assert error is not None
    assert it.state is State.REQUESTED
    assert error.instance == f"(key {KEY})"


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
    it = InstanceRecord(SPEC, "a-b-c-12", id=ID, state=State.CREATED)
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


def test_a_leak_can_be_tried_again() -> None:
    it = ready()
    _, calls = calls_of(it, delete=[reply(403), deleted()], status=[NOT_FOUND], poll=[NO_ROW])
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    drive(delete(calls, it, POLICY))
    assert it.state is State.GONE


def test_an_interrupt_of_a_deletion_leaves_it_to_be_done() -> None:
    it = ready()
    _, calls = calls_of(it, delete=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        drive(delete(calls, it, POLICY))
    assert it.state is State.READY


# --- the time that is left -------------------------------------------------------------------


class Watching(Listening):
    """Keeps the deadlines that people are told of."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: list[float] = []

    def changed(self, record: InstanceRecord) -> None:
        if record.doing is not None and record.doing.deadline is not None:
            self.deadlines.append(record.doing.deadline - START)


@pytest.mark.parametrize("state", [State.READY, State.ACCEPTED])
def test_the_time_left_is_that_of_what_is_waited_for(state: State) -> None:
    it = ready() if state is State.READY else record(state=state, id=ID)
    it.listener = watching = Watching()
    policy = policy_of(delete_timeout=60.0, row_wait=40.0)
    found = [row(), NO_ROW] if state is State.ACCEPTED else [NO_ROW]
    _, _, error = deleting(it, policy, poll=found, delete=[deleted()], status=[NOT_FOUND])
    assert error is None
    first = 60 if state is State.READY else 40
    assert watching.deadlines[0] == first
    assert max(watching.deadlines) <= 61
    assert watching.deadlines[-1] == pytest.approx(60, abs=1)
