"""One key in a sweep, on made-up time: which end it comes to, when, and in what words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_io import (
    ID,
    KEY,
    MALFORMED,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    SPEC,
    ScriptedIO,
    Took,
    deleted,
    policy_of,
    reply,
    row,
    status,
)

from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.proof import AFTER, REFUSED_AFTER
from pytest_hydrasmoke._journal.events import Became, Claimed, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept_key import BOOT, DELETING_FOR, End, SweptKey
from pytest_hydrasmoke._run.swept_run import SweptRun
from pytest_hydrasmoke._transport.protocol import drive

URL = "https://router.example"
SETTLE = 3600.0
POLICY = policy_of(patient=True, row_wait=5.0, delete_timeout=30.0)

ACCEPTED = (Became(State.ACCEPTED, ID),)
BOOTS = (Became(State.CREATED, ID, 1.0),)
READY = (*BOOTS, Became(State.READY, ID, 20.0))
DELETING = (*READY, Became(State.DELETING, ID))
GONE = (*DELETING, Became(State.GONE, ID))
KEPT = (*READY, Became(State.KEPT, ID))
REFUSED = (Became(State.REFUSED),)


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


def key_of(
    *lines: Became,
    age: float = 0.0,
    ended: bool = False,
    asked: float | None = None,
    boot: float = 0.0,
    booting: float | None = None,
    named: bool = True,
) -> SweptKey:
    """Return a key that a ledger has, or, if not `named`, one that it has not."""
    reading = LedgerReading()
    for event in (Claimed(SPEC.model_dump(), url=URL), *lines):
        reading.apply(Entry(0.0, KEY, event))
    reading.boot = max(reading.boot, boot)
    by_sweeps = {} if asked is None else {KEY: asked}
    run = SweptRun(Path("runs", "night"), reading, URL, ended, age=age, asked=by_sweeps)
    run.booting = {} if booting is None else {KEY: booting}
    return SweptKey(KEY, run, reading.instances[KEY] if named else None, POLICY, SETTLE)


def carry_out(it: SweptKey, **scripts: list[Any]) -> ScriptedIO:
    """Take a key to its end; without other scripts it is gone, and its key has no row."""
    given = {"poll": [NO_ROW, ...], "status": [NOT_FOUND, ...], "delete": [deleted(), ...]}
    io = ScriptedIO(**{**given, **scripts})
    for _ in range(200):
        io.time = max(io.time, it.due)
        try:
            drive(it.step(io))
        except HydraSmokeError as error:
            it.fails(error)
        if it.end is not None:
            return io
    raise AssertionError("it comes to no end")


NO = reply(400, {"detail": "no"})
BACK = [NOT_FOUND, status("running")]
COMES_BACK = {"status": [*BACK, *BACK, NOT_FOUND, ...]}
NO_PROOF = {"status": [NOT_FOUND, NO, ...]}
REFUSES = {"status": [NOT_FOUND, reply(401, {"detail": "no"}), ...]}
STAYS = {"status": [status("running"), ...], "poll": [row("running"), ...]}
ELSEWHERE = {
    "status": [reply(404, {"detail": "No such thing"}), ...],
    "poll": [row("running"), ...],
}
NOTHING_THERE = {"delete": [NOT_FOUND, ...]}
UNDER_WAY = {"status": [status("deleting"), ...], "poll": [row("deleting"), ...]}
ALIVE_FIRST = {
    "status": [status("running"), status("deleting"), ...],
    "poll": [row("running"), row("deleting"), ...],
}
READY_AFTER = {
    "poll": [row("queued"), row("running"), row("queued"), ...],
    "status": [status("deleted"), ...],
}
NEEDS_ITS_OWN = {"status": [status("running"), NOT_FOUND, ...], **NOTHING_THERE}
OLD_AND_BACK = {"status": [*[status("deleting")] * 2, *BACK, status("deleting"), ...]}
ROW_AT_ONCE = {"poll": [row("running"), NO_ROW, ...]}
ROW_COMES = {"poll": [NO_ROW, NO_ROW, row("running"), NO_ROW, ...]}
NOT_TOLD_ONCE = {"status": [*[status("deleting")] * 12, NO, status("deleting"), ...]}
OF_ANOTHER = {"poll": [NOT_FOUND], "status": [MALFORMED, ...]}
OF_OTHER = reply(200, {"instance_id": OTHER_ID, "status": "deleting"})
NAMES_ANOTHER = {
    "poll": [NO_ROW, row("running", OTHER_ID), NO_ROW, ...],
    "delete": [deleted(), OF_OTHER, deleted(), ...],
}
SLOWLY = {"poll": [Took(0.3, NO_ROW), ...]}
SEEN_TO_BOOT = {"poll": [row("queued"), NO_ROW, ...]}
OLD = {"age": 9999.0}


ROWS: list[tuple[str, tuple[Became, ...], dict[str, Any], dict[str, Any], str]] = [
    ("stays gone", READY, {}, {}, "DELETED, 1x, 2 s"),
    ("gone before", GONE, {"age": 30}, NOTHING_THERE, "GONE, 1x, 2 s"),
    ("404 without an accepted delete", READY, {}, NOTHING_THERE, "GONE, 1x, 12 s"),
    ("another server has its path", READY, {}, ELSEWHERE, "LEFT, 37x, 29.5 s"),
    ("alive", READY, {}, STAYS, "LEFT, 37x, 29.5 s"),
    ("comes back once", READY, {}, {"status": [*BACK, NOT_FOUND, ...]}, "DELETED, 2x, 12 s"),
    ("comes back twice", READY, {}, COMES_BACK, "LEFT, 2x, 12 s"),
    # What its key names for a moment gets a delete, too.
    ("its key names another at the last look", READY, {}, NAMES_ANOTHER, "DELETED, 3x, 12 s"),
    ("no proof at the last look", READY, {}, NO_PROOF, "LEFT, 1x, 2 s"),
    ("refused at the last look", READY, {}, REFUSES, "LEFT, 1x, 2 s"),
    ("time that answers take", READY, {}, {"delete": [Took(3, deleted())]}, "DELETED, 1x, 5 s"),
    # A replica that lags behind knows it, once it has been known for 10 s.
    ("young", (*BOOTS, Became(State.READY, ID, 5.0)), {}, {}, "DELETED, 1x, 6 s"),
    ("less young", (*BOOTS, Became(State.READY, ID, 5.0)), {"age": 3.0}, {}, "DELETED, 1x, 3 s"),
    ("old, and back", (*READY, Became(State.CREATED, ID, 21.0)), {}, {}, "DELETED, 1x, 2 s"),
    # Deleted in its boot: its worker may finish after the first delete.
    ("never ready", BOOTS, {"boot": 20.0}, {}, "BOOTING, 2x, 10 s; 50 s"),
    ("younger than a boot", BOOTS, {"age": BOOT - AFTER - 0.1}, {}, "BOOTING, 2x, 2 s; 1 s"),
    ("as old as a boot", BOOTS, {"age": BOOT - AFTER}, {}, "DELETED, 2x, 2 s"),
    ("boots take longer", BOOTS, {"age": BOOT, "boot": 90.0}, {}, "BOOTING, 2x, 2 s; 118 s"),
    ("as old as a long boot", BOOTS, {"age": 180.0 - AFTER, "boot": 90.0}, {}, "DELETED, 2x, 2 s"),
    ("seen to boot", BOOTS, {"age": 25.0}, SEEN_TO_BOOT, "BOOTING, 2x, 2 s; 33 s"),
    ("seen to boot slowly", BOOTS, {"age": 70.0}, SEEN_TO_BOOT, "BOOTING, 2x, 2 s; 828 s"),
    ("by a sweep before", BOOTS, {"age": 140.0, "booting": 50.0}, {}, "BOOTING, 2x, 2 s; 758 s"),
    (
        "by a sweep long ago, booting",
        BOOTS,
        {"age": 950.0, "booting": 850.0},
        {},
        "DELETED, 1x, 2 s",
    ),
    ("called ready before the delete", BOOTS, {}, ROW_AT_ONCE, "DELETED, 1x, 10 s"),
    ("called ready after the delete", BOOTS, {}, READY_AFTER, "BOOTING, 2x, 10 s; 50 s"),
    ("can't be asked first", BOOTS, {}, {"poll": [NO, NO_ROW, ...]}, "BOOTING, 2x, 10 s; 50 s"),
    # Still being deleted: that is accepted for ten minutes, and proves nothing.
    ("under way", READY, {}, UNDER_WAY, "UNDER_WAY, 1x, 14 s; 600 s"),
    ("by the run", DELETING, {"age": DELETING_FOR - 20.5}, UNDER_WAY, "UNDER_WAY, 1x, 14 s; 9 s"),
    ("by the run long ago", DELETING, {"age": DELETING_FOR - 5.0}, UNDER_WAY, "LEFT, 1x, 14 s"),
    ("an old run did not ask", READY, OLD, UNDER_WAY, "UNDER_WAY, 1x, 14 s; 600 s"),
    ("by a sweep", READY, {"asked": 100.0}, UNDER_WAY, "UNDER_WAY, 1x, 14 s; 488 s"),
    ("by a sweep long ago", READY, {"asked": 600.0}, UNDER_WAY, "LEFT, 1x, 14 s"),
    ("by a sweep, not told once", READY, {"asked": 600.0}, NOT_TOLD_ONCE, "LEFT, 2x, 26 s"),
    ("by both", DELETING, {"age": 700.0, "asked": 3.0}, UNDER_WAY, "LEFT, 1x, 14 s"),
    ("by the run, and alive since", DELETING, OLD, ALIVE_FIRST, "UNDER_WAY, 1x, 14 s; 600 s"),
    (
        "by a sweep, and alive since",
        READY,
        {"asked": 9999.0},
        ALIVE_FIRST,
        "UNDER_WAY, 1x, 14 s; 600 s",
    ),
    ("alive since, and not found", DELETING, {"age": 30}, NEEDS_ITS_OWN, "GONE, 1x, 12 s"),
    ("back at the last look", DELETING, OLD, OLD_AND_BACK, "UNDER_WAY, 2x, 17 s; 600 s"),
    # Without a row: what it waits itself counts.
    ("unclaimed", (), {"named": False}, {}, "NOTHING, 0x, 0 s"),
    ("unclaimed, another's 404", (), {"named": False}, OF_ANOTHER, "LEFT, 0x, 0 s"),
    ("unclaimed, with a row", (), {"named": False}, ROW_AT_ONCE, "DELETED, 1x, 10 s"),
    ("a row comes", (), {}, ROW_COMES, "DELETED, 1x, 10.5 s"),
    ("claimed", (), {}, {}, "UNSURE, 0x, 4.5 s; 3596 s"),
    ("accepted", ACCEPTED, {}, {}, "UNSURE, 0x, 4.5 s; 3596 s"),
    ("a row may just come", ACCEPTED, {"age": 3594.9}, {}, "UNSURE, 0x, 4.5 s; 1 s"),
    ("a row may be there by now", ACCEPTED, {"age": 3595.3}, SLOWLY, "UNSURE, 0x, 4.8 s; 1 s"),
    ("no row may come any more", (), {"age": 3595.8}, {}, "NOTHING, 0x, 4.5 s"),
    ("its run has ended", ACCEPTED, {"ended": True}, {}, "UNSURE, 0x, 0 s; 3600 s"),
    ("refused long ago", REFUSED, {"age": REFUSED_AFTER}, {}, "NOTHING, 0x, 0 s"),
    ("just refused", REFUSED, {"age": 1.0}, {}, "NOTHING, 0x, 2 s"),
    (
        "refused, and made",
        REFUSED,
        {"age": 1.0},
        {"poll": [NO_ROW, *ROW_AT_ONCE["poll"]]},
        "DELETED, 1x, 12 s",
    ),
    ("its key is not answered for", ACCEPTED, {}, {"poll": [NO, ...]}, "LEFT, 0x, 4.5 s"),
]
"""What a ledger and sweeps know, what the router says, and the end: how many deletes were sent, how
long it took, and after how long it is to be swept again."""


@pytest.mark.parametrize(
    ("lines", "given", "scripts", "told"), [pytest.param(*it, id=name) for name, *it in ROWS]
)
def test_a_key_comes_to_its_end(
    lines: tuple[Became, ...], given: dict[str, Any], scripts: dict[str, Any], told: str
) -> None:
    it = key_of(*lines, **given)
    io = carry_out(it, **scripts)
    assert it.end is not None
    deletes, again = len(io.calls_sent("delete")), it.words.rpartition("sweep ")[2]
    later = f"; {again.rpartition('in ')[2]}" if "sweep " in it.words else ""
    assert f"{it.end.name}, {deletes}x, {io.waited:g} s{later}" == told


SAID: list[tuple[tuple[Became, ...], dict[str, Any], dict[str, Any], str]] = [
    (READY, {}, {}, f"deleted  {ID} (key {KEY})"),
    (KEPT, {}, {}, f"deleted  {ID} (key {KEY}): it was kept"),
    (KEPT, {}, STAYS, f"LEFT     {ID} (key {KEY}): it was kept: status 'running' 30 s after"),
    ((), {"named": False}, {}, f"nothing  (key {KEY})"),
    (READY, {}, STAYS, f"LEFT     {ID} (key {KEY}): status 'running' 30 s after the delete"),
    (READY, {}, UNDER_WAY, "the router is still at it; sweep in 600 s"),
    (READY, {"asked": 707.9}, UNDER_WAY, "still deleting after 11 min; ask who runs the router"),
    (READY, {"asked": 708.0}, UNDER_WAY, "still deleting after 12 min; ask who runs the router"),
    (BOOTS, OLD | {"asked": 9e5}, UNDER_WAY, f"LEFT     {ID} (key {KEY}): still deleting after"),
    (BOOTS, {}, {}, "was booting, deleted; sweep again in 50 s"),
    ((), {"age": 3594.9}, {}, "no row yet, one may come; sweep again in 1 s"),
    (READY, {}, COMES_BACK, "it was proved gone, and is there again: status 'running'"),
    (READY, {}, NO_PROOF, "proved gone, but the last look is no proof: status was refused with "),
]


@pytest.mark.parametrize(("lines", "given", "scripts", "said"), SAID)
def test_a_line_names_the_instance_or_the_key_and_says_what_is_to_be_known(
    lines: tuple[Became, ...], given: dict[str, Any], scripts: dict[str, Any], said: str
) -> None:
    it = key_of(*lines, **given)
    assert it.waits is (lines == () and "named" not in given)
    carry_out(it, **scripts)
    assert said in it.line
    assert it.found is (lines != ())


def test_an_end_says_what_later_sweeps_know() -> None:
    assert {end: end.learned for end in End} == {
        End.DELETED: State.DELETED,
        End.GONE: State.DELETED,
        End.BOOTING: State.GONE,
        End.UNDER_WAY: State.DELETING,
        End.NOTHING: State.ABSENT,
        End.UNSURE: None,
        End.LEFT: None,
    }
