"""The last look of a run, on made-up time: what it changes, and at what a whole run looks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from net_tools import AT_ONCE, SPEC
from run_tools import Runs
from scripted_io import (
    ID,
    MALFORMED,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    START,
    calls_of,
    deleted,
    instance,
    lost,
    policy_of,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import LeakError, VirtualClock
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.proof import AFTER, REFUSED_AFTER, UNASKED
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.last_look import CLAIMS, LOOKS, LastLook, _note_failure
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE, drive


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


def look(
    it: Instance,
    *,
    row_lag: float = 0.0,
    hurried: float | None = None,
    late: float = 0.0,
    **scripts: Any,
) -> str:
    """Look once more, `late` seconds after the run's end; gives state, calls, time, error."""
    given = {"poll": [NO_ROW, ...], "status": [NOT_FOUND, ...], "delete": [deleted(), ...]}
    it.keeper.policy = policy_of(delete_timeout=30.0)
    it.lasted = 60.0
    io, calls = calls_of(it, **{**given, **scripts})
    io.time += late
    if hurried is not None:
        io.hurried = START + hurried
    of_rest = LastLook.of_refused if it.state is State.REFUSED else LastLook.of_proved
    part, raised = of_rest if it.leak is None else LastLook.try_again, ""
    try:
        drive(part(LastLook(START, row_lag), calls, it))
    except HydraSmokeError as error:
        raised = f", {type(error).__name__}"
    asked = "".join(dict.fromkeys(call[0] for call in io.calls_sent()))
    return f"{it.state}, {asked or 'nothing'}, {io.waited:g} s{raised}"


def gone(*, was_ready: bool = True, at: float | None = START) -> Instance:
    """Return an instance that was proved gone."""
    it = instance(state=State.READY, id=ID)
    it.was_ready, it.evidence.asked = was_ready, True
    it.evidence[ID] = it.evidence[ID].answered(0, accepted=True)
    it.is_gone(START, ends=False)
    it.settled_at = at
    return it


LEAK = "not confirmed as deleted"


def leaked(state: State = State.DELETING, *, was_ready: bool = False) -> Instance:
    """Return one that could not be deleted."""
    it = instance(state=state, id=None if state is State.REQUESTED else ID)
    it.leak, it.evidence.asked, it.was_ready = LEAK, True, was_ready
    return it


def refused(at: float | None = START) -> Instance:
    it = instance(state=State.REQUESTED)
    it.refuses(START)
    it.settled_at = at
    return it


NO = reply(400, {"detail": "no"})
STAYS = {"status": [status("running"), ...]}
ALIVE_AGAIN = {"status": [status("running"), NOT_FOUND, ...]}
OF_OTHER = reply(200, {"instance_id": OTHER_ID, "status": "deleting"})
ANOTHER = {"poll": [row("running", OTHER_ID), NO_ROW, ...], "delete": [OF_OTHER, deleted(), ...]}
HAS_ROW = {"poll": [row("running"), NO_ROW, ...]}
ROW_STAYS = {"poll": [row("running"), ...], **STAYS}
BACK = {"status": [NOT_FOUND, status("running"), NOT_FOUND, ...]}
REFUSAL = "status was refused with 400: no"
AGAIN = "leak: it was proved gone, and is there again: {}; it was deleted once more"
REVIVED = AGAIN.format("status 'running'")
NO_PROOF = "note: the last look at it proves nothing: {}; a sweep looks again"
TAKEN_BACK = "note: its deletion was proved only at the run's end"
LATE = NO_PROOF.format("it was not reached in time")
DID = "conflict: the router refused to provision it, and did it all the same: its key named it 3 s"
IN_TIME = AFTER + LAST_CHANCE

