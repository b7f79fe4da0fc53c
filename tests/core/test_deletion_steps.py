"""A deletion step by step: who is told, how long it takes, what is kept, and what is a leak."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
from core_tools import deleting, fails, ready, telling
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
    instance,
    lost,
    policy_of,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import ConfigError, HydraSmokeError, LeakError, UnauthorizedError
from pytest_hydrasmoke._api.calls import LAST_CHANCE, Calls
from pytest_hydrasmoke._core.cleanup import (
    MOST_AT_ONCE,
    ask_all,
    delete,
    delete_all,
    dispose,
    keep,
)
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._journal.states import HAS_ROW, NOTHING_TO_DELETE, State
from pytest_hydrasmoke._transport.protocol import IO, Work, drive

ONCE = ["delete", "status", "poll"]
RUNNING = status("running")


@pytest.mark.parametrize("state", sorted(State))
def test_what_may_be_left_is_deleted(state: State) -> None:
    it = instance(state=state, id=ID)
    it.evidence.asked = True
    first = [] if state in HAS_ROW else ["poll"]
    io, it, error = deleting(
        it, poll=[*[row() for _ in first], NO_ROW], delete=[deleted()], status=[NOT_FOUND]
    )
    assert error is None
    if state in NOTHING_TO_DELETE:
        assert (io.calls_sent(), it.state) == ([], state)
    else:
        assert (io.calls_sent(), it.state) == ([*first, *ONCE], State.GONE)


def test_an_attached_instance_is_never_deleted() -> None:
    io, calls = calls_of(it := attached())
    assert str(fails(ConfigError, delete(calls, it))) == (
        "an attached instance is never deleted\n"
        f"  instance:  {ID}\n"
        "  next step: delete it where it was provisioned"
    )
    assert not io.sent


def test_whoever_keeps_the_instance_is_told_of_a_deletion_step_by_step() -> None:
    told: list[str] = []
    it = instance(state=State.ACCEPTED)
    it.keeper = Listening(state=lambda changed: told.append(f"{changed.state} {changed.id}"))
    poll = [telling(told, row()), telling(told, NO_ROW)]
    took, gone = telling(told, deleted()), telling(told, NOT_FOUND)
    deleting(it, poll=poll, delete=[took], status=[gone])
    assert told[:3] == ["poll", f"created {ID}", "delete"]
    assert told[3:] == [f"deleting {ID}", "status", "poll", f"gone {ID}"]


@pytest.mark.parametrize("seen", [row(), NO_ROW, reply(500)], ids=["row", "no row", "no proof"])
def test_a_delete_in_a_hurry_is_for_what_the_key_names(seen: Any) -> None:
    it = instance(state=State.REQUESTED)
    io, calls = calls_of(it, poll=[seen, ...], delete=[deleted()])
    drive(ask_all(calls, it))
    if seen == row():
        assert (io.calls_sent(), it.id, it.state) == (["poll", "delete"], ID, State.DELETING)
    else:
        assert (set(io.calls_sent()), it.state) == ({"poll"}, State.REQUESTED)


def test_what_only_a_provision_named_is_not_deleted_in_a_hurry_before_its_key_names_it() -> None:
    it = instance(state=State.ACCEPTED, id=ID)
    polls, looks = [NO_ROW, row(), NO_ROW], [NOT_FOUND]
    io, calls = calls_of(it, poll=polls, delete=[deleted()], status=looks)
    drive(ask_all(calls, it))
    assert (io.calls_sent(), it.state) == (["poll"], State.ACCEPTED)
    drive(delete(calls, it))
    assert (io.calls_sent()[1:], it.state) == (["poll", "delete", "status", "poll"], State.GONE)


def test_what_its_key_names_is_deleted_and_what_a_provision_named_is_told_and_left_alone() -> None:
    io, it, error = deleting(
        instance(state=State.ACCEPTED, id=OTHER_ID),
        poll=[row(), NO_ROW, ...],
        delete=[deleted(), ...],
        status=[NOT_FOUND, ...],
    )
    assert (error, it.id) == (None, ID)
    asked = [sent.request.path.rpartition("/")[2] for sent in io.sent]
    assert asked == [KEY, ID, ID, KEY]
    assert it.conflict == (
        f"the answer to its provision named {OTHER_ID}, and its key names {ID}: the first may be "
        "another run's, and is left alone"
    )


def test_where_something_else_has_failed_what_only_a_provision_named_is_a_note() -> None:
    it = instance(state=State.ACCEPTED, id=OTHER_ID)
    it.fails(LeakError("another one's boot has failed"), "its boot has failed", START)
    deleting(it, poll=[row(), NO_ROW, ...], delete=[deleted(), ...], status=[NOT_FOUND, ...])
    assert it.conflict is None
    assert [note for note in it.notes if OTHER_ID in note and "left alone" in note]


def test_what_is_written_as_accepted_is_the_delete_of_the_instance_that_it_names() -> None:
    it = instance(state=State.CREATED, id=ID)
    it.ids = [OTHER_ID, ID]
    other = reply(200, {"instance_id": OTHER_ID, "status": "deleting"})
    io, calls = calls_of(it, delete=[reply(422), other])
    drive(ask_all(calls, it))
    assert [str(sent.request.path)[-36:] for sent in io.sent] == [ID, OTHER_ID]
    assert (it.state, it.accepted) == (State.CREATED, [])


def test_what_was_accepted_counts_until_it_is_seen_alive() -> None:
    told: list[State] = []
    it = ready(asked=True, keeper=Listening(state=lambda event: told.append(event.state)))
    _, it, _ = deleting(it, delete=[deleted(), ...], status=[RUNNING, NOT_FOUND])
    assert (told, it.accepted) == ([State.DELETING, State.DELETING, State.GONE], [ID])


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
    io, _, _ = deleting(delete=[deleted("x"), ...], status=[*[RUNNING] * 20, NOT_FOUND])
    assert io.sleeps[:10] == [0.25] * 10
    assert io.sleeps[-1] > 0.4, "looks slow down"
    io, _, _ = deleting(delete=[Took(20, deleted("x")), deleted("x")], status=[RUNNING, NOT_FOUND])
    assert io.sleeps == [2.0], "what the delete itself took counts as waited"
    policy = policy_of(delete_timeout=40, row_wait=20)
    io, it, _ = deleting(policy=policy, delete=[Took(2, deleted())], status=[Took(3, NOT_FOUND)])
    assert io.graces == [20 + 40 + 5]
    assert it.phases == {"delete": 5.0}


def test_a_row_that_comes_late_is_deleted_within_the_whole_timeout() -> None:
    io, it, error = deleting(
        instance(state=State.REQUESTED),
        policy_of(delete_timeout=8),
        poll=[Took(20, NO_ROW), Took(20, row())],
        delete=[deleted("x"), ...],
        status=[RUNNING, ...],
    )
    assert error is not None
    found = 20 + 2 + 20
    assert io.waited == pytest.approx(found + 8 - LAST_CHANCE)
    ends = [sent.deadline - START for sent in io.sent if sent.request.call != "poll"]
    assert ends[0] == pytest.approx(found + 4), "half of the time is left to look at it"
    assert set(ends[1::2]) == {found + 8}
    assert it.state is State.DELETING


@pytest.mark.parametrize("state", [State.READY, State.ACCEPTED])
def test_the_time_left_is_that_of_what_is_waited_for(state: State) -> None:
    doing: list[Doing] = []
    it = instance(state=state, id=ID)
    it.evidence.asked, it.keeper = True, Listening(doing=doing.append)
    policy = policy_of(delete_timeout=60.0, row_wait=40.0)
    found = [row(), NO_ROW] if state is State.ACCEPTED else [NO_ROW]
    deleting(it, policy, poll=found, delete=[deleted()], status=[NOT_FOUND])
    deadlines = [it.deadline - START for it in doing if it.deadline is not None]
    assert deadlines == [60 if state is State.READY else 40, 60]


def test_a_signal_while_a_deletion_is_looked_at_shortens_it() -> None:
    def signalled(_: Any) -> Any:
        io.hurried = io.now() + 3
        return RUNNING

    it = ready(asked=True)
    looks = [*[RUNNING] * 20, signalled, RUNNING, ...]
    io, calls = calls_of(it, delete=[deleted("x"), ...], status=looks)
    fails(LeakError, delete(calls, it))
    assert io.now() == pytest.approx(io.hurried - LAST_CHANCE)
    assert io.waited < 15


@pytest.mark.parametrize(
    ("key", "conflict"),
    [
        ("night-0", "; if another run has run id night too, give each an id of its own"),
        ("smoke-0123456789ab-0", ""),
    ],
)
def test_what_was_gone_before_it_was_deleted_is_a_conflict(key: str, conflict: str) -> None:
    looks = [status("deleted"), NOT_FOUND]
    for named, found in ((ID, conflict), (None, conflict), (OTHER_ID, None)):
        it = ready(key=key)
        polls = [NO_ROW if named is None else row("deleting", named), NO_ROW]
        io, _, error = deleting(it, delete=[deleted(), ...], status=[*looks, ...], poll=polls)
        assert error is None
        assert io.calls_sent()[:3] == ["status", "poll", "delete"]
        told = "it was gone before this run deleted it: something else deleted it, or it died.\n"
        told += f"See the router's log of it{conflict}"
        assert it.conflict == (None if found is None else told)


@pytest.mark.parametrize("hurried", [True, False])
def test_nobody_else_is_looked_for_in_a_hurry_or_where_a_sweep_has_ended_the_run(
    hurried: bool,
) -> None:
    class Swept(Listening):
        was_swept = True

    it = ready() if hurried else ready(keeper=Swept())
    answers = [*[status("deleted")] * (not hurried), NOT_FOUND]
    io, calls = calls_of(it, poll=[NO_ROW, ...], delete=[deleted()], status=answers)
    io.hurried = START + 3 if hurried else math.inf
    drive(delete(calls, it))
    assert (it.conflict, io.calls_sent()[-3:]) == (None, ONCE)
    assert len(io.calls_sent()) == (3 if hurried else 5)


def test_a_chat_that_ends_as_a_deletion_begins_does_not_stop_it() -> None:
    class AfterAChat(ScriptedIO):
        async def grace(self, seconds: float, work: Any) -> Any:
            it.note(Doing(None), self.now())
            return await work()

    it = ready(asked=True)
    io = AfterAChat(delete=[deleted()], status=[NOT_FOUND], poll=[NO_ROW])
    drive(delete(Calls(io, it), it))
    assert it.state is State.GONE


class Together(ScriptedIO):
    """Does works one after the other, and writes down how many there were, of how many at once."""

    async def gather(
        self, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
    ) -> dict[int, Exception]:
        self.gathered = [*getattr(self, "gathered", ()), (len(works), at_once)]
        for work in works:
            await work(self)
        return {}


@pytest.mark.parametrize("hurried", [False, True])
@pytest.mark.parametrize("delete_them", [dispose, delete_all])
def test_after_a_signal_all_are_asked_before_any_is_waited_for(
    delete_them: Callable[[IO, list[Instance]], Coroutine[Any, Any, None]], hurried: bool
) -> None:
    its = [ready(asked=True) for _ in range(3)]
    io = Together(delete=[deleted(), ...], status=[NOT_FOUND, ...], poll=[NO_ROW, ...])
    io.hurried = START + 3 if hurried else math.inf
    drive(delete_them(io, its))
    assert [it.state for it in its] == [State.GONE] * 3
    sent = [*["delete"] * (3 if hurried else 0), *ONCE * 3]
    assert io.calls_sent() == sent
    counted = sum((it.requests.times for it in its), Counter())
    assert counted == Counter([*sent, *["missing"] * len(io.controls_sent)]), "each has its own"
    assert io.gathered == ([(3, MOST_AT_ONCE)] * 2 if hurried else [(3, None)])
    assert io.graces[0] > max(io.graces[1:]), "there is time for each of them"


def test_a_grace_that_runs_out_is_a_leak() -> None:
    class Hurried(ScriptedIO):
        async def grace(self, seconds: float, work: Any) -> Any:
            raise TimeoutError(f"not done within {seconds:g} s")

    error = fails(LeakError, delete(Calls(Hurried(), it := ready()), it))
    assert error.message == "not confirmed as deleted, it may still run: not done within 125 s"


def test_an_interrupt_of_a_deletion_leaves_it_to_be_done() -> None:
    _, calls = calls_of(it := ready(asked=True), delete=[KeyboardInterrupt()])
    fails(KeyboardInterrupt, delete(calls, it))
    assert it.state is State.READY


def test_a_refused_deletion_is_a_leak_at_once_and_not_told_as_taken() -> None:
    it, told = ready(asked=True), []
    it.keeper = Listening(state=lambda changed: told.append(changed.state))
    _, it, error = deleting(it, delete=[reply(403, {"detail": "Forbidden"})])
    assert (it.state, told) == (State.READY, [])
    assert error is not None
    assert isinstance(error.__cause__, UnauthorizedError)
    assert error.message.endswith(", it may still run: delete was refused with 403: Forbidden")
    assert (error.seconds, error.next_step) == (0.0, "hydra-smoke sweep --run-id night")


ANSWERED = "the request was answered with {}, and the router may have carried it out"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (reply(413), ANSWERED.format(413)),
        (reply(502), ANSWERED.format(502)),
        (reply(204), "the router may have carried out the request"),
        (lost(), "the router may have carried out the request"),
    ],
    ids=["413", "502", "204", "lost"],
)
def test_a_leak_without_a_row_tells_how_its_request_was_answered(answer: Any, told: str) -> None:
    io, calls = calls_of(
        it := instance(state=State.REQUESTED), provision=[answer], poll=[NO_ROW, ...]
    )
    with contextlib.suppress(HydraSmokeError):
        drive(calls.provision(SPEC, KEY, deadline=io.now() + 0.2))
    error = fails(LeakError, delete(calls, it))
    assert error.message.endswith(f"it may still run: {told}, but shows no instance for its key")


@pytest.mark.parametrize("taken", [True, False])
def test_a_deletion_that_is_tried_again_needs_no_row(taken: bool) -> None:
    it = instance(state=State.ACCEPTED, id=ID)
    answers = [deleted(), ...] if taken else [reply(403), deleted()]
    looks = [*[reply(401)] * taken, NOT_FOUND]
    io, calls = calls_of(it, poll=[row(), NO_ROW], delete=answers, status=looks)
    fails(LeakError, delete(calls, it))
    assert it.state is (State.DELETING if taken else State.CREATED)
    drive(delete(calls, it))
    assert it.state is State.GONE
    assert io.calls_sent() == ["poll", "delete", *["status"] * taken, *ONCE]


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("wanted", ["never", "on-failure", "always"])
def test_an_instance_is_kept_as_the_settings_say(wanted: str, failed: bool) -> None:
    for state in sorted(State):
        it, told = instance(state=state, id=ID), list[State]()
        it.keeper = Listening(state=lambda changed, told=told: told.append(changed.state))
        it.failed = failed
        # What has no row, or was asked to be deleted, is not kept.
        kept = state in HAS_ROW - {State.DELETING}
        kept = kept and (wanted == "always" or (wanted == "on-failure" and failed))
        it.keeper.policy = policy_of(keep=wanted)
        assert keep(it) is kept
        assert it.state is (State.KEPT if kept else state)
        # What is kept already is no news.
        assert told == ([State.KEPT] if kept and state is not State.KEPT else [])
    theirs = attached()
    theirs.state, theirs.failed = State.READY, failed
    theirs.keeper.policy = policy_of(keep=wanted)
    assert not keep(theirs)
    assert theirs.state is State.READY
