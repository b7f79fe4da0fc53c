"""One key in a sweep, on made-up time: which end it comes to, when, and in what words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    SPEC,
    START,
    ScriptedIO,
    Took,
    deleted,
    policy_of,
    reply,
    row,
    status,
)

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.proof import AFTER, REFUSED_AFTER
from pytest_hydrasmoke._journal.events import Became, Claimed, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.case import BOOT, DELETED_FOR, LEARNED, WELL, Case, End
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept import Swept
from pytest_hydrasmoke._transport.protocol import drive

URL = "https://router.example"
ROW_SETTLE = 3600.0
POLICY = policy_of(patient=True, row_wait=5.0, delete_timeout=30.0)

ACCEPTED = Became(State.ACCEPTED, ID)
CREATED = Became(State.CREATED, ID, 1.0)
READY = Became(State.READY, ID, 20.0)
DELETING = Became(State.DELETING, ID)
GONE = Became(State.GONE, ID)
REFUSED = Became(State.REFUSED)


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


def reading_of(*events: Became) -> LedgerReading:
    """Read a ledger with the claim of a key, and what follows it."""
    reading = LedgerReading()
    for event in (Claimed(SPEC.model_dump(), url=URL), *events):
        reading.apply(Entry(0.0, KEY, event))
    return reading


def case_of(
    *events: Became,
    age: float = 0.0,
    ended: bool = False,
    deleting_for: float | None = None,
    named: bool = True,
    policy: Policy = POLICY,
) -> Case:
    """Return the case of a key that a ledger has, or, if not `named`, of one that it has not."""
    folder, reading = Path("runs", "night"), reading_of(*events)
    asked = {} if deleting_for is None else {KEY: deleting_for}
    run = Swept(folder, reading, URL, ended, age=age, asked=asked)
    known = reading.instances[KEY] if named else None
    return Case(KEY, run, known, policy, ROW_SETTLE)


def carry_out(case: Case, **scripts: list[object]) -> ScriptedIO:
    """Take a case to its end; without other scripts it is gone, and its key has no row."""
    given = {"poll": [NO_ROW, ...], "status": [NOT_FOUND, ...], "delete": [deleted(), ...]}
    io = ScriptedIO(**{**given, **scripts})
    for _ in range(200):
        io.time = max(io.time, case.due)
        try:
            drive(case.step(Calls(io, case.record)))
        except HydraSmokeError as error:
            case.fails(error)
        if case.end is not None:
            return io
    raise AssertionError("it comes to no end")


# What was there


def test_what_is_deleted_and_stays_gone_is_deleted() -> None:
    case = case_of(CREATED, READY)
    io = carry_out(case)
    assert (case.end, case.line) == (End.DELETED, f"deleted  {ID} (key {KEY})")
    assert io.calls_sent() == ["delete", "status", "poll", "status", "poll"]
    assert io.waited == AFTER


def test_what_was_gone_before_is_gone() -> None:
    case = case_of(CREATED, READY, DELETING, GONE, age=30)
    carry_out(case, delete=[NOT_FOUND, ...])
    assert (case.end, case.line) == (End.GONE, f"gone     {ID} (key {KEY})")


def test_a_404_without_an_accepted_delete_must_hold() -> None:
    case = case_of(CREATED, READY)
    io = carry_out(case, delete=[NOT_FOUND, ...])
    assert (case.end, io.waited) == (End.GONE, 10 + AFTER)


def test_what_is_alive_is_left() -> None:
    case = case_of(CREATED, READY)
    carry_out(case, status=[status("running"), ...], poll=[row("running"), ...])
    assert case.end is End.LEFT
    assert case.line.startswith(f"LEFT     {ID} (key {KEY}): status 'running' ")


def test_what_comes_back_once_is_deleted_again_and_twice_is_left() -> None:
    case, back = case_of(CREATED, READY), [NOT_FOUND, status("running")]
    io = carry_out(case, status=[*back, NOT_FOUND, ...])
    assert (case.end, case.words, len(io.calls_sent("delete"))) == (End.DELETED, "", 2)
    case = case_of(CREATED, READY)
    carry_out(case, status=[*back, *back, NOT_FOUND, ...])
    assert case.end is End.LEFT
    assert case.words == "it was proved gone, and is there again: status 'running'"


def test_a_key_that_names_another_at_the_last_look_is_not_gone() -> None:
    case = case_of(CREATED, READY)
    other = row("running", OTHER_ID)
    io = carry_out(case, poll=[NO_ROW, other, NO_ROW, ...])
    assert len(io.calls_sent("delete")) >= 2
    assert case.end is End.DELETED


@pytest.mark.parametrize("status", [400, 401])
def test_a_last_look_that_proves_nothing_leaves_it(status: int) -> None:
    case = case_of(CREATED, READY)
    carry_out(case, status=[NOT_FOUND, reply(status, {"detail": "no"}), ...])
    assert case.end is End.LEFT
    assert status == 401 or case.words.startswith("proved gone, but the last look is no proof: ")


# Deleted in its boot


@pytest.mark.parametrize(
    ("age", "boot", "end"),
    [
        (0.0, 20.0, End.BOOTING),
        (BOOT - AFTER - 0.1, 20.0, End.BOOTING),
        (BOOT - AFTER, 20.0, End.DELETED),
        (BOOT, 20.0, End.DELETED),
        (BOOT, 90.0, End.BOOTING),
        (90.0 - AFTER, 90.0, End.DELETED),
    ],
)
def test_what_was_never_ready_is_looked_at_later_than_any_boot_takes(
    age: float, boot: float, end: End
) -> None:
    case = case_of(CREATED, age=age)
    case.run.reading.boot = boot
    io = carry_out(case, delete=[deleted(), ...])
    assert case.end is end
    # Its worker may have finished after the first one.
    assert len(io.calls_sent("delete")) == (2 if end is End.BOOTING else 1)
    if end is End.BOOTING:
        wait = math.ceil(max(BOOT, boot) - age - AFTER)
        assert case.words == f"was booting, deleted; sweep again in {wait} s"
        assert (case.end in WELL, LEARNED[case.end]) == (True, State.GONE)


def test_what_its_key_calls_ready_before_the_delete_has_ended_its_boot() -> None:
    case = case_of(CREATED)
    carry_out(case, poll=[row("running"), NO_ROW, ...])
    assert case.end is End.DELETED


def test_what_its_key_calls_ready_only_after_a_delete_may_boot_on() -> None:
    case = case_of(CREATED)
    polls = [row("queued"), row("running"), row("queued"), ...]
    carry_out(case, poll=polls, status=[status("deleted"), ...])
    assert case.end is End.BOOTING


def test_a_key_that_can_not_be_asked_first_is_taken_for_one_in_its_boot() -> None:
    case = case_of(CREATED)
    carry_out(case, poll=[reply(400, {"detail": "no"}), NO_ROW, ...])
    assert case.end is End.BOOTING


# Still being deleted


def under_way(case: Case) -> ScriptedIO:
    return carry_out(case, status=[status("deleting"), ...], poll=[row("deleting"), ...])


def test_a_deletion_under_way_is_well_and_not_over() -> None:
    case = case_of(CREATED, READY)
    io = under_way(case)
    assert io.waited >= 10
    assert (case.end, LEARNED[case.end], case.end in WELL) == (End.UNDER_WAY, State.DELETING, True)
    assert case.words == f"the router is still at it; sweep in {DELETED_FOR:.0f} s"


@pytest.mark.parametrize(
    ("age", "by_run", "by_sweep", "wait"),
    [
        (DELETED_FOR - 20.5, True, None, 9),
        (DELETED_FOR - 5.0, True, None, None),
        (9999.0, False, None, 600),
        (0.0, False, 100.0, 488),
        (0.0, False, 600.0, None),
        (700.0, True, 3.0, None),
    ],
)
def test_a_deletion_that_was_accepted_long_ago_has_been_carried_out(
    age: float, by_run: bool, by_sweep: float | None, wait: int | None
) -> None:
    lines = (CREATED, READY, *((DELETING,) if by_run else ()))
    case = case_of(*lines, age=age, deleting_for=by_sweep)
    under_way(case)
    if wait is None:
        assert case.end is End.DELETED
    else:
        assert case.end is End.UNDER_WAY
        assert case.words.endswith(f"sweep in {wait} s")


@pytest.mark.parametrize("by_run", [True, False])
def test_a_deletion_is_no_older_than_when_it_was_last_seen_alive(by_run: bool) -> None:
    old = {"age": 9999.0} if by_run else {"deleting_for": 9999.0}
    case = case_of(CREATED, READY, *((DELETING,) if by_run else ()), **old)
    carry_out(
        case,
        status=[status("running"), status("deleting"), ...],
        poll=[row("running"), row("deleting"), ...],
    )
    assert (case.end, case.words) == (
        End.UNDER_WAY,
        f"the router is still at it; sweep in {DELETED_FOR:.0f} s",
    )


def test_what_was_seen_alive_needs_a_delete_of_its_own_to_be_gone() -> None:
    case = case_of(CREATED, READY, DELETING, age=30)
    io = carry_out(case, status=[status("running"), NOT_FOUND, ...], delete=[NOT_FOUND, ...])
    assert (case.end, io.waited) == (End.GONE, 10 + AFTER)


def test_what_comes_back_at_the_last_look_is_not_an_old_deletion() -> None:
    case = case_of(CREATED, READY, DELETING, age=9999.0)
    answers = [*[status("deleting")] * 2, NOT_FOUND, status("running"), status("deleting"), ...]
    carry_out(case, status=answers)
    assert case.end is End.UNDER_WAY


# Without a row


def test_a_key_that_nobody_has_claimed_is_asked_for_once() -> None:
    case = case_of(named=False)
    io = carry_out(case)
    assert (case.end, io.calls_sent(), case.waits) == (End.NOTHING, ["poll"], False)
    assert case.line == f"nothing  (key {KEY})"


def test_a_row_that_comes_is_deleted_also_where_nobody_has_claimed_its_key() -> None:
    case = case_of(named=False)
    carry_out(case, poll=[row("running"), NO_ROW, ...])
    assert (case.found, case.end) == (True, End.DELETED)
    case = case_of()
    carry_out(case, poll=[NO_ROW, NO_ROW, row("running"), NO_ROW, ...])
    assert case.end is End.DELETED


@pytest.mark.parametrize("lines", [(), (ACCEPTED,)], ids=["claimed", "accepted"])
@pytest.mark.parametrize(
    ("age", "end", "wait"),
    [
        (0.0, End.UNSURE, 3596),
        (3594.9, End.UNSURE, 1),
        # What it waits itself counts.
        (3595.8, End.NOTHING, None),
        (3600.0, End.NOTHING, None),
    ],
)
def test_a_row_that_may_still_come_is_waited_for(
    lines: tuple[dict[str, object], ...], age: float, end: End, wait: int | None
) -> None:
    case = case_of(*lines, age=age)
    io = carry_out(case)
    assert case.waits
    assert (case.end, io.waited) == (end, pytest.approx(5, abs=0.6))
    assert (End.UNSURE in WELL, End.UNSURE in LEARNED) == (False, False)
    if wait is not None:
        assert case.words == f"no row yet, one may come; sweep again in {wait} s"


def test_a_run_that_has_ended_needs_no_wait_for_a_row() -> None:
    case = case_of(ACCEPTED, ended=True)
    io = carry_out(case)
    # Its deletion is asked for all the same: an answer about the key has named it.
    assert (case.waits, io.waited, io.calls_sent("delete")) == (False, 0, ["delete"])
    assert case.end is End.UNSURE


def test_the_age_of_a_run_that_is_only_looked_at_is_not_known() -> None:
    case = case_of(REFUSED)
    assert (case.run.run_id, case.run.age) == ("night", 0)


# Refused


def test_a_refused_key_without_a_row_is_nothing_once_it_is_old_enough() -> None:
    case = case_of(REFUSED, age=REFUSED_AFTER)
    io = carry_out(case)
    assert (case.end, io.calls_sent(), io.waited) == (End.NOTHING, ["poll"], 0)


def test_a_refused_key_that_is_young_is_asked_for_once_more() -> None:
    case = case_of(REFUSED, age=1.0)
    io = carry_out(case)
    assert case.end is End.NOTHING
    assert [it.at - START for it in io.sent] == [0, REFUSED_AFTER - 1.0]


def test_what_came_of_a_refused_key_after_all_is_deleted() -> None:
    case = case_of(REFUSED, age=1.0)
    carry_out(case, poll=[NO_ROW, row("running"), NO_ROW, ...])
    assert (case.end, case.found) == (End.DELETED, True)


# What can't be asked


def test_a_key_that_is_not_answered_for_is_left() -> None:
    case = case_of(ACCEPTED)
    carry_out(case, poll=[reply(400, {"detail": "no"}), ...])
    assert (case.end, case.end in WELL) == (End.LEFT, False)


def test_time_that_answers_take_counts() -> None:
    case = case_of(CREATED, READY)
    io = carry_out(case, delete=[Took(3, deleted())])
    assert (case.end, io.waited) == (End.DELETED, 3 + AFTER)