no_row, row_to_come = partial(leaked, State.REQUESTED), partial(leaked, State.ACCEPTED)
leak_of_ready = partial(leaked, was_ready=True)
Row = tuple[str, Callable[[], Instance], dict[str, Any], str, str]
ROWS: list[Row] = [
    # What was proved gone
    ("still gone", gone, {}, "deleted, sp, 2 s", ""),
    ("an old proof", lambda: gone(at=START - 60), {}, "deleted, sp, 0 s", ""),
    ("a proof of no time", lambda: gone(at=None), {}, "deleted, sp, 2 s", ""),
    ("never ready: it stays open", lambda: gone(was_ready=False), {}, "gone, spd, 2 s", ""),
    ("alive again", gone, ALIVE_AGAIN, "gone, sdp, 2 s", REVIVED),
    ("another", gone, ANOTHER, "gone, spd, 2 s", AGAIN.format(f"its key names {OTHER_ID}")),
    (
        "alive for good",
        gone,
        STAYS,
        "deleting, sd, 31.5 s, LeakError",
        "leak: it was proved gone, and is there again: status",
    ),
    ("refused", gone, {"status": [NO, ...]}, "gone, s, 2 s", NO_PROOF.format(REFUSAL)),
    (
        "lost",
        gone,
        {"status": [lost(), ...]},
        "gone, s, 21.5 s",
        "note: the last look at it proves nothing: ",
    ),
    (
        "still being deleted",
        gone,
        {"status": [status("deleting"), ...]},
        "gone, sp, 4 s",
        NO_PROOF.format("the router is still deleting it"),
    ),
    ("too late", gone, {"late": LOOKS + AFTER}, "gone, nothing, 22 s", LATE),
    ("no time after a signal", gone, {"hurried": IN_TIME}, "gone, nothing, 0 s", LATE),
    # What could not be deleted: a look that takes it back needs its last look
    ("a leak that is gone", leaked, {}, "gone, dsp, 4 s", TAKEN_BACK),
    ("a leak that was ready", leak_of_ready, {}, "deleted, dsp, 4 s", TAKEN_BACK),
    ("a leak that comes back", leaked, BACK, "gone, dsp, 4 s", f"{REVIVED}\n{TAKEN_BACK}"),
    ("a leak that stays", leaked, STAYS, "deleting, ds, 2 s", f"leak: {LEAK}"),
    ("a leak without a row", no_row, {}, "requested, p, 2 s", f"leak: {LEAK}"),
    ("a leak, its row has come", row_to_come, HAS_ROW, "deleted, pds, 12 s", TAKEN_BACK),
    ("a leak after a signal", leaked, {"hurried": 1.0}, "deleting, nothing, 0 s", f"leak: {LEAK}"),
    ("a leak, its time comes late", leaked, {"late": 9}, "gone, dsp, 11 s", TAKEN_BACK),
    # What was refused is asked for later than rows come
    ("a refusal", refused, {}, "refused, p, 3 s", ""),
    ("a refusal, and quick rows", refused, {"row_lag": 1.0}, "refused, p, 3 s", ""),
    ("a refusal, and slow rows", refused, {"row_lag": 4.0}, "refused, p, 8 s", ""),
    ("a refusal, and very slow rows", refused, {"row_lag": 100.0}, "refused, p, 30 s", ""),
    ("an earlier refusal", lambda: refused(START - 2.0), {}, "refused, p, 1 s", ""),
    ("an old refusal", lambda: refused(START - 60.0), {"row_lag": 4.0}, "refused, p, 0 s", ""),
    ("a refusal of no time", lambda: refused(None), {}, "refused, p, 3 s", ""),
    ("refused, and made", refused, HAS_ROW, "gone, pds, 3 s", DID),
    ("refused, and stays", refused, ROW_STAYS, "deleting, pds, 32.5 s, LeakError", DID),
    (
        "a refused key that is none",
        refused,
        {"poll": [MALFORMED, ...], "status": [MALFORMED, ...]},
        "refused, p, 3 s",
        "",
    ),
    (
        "a refused key without an answer",
        refused,
        {"poll": [NO, ...]},
        "refused, p, 3 s, DoubtError",
        "",
    ),
    (
        "a refusal, too late",
        refused,
        {"late": CLAIMS + REFUSED_AFTER},
        "refused, nothing, 23 s",
        "",
    ),
    ("a refusal after a signal", refused, {"hurried": REFUSED_AFTER}, "refused, nothing, 0 s", ""),
]


@pytest.mark.parametrize(
    ("make", "given", "told", "said"), [pytest.param(*it, id=name) for name, *it in ROWS]
)
def test_a_last_look_changes_what_it_shows_and_says_why(
    make: Callable[[], Instance], given: dict[str, Any], told: str, said: str
) -> None:
    it = make()
    assert look(it, **given) == told
    words = [f"leak: {it.leak}"] * (it.leak is not None)
    words += [f"conflict: {it.conflict}"] * (it.conflict is not None)
    words += [f"note: {note}" for note in it.notes]
    assert "\n".join(words).startswith(said)
    assert len(words) == bool(said) + said.count("\nnote: ")


