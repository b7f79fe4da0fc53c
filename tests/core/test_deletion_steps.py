"""A deletion step by step: what is told, how long it takes, and what may come in between."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    SPEC,
    START,
    Listening,
    ScriptedIO,
    Took,
    attached,
    calls_of,
    deleted,
    lost,
    policy_of,
    record,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import ConfigError, HydraSmokeError, LeakError
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core.deletion import delete
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.removal import Removal
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


@pytest.mark.parametrize("seen", ["a row", "no row", "nothing that proves anything"])
def test_a_delete_in_a_hurry_is_for_what_the_key_names(seen: str) -> None:
    it = record(state=State.REQUESTED)
    poll = {"a row": row(), "no row": NO_ROW}.get(seen, reply(500))
    io, calls = calls_of(it, poll=[poll, ...], delete=[deleted()])
    drive(Removal(it, POLICY, io.now()).ask_all(calls))
    if seen == "a row":
        assert (io.calls_sent(), it.id, it.state) == (["poll", "delete"], ID, State.DELETING)
    else:
        assert (set(io.calls_sent()), it.state) == ({"poll"}, State.REQUESTED)


def test_a_broken_answer_to_delete_is_noted() -> None:
    _, it, _ = deleting(delete=[reply(200, b"{}")], status=[NOT_FOUND, ...])
    [note] = it.notes
    assert note == (
        "delete answered against the router's contract: "
        "expected instance_id: present; status: present, got no such field; no such field"
    )
    _, it, _ = deleting(delete=[reply(204)], status=[NOT_FOUND])
    assert list(it.notes) == [], "without a body it is accepted all the same"


def test_a_deletion_takes_its_time() -> None:
    io, _, _ = deleting(delete=[deleted("x"), ...], status=[*[status("running")] * 20, NOT_FOUND])
    assert io.sleeps[:10] == [0.25] * 10
    assert io.sleeps[-1] > 0.4, "looks slow down"
    io, _, _ = deleting(
        delete=[Took(20, deleted("x")), deleted("x")], status=[status("running"), NOT_FOUND]
    )
    assert io.sleeps == [2.0], "what the delete itself took counts as waited"
    policy = policy_of(delete_timeout=40, row_wait=20)
    io, it, _ = deleting(policy=policy, delete=[Took(2, deleted())], status=[Took(3, NOT_FOUND)])
    assert io.graces == [20 + 40 + 5]
    assert it.phases == {"delete": 5.0}


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
    it.keeper = Listening(state=lambda changed: told.append(f"{changed.state} {changed.id}"))
    poll = [seen(row()), seen(NO_ROW)]
    deleting(it, poll=poll, delete=[seen(deleted())], status=[seen(NOT_FOUND)])
    assert told[:3] == ["poll", f"created {ID}", "delete"]
    assert told[3:] == [f"deleting {ID}", "status", "poll", f"gone {ID}"]


def test_a_delete_that_was_not_taken_is_not_told_of() -> None:
    it, told = ready(), []
    it.keeper = Listening(state=lambda changed: told.append(changed.state))
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


_ANSWERED = "the request was answered with"


NOTHING_SHOWN = "but shows no instance for its key"


PERHAPS = f"the router may have carried out the request, {NOTHING_SHOWN}"


ANSWERED = (
    "the request was answered with {}, and the router may have carried it out, " + NOTHING_SHOWN
)


@pytest.mark.parametrize(
    ("code", "told"),
    [(413, ANSWERED.format(413)), (502, ANSWERED.format(502)), (204, PERHAPS), (None, PERHAPS)],
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


def test_a_chat_that_ends_as_a_deletion_begins_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = ready()
    io, calls = calls_of(it, delete=[deleted()], status=[NOT_FOUND], poll=[NO_ROW, ...])
    grace = io.grace

    async def after_a_chat(seconds: float, work: Any) -> None:
        it.note(Doing(None), io.now())
        await grace(seconds, work)

    monkeypatch.setattr(io, "grace", after_a_chat)
    drive(delete(calls, it, POLICY))
    assert it.state is State.GONE


@pytest.mark.parametrize("wait", [60.0, 8.0])
def test_a_key_without_a_row_is_asked_for_until_the_wait_for_it_is_over(wait: float) -> None:
    policy = policy_of(row_wait=wait, delete_timeout=3)
    io, _, _ = deleting(record(state=State.REQUESTED), policy, poll=[NO_ROW, ...])
    assert io.waited == pytest.approx(wait - LAST_CHANCE)
    assert len(io.calls_sent("poll")) > 20
    assert set(io.calls_sent()) == {"poll"}
    assert {sent.deadline - START for sent in io.sent} >= {wait}, "the last look can be answered"


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


def test_a_deletion_in_a_hurry_looks_for_no_other_who_deletes() -> None:
    it = record(state=State.READY, id=ID)
    io, calls = calls_of(it, poll=[NO_ROW], delete=[deleted()], status=[NOT_FOUND])
    io.hurried = START + 3
    drive(delete(calls, it, POLICY))
    assert (it.conflict, io.calls_sent()) == (None, ONCE)


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
