"""From an instance to a confirmed deletion, or to a leak that says so."""

from __future__ import annotations

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
    ScriptedIO,
    Took,
    attached,
    calls_of,
    deleted,
    forms,
    lost,
    record,
    refused,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import ConfigError, LeakError, UnauthorizedError
from pytest_hydrasmoke._calls import LAST_CHANCE, Calls
from pytest_hydrasmoke._deletion import delete, keep
from pytest_hydrasmoke._lifecycle import Policy as AnyPolicy
from pytest_hydrasmoke._timeline import HAS_ROW, NOTHING_LEFT, InstanceRecord, State
from pytest_hydrasmoke._wire import drive


def Policy(**more: Any) -> AnyPolicy:  # noqa: N802 - as it is, of a router whose forms are known
    return AnyPolicy(forms=forms(), **more)


POLICY = Policy()


def ready() -> InstanceRecord:
    """Give an instance that this run has tried to delete before: nobody else is suspected."""
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

SECOND = ["delete", "status", "delete"]
CONFIRMED: dict[str, tuple[list[Any], list[Any], list[str]]] = {
    # what delete and status answer, and the calls until it is confirmed
    "404 of status": ([deleted()], [NOT_FOUND], ["delete", "status"]),
    "gone row": ([deleted()], [status("Deleted", "box-1-gone")], ["delete", "status"]),
    "gone row, in progress": ([deleted()], [status("DELETING")], ["delete", "status"]),
    "accepted": ([deleted("queued", 202)], [status("terminated")], ["delete", "status"]),
    "gone already": ([NOT_FOUND], [NOT_FOUND], ["delete", "status"]),
    "later": (
        [deleted("x"), deleted("x"), deleted("x")],
        [status("running"), status("running"), NOT_FOUND],
        ["delete", "status", "delete", "status", "delete", "status"],
    ),
    "second delete 404": (
        [deleted(), NOT_FOUND],
        [status("running")],
        ["delete", "status", "delete"],
    ),
    "second delete 409": (
        [deleted(), reply(409)],
        [status("running")],
        ["delete", "status", "delete"],
    ),
    "second delete 410": (
        [deleted(), reply(410)],
        [status("running")],
        ["delete", "status", "delete"],
    ),
    "second delete 200": (
        [deleted(), deleted("Deleted")],
        [status("running")],
        SECOND,
    ),
    "no body": ([reply(204)], [NOT_FOUND], ["delete", "status"]),
    "broken body": ([reply(200, b"<html>")], [NOT_FOUND], ["delete", "status"]),
    "broken body, later": (
        [reply(200, b"{}"), reply(200, b"{}")],
        [status("running"), NOT_FOUND],
        ["delete", "status", "delete", "status"],
    ),
    "hiccups": (
        [reply(503), lost(), deleted()],
        [refused(), NOT_FOUND],
        ["delete", "delete", "delete", "status", "status"],
    ),
}


@pytest.mark.parametrize("case", CONFIRMED)
def test_a_deletion_is_confirmed(case: str) -> None:
    deletes, statuses, calls = CONFIRMED[case]
    io, it, error = deleting(delete=deletes, status=statuses)
    assert error is None
    assert it.state is State.DELETED
    assert io.calls_sent() == calls


@pytest.mark.parametrize(
    "first", [deleted("deleted"), deleted("DELETED"), NOT_FOUND, reply(409), reply(410)], ids=repr
)
def test_the_first_deletes_own_word_confirms_nothing(first: Any) -> None:
    io, it, error = deleting(delete=[first, deleted("x"), ...], status=[status("running"), ...])
    assert error is not None
    assert it.state is State.DELETING
    assert len(io.calls_sent("status")) > 5


def test_words_of_ones_own_tell_that_it_is_gone() -> None:
    policy = Policy(gone=frozenset({"away"}))
    _, it, error = deleting(policy=policy, delete=[deleted("x")], status=[status("Away")])
    assert error is None
    _, it, error = deleting(
        policy=policy, delete=[deleted("x"), deleted("AWAY")], status=[status("terminated")]
    )
    assert error is None
    assert it.state is State.DELETED