def test_a_failure_is_a_leak_only_where_something_is_not_proved_gone() -> None:
    it = gone()
    _note_failure(it, LeakError("it is there"))
    assert (it.leak, [f"note: {note}" for note in it.notes]) == (
        None,
        [NO_PROOF.format("it is there")],
    )
    it = instance(state=State.DELETING, id=ID)
    _note_failure(it, HydraSmokeError("no answer"))
    assert (it.leak, list(it.notes)) == ("no answer", [])
    # The first one stays.
    _note_failure(it, LeakError("it is still there"))
    assert it.leak == "no answer"


# Of a whole run: at everything once, whatever one look meets


@pytest.fixture
def a_run(a_run: Runs) -> Runs:
    """A router and its runs are on one virtual clock."""
    return partial(a_run, clock=VirtualClock(), max_instances=20)


def test_a_run_looks_back_at_everything_once_and_at_the_same_time(a_run: Runs) -> None:
    fake, run = a_run()
    for _ in range(9):
        run.provision(SPEC)
    for code in (403, 422):
        fake.fail("provision", status=code)
        with pytest.raises(HydraSmokeError):
            run.provision(SPEC)
    fake.clock.advance(UNASKED)
    run.close()
    before = fake.clock.now()
    run.look_back()
    assert fake.clock.now() - before <= AFTER + 1
    states = [it.state for it in run.instances]
    assert states == [State.DELETED] * 9 + [State.REFUSED] * 2
    asked = len(fake.requests)
    run.look_back()
    assert len(fake.requests) == asked


def test_nobody_looks_back_at_nothing_after_a_signal_or_at_the_bundled_fake(a_run: Runs) -> None:
    fake, run = a_run()
    run.provision(SPEC).delete()
    run.instances.clear()
    asked = len(fake.requests)
    run.look_back()
    assert len(fake.requests) == asked
    for of_fake, state in ((False, State.GONE), (True, State.DELETED)):
        fake, run = a_run()
        run.ledger.fake = of_fake
        run.__post_init__()
        run.provision(SPEC)
        run.close()
        if not of_fake:
            run.interrupts.received = 15
        asked = len(fake.requests)
        run.look_back()
        assert (len(fake.requests), run.instances[0].state) == (asked, state)


def test_every_leak_is_asked_to_be_deleted_before_any_of_them_is_looked_at(a_run: Runs) -> None:
    # A router that takes a while for a deletion then has all of the wait for it.
    fake, run = a_run(delete_timeout=5)
    for _ in range(3):
        run.provision(SPEC)
    fake.fail("delete", status=400, times=10_000)
    run.close()
    assert all(it.leak is not None for it in run.instances)
    fake._world.faults.reset()
    before = len(fake.requests)
    run.look_back()
    asked = fake.requests[before:]
    assert [one.route for one in asked[:3]] == ["delete"] * 3
    assert asked[3].at - asked[2].at >= AFTER - 0.1
    assert all(one.deleted for one in fake.instances)
    assert [(it.leak, it.state) for it in run.instances] == [(None, State.DELETED)] * 3


def test_a_refused_key_is_asked_for_as_late_as_the_rows_of_the_run_come(a_run: Runs) -> None:
    fake, run = a_run(dataclasses.replace(AT_ONCE, row_after=6.0))
    run.provision(SPEC).delete()
    fake.fail("provision", status=403)
    with pytest.raises(HydraSmokeError):
        run.provision(SPEC)
    before = fake.clock.now()
    run.close()
    run.look_back()
    assert fake.clock.now() - before >= 12


def test_what_fails_at_one_look_keeps_no_other_from_being_looked_at(
    a_run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LastLook.of_proved

    async def broken(look: LastLook, calls: Calls, it: Instance) -> None:
        if it.key == "net-0":
            raise ZeroDivisionError("no such thing")
        await real(look, calls, it)

    monkeypatch.setattr(LastLook, "of_proved", broken)
    fake, run = a_run()
    for _ in range(4):
        run.provision(SPEC)
    run.close()
    fake.fail("status", status=401, times=1)
    run.look_back()
    states = [it.state for it in run.instances]
    assert (states[0], sorted(states[1:])) == (State.GONE, [*[State.DELETED] * 2, State.GONE])
    notes = [note for it in run.instances for note in it.notes]
    assert [note.partition(": ")[0] for note in notes] == ["the last look at it proves nothing"] * 2
    assert "ZeroDivisionError('no such thing')" in notes[0]