@pytest.mark.parametrize("second", [NOT_FOUND, reply(409), reply(410)], ids=repr)
def test_a_second_delete_confirms_whatever_the_words_of_ones_own_are(second: Any) -> None:
    policy = Policy(gone=frozenset({"away"}))
    _, it, error = deleting(
        policy=policy, delete=[deleted("x"), second], status=[status("running")]
    )
    assert error is None
    assert it.state is State.DELETED


def test_a_failed_row_is_not_a_gone_one() -> None:
    io, _, error = deleting(
        delete=[deleted("x"), ...], status=[status("failed"), status("failed"), NOT_FOUND]
    )
    assert error is None
    assert len(io.calls_sent("status")) == 3


def test_a_broken_answer_to_delete_is_noted() -> None:
    _, it, _ = deleting(delete=[reply(200, b"{}")], status=[NOT_FOUND])
    [note] = it.notes
    assert note == (
        "delete answered against the router's contract: "
        "expected instance_id: present; status: present, got no such field; no such field"
    )
    _, it, _ = deleting(delete=[reply(204)], status=[NOT_FOUND])
    assert it.notes == [
        "delete answered with a success code that has no answer in it: expected 200, got 204"
    ]


def test_looks_after_a_delete_slow_down_too() -> None:
    io, _, _ = deleting(
        delete=[Took(20, deleted("x")), deleted("x"), ...],
        status=[*[status("running")] * 20, NOT_FOUND],
    )
    assert io.sleeps[:10] == [0.25] * 10, "counted from the delete's answer"
    assert io.sleeps[-1] > 0.4


def test_a_deletion_is_carried_out_in_grace() -> None:
    policy = Policy(delete_timeout=40, row_wait=20)
    io, _, _ = deleting(policy=policy, delete=[deleted()], status=[NOT_FOUND])
    assert io.graces == [20 + 40 + 5]


def test_a_deletion_is_timed() -> None:
    _, it, _ = deleting(delete=[Took(2, deleted())], status=[Took(3, NOT_FOUND)])
    assert it.phases == {"delete": 5.0}


# --- what there is nothing to do for ---------------------------------------------------------


@pytest.mark.parametrize("state", sorted(NOTHING_LEFT))
def test_where_nothing_is_left_nothing_is_sent(state: State) -> None:
    io, it, error = deleting(record(state=state, id=ID))
    assert error is None
    assert not io.sent
    assert it.state is state


@pytest.mark.parametrize("state", sorted(set(State) - NOTHING_LEFT))
def test_where_something_may_be_left_it_is_deleted(state: State) -> None:
    io, it, error = deleting(
        record(state=state, id=ID), poll=[row()], delete=[deleted()], status=[NOT_FOUND]
    )
    assert error is None
    assert it.state is State.DELETED
    first = [] if state in HAS_ROW else ["poll"]
    assert io.calls_sent() == [*first, "delete", "status"]


def test_whoever_keeps_the_record_is_told_of_a_deletion_step_by_step() -> None:
    def seen(answer: Any) -> Any:
        return lambda request: (told.append(request.call), answer)[1]

    told: list[str] = []
    it = record(state=State.ACCEPTED, id=OTHER_ID)
    it.on_state = lambda changed: told.append(f"{changed.state} {changed.id}")
    deleting(it, poll=[seen(row())], delete=[seen(deleted())], status=[seen(NOT_FOUND)])
    assert told == ["poll", "delete", f"deleting {ID}", "status", f"deleted {ID}"]


def test_a_delete_that_was_not_taken_is_not_told_of() -> None:
    it, told = record(state=State.READY, id=ID), []
    it.on_state = lambda changed: told.append(changed.state)
    _, _, error = deleting(it, delete=[reply(403)])
    assert error is not None
    assert told == []


def test_to_delete_twice_is_to_delete_once() -> None:
    it = ready()
    io, calls = calls_of(it, delete=[deleted()], status=[NOT_FOUND], poll=[NO_ROW])
    drive(delete(calls, it, POLICY))
    drive(delete(calls, it, POLICY))
    assert io.calls_sent() == ["delete", "status"]


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
        poll=[NO_ROW, NOT_FOUND, named],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert (it.state, it.id) == (State.DELETED, ID)
    assert io.calls_sent() == ["poll"] * 3 + ["delete", "status"]
    assert io.sleeps[:2] == [0.25, 0.25]


UNSEEN = sorted(set(State) - HAS_ROW - NOTHING_LEFT)


@pytest.mark.parametrize("state", UNSEEN)
def test_an_id_without_a_row_is_worth_nothing(state: State) -> None:
    io, it, error = deleting(
        record(state=state, id=ID),
        poll=[NO_ROW, NOT_FOUND, row()],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert it.state is State.DELETED
    assert io.calls_sent() == ["poll"] * 3 + ["delete", "status"]


@pytest.mark.parametrize("state", UNSEEN)
def test_without_a_row_nothing_is_deleted(state: State) -> None:
    io, it, error = deleting(record(state=state, id=None), poll=[NO_ROW, ...])
    assert error is None
    assert it.state is State.ABSENT
    assert set(io.calls_sent()) == {"poll"}


@pytest.mark.parametrize("state", UNSEEN)
def test_an_id_is_deleted_without_a_row_once_its_key_was_asked_for_long_enough(
    state: State,
) -> None:
    io, it, error = deleting(
        record(state=state, id=ID), poll=[NO_ROW, ...], delete=[deleted()], status=[NOT_FOUND]
    )
    assert error is None
    assert it.state is State.DELETED
    assert set(io.calls_sent()[:-2]) == {"poll"}
    assert io.calls_sent()[-2:] == ["delete", "status"]
    assert io.sent[-2].at >= POLICY.row_wait - 1


def test_the_row_names_what_is_deleted() -> None:
    io, it, _ = deleting(
        record(state=State.ACCEPTED, id=OTHER_ID),
        poll=[row()],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert it.id == ID
    assert [sent.request.path.rpartition("/")[2] for sent in io.sent] == [KEY, ID, ID]


def test_a_key_that_is_not_found_has_no_row_even_if_an_instance_is_named() -> None:
    named = reply(200, {"found": False, "instance_id": ID, "status": None})
    io, _, _ = deleting(
        record(state=State.ACCEPTED, id=ID),
        poll=[named, named, row()],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert io.calls_sent() == ["poll"] * 3 + ["delete", "status"]


NAMELESS = reply(200, {"found": True, "instance_id": None, "status": "queued"})


def test_a_row_that_names_no_instance_yet_is_waited_for() -> None:
    io, _, error = deleting(
        record(state=State.REQUESTED),
        poll=[NAMELESS, row()],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert io.calls_sent() == ["poll"] * 2 + ["delete", "status"]


def test_a_row_that_never_names_its_instance_is_a_leak() -> None:
    _, it, error = deleting(record(state=State.REQUESTED), poll=[NAMELESS, ...])
    assert it.state is not State.ABSENT, "the router says that there is one"
    assert error is not None


@pytest.mark.parametrize("wait", [60.0, 8.0])
def test_a_key_without_a_row_is_asked_for_until_the_wait_for_it_is_over(wait: float) -> None:
    policy = Policy(row_wait=wait, delete_timeout=3)
    io, _, _ = deleting(record(state=State.REQUESTED), policy, poll=[NO_ROW, ...])
    assert io.waited == pytest.approx(wait - LAST_CHANCE)
    assert len(io.calls_sent("poll")) > 20
    assert set(io.calls_sent()) == {"poll"}
    assert {sent.deadline - START for sent in io.sent} >= {wait}, "the last look can be answered"


def test_a_key_is_asked_for_once_where_there_is_no_time_to_wait() -> None:
    io, it, error = deleting(
        record(state=State.REQUESTED), Policy(row_wait=LAST_CHANCE), poll=[NO_ROW]
    )
    assert error is None
    assert it.state is State.ABSENT
    assert io.sleeps == []


def test_a_key_that_never_had_a_row_has_nothing_to_delete() -> None:
    _, it, error = deleting(record(state=State.REQUESTED), poll=[NO_ROW, ...])
    assert error is None
    assert it.state is State.ABSENT
    assert it.notes == ["the router never had a row for its key"]
    assert it.phases == {"delete": pytest.approx(59.5)}


def test_a_look_that_ends_at_the_deadline_settles_that_there_is_no_row() -> None:
    _, it, error = deleting(
        record(state=State.REQUESTED), Policy(row_wait=9), poll=[AtDeadline(NO_ROW)]
    )
    assert error is None
    assert it.state is State.ABSENT
    assert it.notes == ["the router never had a row for its key"]


def test_a_key_whose_last_look_fails_is_a_leak() -> None:
    _, it, error = deleting(record(state=State.REQUESTED), poll=[*[NO_ROW] * 10, reply(503), ...])
    assert error is not None
    assert it.state is State.REQUESTED, "that there is no row is not certain"


def test_a_row_that_comes_late_is_deleted_within_the_whole_timeout() -> None:
    io, it, error = deleting(
        record(state=State.REQUESTED),
        Policy(delete_timeout=8),
        poll=[Took(20, NO_ROW), Took(20, row())],
        delete=[deleted("x"), ...],
        status=[status("running"), ...],
    )
    assert error is not None
    found = 20 + 2 + 20
    assert io.waited == pytest.approx(found + 8 - LAST_CHANCE)
    assert {round(sent.deadline - START, 6) for sent in io.sent if sent.request.call != "poll"} == {
        found + 8
    }
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
    assert it.state is State.DELETED
    assert io.waited < 3


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
    assert io.calls_sent() == ["delete", "status"]
    assert io.sleeps == []
    assert (error is None) is (it.state is State.DELETED) is (answers is NOT_FOUND)


def test_a_delete_that_hangs_takes_no_longer_than_a_signals_patience() -> None:
    io, it, error = hurried(3, delete=[HANG, ...])
    assert error is not None
    assert it.state is State.READY
    assert io.waited == 3
    assert io.calls_sent() == ["delete"]


def test_a_signal_while_a_deletion_is_looked_at_shortens_it() -> None:
    def signalled(_: Any) -> Any:
        io.hurried = io.now() + 3
        return status("running")

    it = record(state=State.READY, id=ID)
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
    policy = Policy(delete_timeout=9)
    io, _, error = hurried(
        30, policy=policy, delete=[deleted("x"), ...], status=[status("running"), ...]
    )
    assert error is not None
    assert io.waited == pytest.approx(9 - LAST_CHANCE)


@pytest.mark.parametrize("known", [None, ID])
def test_a_signal_before_a_row_leaves_its_key_open(known: str | None) -> None:
    io, it, error = hurried(3, record(state=State.REQUESTED, id=known), poll=[NO_ROW, ...])
    assert error is not None
    assert error.message == (
        "not confirmed as deleted, it may still run: a signal came before a row for its key did"
    )
    assert error.next_step == "hydra-smoke sweep --run-id night"
    assert it.state is State.REQUESTED, "that there is no row is not certain"
    assert it.notes == []
    assert io.waited == pytest.approx(3 - LAST_CHANCE)
    assert set(io.calls_sent()) == {"poll"}


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
        poll=[NO_ROW, NO_ROW, row()],
        delete=[deleted()],
        status=[NOT_FOUND],
    )
    assert error is None
    assert it.state is State.DELETED
    assert io.waited < 3


@pytest.mark.parametrize("patience", [60.0, 90.0])
def test_a_patience_beyond_the_wait_for_a_row_changes_nothing(patience: float) -> None:
    io, it, error = hurried(patience, record(state=State.REQUESTED), poll=[NO_ROW, ...])
    assert error is None
    assert it.state is State.ABSENT
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
    it.on_state = lambda changed: told.append(changed.state)
    it.failed = failed
    kept = wanted == "always" or (wanted == "on-failure" and failed)
    assert keep(it, Policy(keep=wanted)) is kept
    assert it.state is (State.KEPT if kept else state)
    assert told == ([State.KEPT] if kept else [])


@pytest.mark.parametrize("state", sorted(NOTHING_LEFT))
def test_what_is_gone_is_not_kept(state: State) -> None:
    it = record(state=state, id=ID)
    assert not keep(it, Policy(keep="always"))
    assert it.state is state


def test_what_has_no_id_is_not_kept() -> None:
    it = record(state=State.REQUESTED)
    assert not keep(it, Policy(keep="always"))
    assert it.state is State.REQUESTED


def test_what_is_not_this_runs_is_not_kept() -> None:
    it = attached()
    it.state = State.READY
    assert not keep(it, Policy(keep="always"))
    assert it.state is State.READY


@pytest.mark.parametrize("state", UNSEEN)
def test_what_is_kept_without_a_row_is_not_taken_to_have_one(state: State) -> None:
    it = record(state=state, id=ID)
    assert not keep(it, Policy(keep="always"))
    assert it.state is state
    io, _, _ = deleting(it, poll=[NO_ROW, row()], delete=[deleted()], status=[NOT_FOUND])
    assert io.calls_sent("poll") == ["poll"] * 2


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
        policy=Policy(delete_timeout=9),
        delete=[deleted("x")],
        status=[AtDeadline(status("running"))],
    )
    assert error is not None
    assert error.message == (
        "not confirmed as deleted, it may still run: status 'running' 9 s after the delete"
    )


LEAKS: dict[str, dict[str, list[Any]]] = {
    "delete never answers": {"delete": [HANG, ...]},
    "delete fails": {"delete": [reply(500), ...]},
    "delete is malformed": {"delete": [reply(422)]},
    "router gone": {"delete": [refused(), ...]},
    "status refused": {"delete": [deleted()], "status": [reply(401)]},
    "status broken": {"delete": [deleted()], "status": [reply(200, b"{}")]},
    "status lost": {"delete": [deleted()], "status": [lost(), ...]},
    "second delete refused": {"delete": [deleted(), reply(403)], "status": [status("running")]},
}


@pytest.mark.parametrize("case", LEAKS)
def test_what_is_not_confirmed_is_a_leak(case: str) -> None:
    io, it, error = deleting(**LEAKS[case])
    assert error is not None
    assert it.state is (State.DELETING if "status" in io.calls_sent() else State.READY)
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

    it = record(state=State.READY, id=ID)
    with pytest.raises(LeakError) as caught:
        drive(delete(Calls(Hurried(), it), it, POLICY))
    assert caught.value.message == (
        "not confirmed as deleted, it may still run: not done within 125 s"
    )


def test_a_leak_names_the_run_that_a_sweep_is_to_look_for() -> None:
    it = InstanceRecord(SPEC, "a-b-c-12", id=ID, state=State.READY)
    _, _, error = deleting(it, delete=[reply(403)])
    assert error is not None
    assert error.next_step == "hydra-smoke sweep --run-id a-b-c"


def test_a_deletion_that_was_taken_and_not_confirmed_needs_no_row_to_be_tried_again() -> None:
    it = record(state=State.ACCEPTED, id=ID)
    scripts = {"poll": [row()], "delete": [deleted(), ...], "status": [reply(401), NOT_FOUND]}
    io, calls = calls_of(it, **scripts)
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    assert it.state is State.DELETING
    drive(delete(calls, it, POLICY))
    assert it.state is State.DELETED
    assert io.calls_sent() == ["poll", "delete", "status", "delete", "status"]


def test_a_deletion_that_was_not_taken_needs_its_row_again() -> None:
    it = record(state=State.ACCEPTED, id=ID)
    io, calls = calls_of(it, poll=[row(), ...], delete=[reply(403), deleted()], status=[NOT_FOUND])
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    assert it.state is State.ACCEPTED
    drive(delete(calls, it, POLICY))
    assert it.state is State.DELETED
    assert io.calls_sent("poll") == ["poll"] * 2


def test_a_leak_can_be_tried_again() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, delete=[reply(403), deleted()], status=[NOT_FOUND])
    with pytest.raises(LeakError):
        drive(delete(calls, it, POLICY))
    drive(delete(calls, it, POLICY))
    assert it.state is State.DELETED


def test_an_interrupt_of_a_deletion_leaves_it_to_be_done() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, delete=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        drive(delete(calls, it, POLICY))
    assert it.state is State.READY
