"""From an instance to a confirmed deletion, or to a leak that says so."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from scripted_io import (
    HANG,
    ID,
    NO_ROW,
    NO_SUCH_PATH,
    NOT_FOUND,
    OTHER_ID,
    START,
    AtDeadline,
    calls_of,
    deleted,
    instance,
    lost,
    policy_of,
    refused,
    reply,
    row,
    status,
)

from pytest_hydrasmoke import LeakError
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._core.cleanup import delete
from pytest_hydrasmoke._core.policy import KnownRouter, Policy, Statuses
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

UP = status("running")
RUNNING: list[Any] = [UP, ...]
TAKEN: list[Any] = [deleted("x"), ...]
KEYS_404: dict[str, Any] = {
    "policy": Policy(router=KnownRouter(Absent(key_404=True))),
    "controls": {"key": NOT_FOUND},
}
AWAY = policy_of(statuses=Statuses(gone=frozenset({"away"})))
CURT: dict[str, Any] = {"policy": Policy(router=KnownRouter(Absent(bare=True)))}
"""Of a router that says of an unknown id what any application says of a wrong path."""
MOVED = {"id": NO_SUCH_PATH, "malformed": NO_SUCH_PATH}
ALIKE = reply(404, {"detail": "Service not found"})
NAMELESS = reply(200, {"found": True, "instance_id": None, "status": "queued"})
NOT_FOUND_BUT_NAMED = reply(200, {"found": False, "instance_id": ID, "status": None})
ONCE = ["delete", "status", "poll"]
AGAIN = ["delete", "status"]
HELD = [*ONCE, *["status", "poll"] * 10]
"""Where no delete is accepted, "not found" must hold for ten seconds: one look in each."""
NOT_REACHED = "no connection to https://router.example"
BROKEN = "answered against the router's contract: "
BROKEN += "expected id: present; status: present, got no such field; no such field"
ACCEPTED = "the router accepted the request, but shows no instance for its key"
NOT_OURS = f"the router accepted the request with {ID}, which may be another run's and is left "
NOT_OURS += "alone, but shows no instance for its key"
PERHAPS = "the router may have carried out the request, but shows no instance for its key"
NO_ROWS = (ACCEPTED, NOT_OURS, PERHAPS)
OTHERWISE = "Instance not found: an unknown key was answered otherwise when the run began"
SIGNAL = "a signal came before a row for its key did"
UNPROVED = "it is not found, but nothing proves that the router says so 60 s after the delete"
STAYS = "status 'running' {} s after the delete"
NO_ANSWER = "delete: no answer in time; status: no answer in time {} s after the delete"


@dataclass(frozen=True)
class Case:
    """What is known of an instance, the answers, a signal's patience, and what comes of it all."""

    delete: list[Any]
    status: list[Any]
    calls: list[str] | None = None
    why: str = ""
    left: State = State.GONE
    poll: list[Any] = field(default_factory=lambda: [NO_ROW, ...])
    was: State = State.READY
    known: str | None = ID
    policy: Policy = field(default_factory=policy_of)
    controls: dict[str, Any] = field(default_factory=dict)
    patience: float = math.inf
    waited: float | None = None


def unseen(*poll: Any, why: str = PERHAPS, **more: Any) -> Case:
    """Return a case of an instance without a row, now or ever; unless it is named, no id."""
    known = {"poll": [*poll], "was": State.REQUESTED, "known": None, "why": why, **more}
    return Case(**{"delete": [], "status": [], "left": known["was"], **known})


def found(*poll: Any, **more: Any) -> Case:
    """Return a case of one whose row comes, and which is deleted then."""
    calls = ["poll"] * (len(poll) - 1) + ONCE
    known = {"delete": [deleted()], "status": [NOT_FOUND], "calls": calls, "left": State.GONE}
    return unseen(*poll, why="", **known, **more)


LEFT: dict[str, Any] = {"left": State.DELETING}
UNTAKEN: dict[str, Any] = {"left": State.READY}
SHORT = policy_of(delete_timeout=9, row_wait=9)

CASES: dict[str, Case] = {
    "404 of status": Case([deleted()], [NOT_FOUND], ONCE),
    "gone row, in progress": Case([deleted()], [status("DELETING", "box-1-gone")], ONCE),
    "accepted": Case([deleted("queued", 202)], [status("terminated")], ONCE),
    "gone already": Case([NOT_FOUND], [NOT_FOUND, ...], HELD),
    "later": Case(TAKEN, [UP, status("failed"), NOT_FOUND], [*AGAIN, *AGAIN, *ONCE]),
    "a delete that did nothing, and another that finds nothing": Case(
        [deleted(), NOT_FOUND], [UP, NOT_FOUND, ...], [*AGAIN, *HELD]
    ),
    "404 of a key, as one that nobody has": Case(
        [deleted()], [NOT_FOUND], ONCE, poll=[NOT_FOUND], **KEYS_404
    ),
    "404 of a key, where none was 404 before": Case(
        *([deleted(), ...], [NOT_FOUND, ...]),
        why=f"poll was refused with 404: {OTHERWISE} 60 s after the delete",
        poll=[NOT_FOUND, ...],
        **LEFT,
    ),
    "404 of a key, and nothing shows that a router answers": Case(
        *([deleted(), ...], [NOT_FOUND, ...]),
        why=UNPROVED,
        poll=[NOT_FOUND, ...],
        policy=KEYS_404["policy"],
        controls={"key": NOT_FOUND, "malformed": reply(404, b"default backend")},
        **LEFT,
    ),
    # Where its key names an instance, only the answer to the key is the router's for certain.
    **{
        f"another server has its path, and its key's row is {it}": Case(
            *(TAKEN, [NO_SUCH_PATH, ...]),
            why=UNPROVED,
            poll=[it, ...],
            controls=MOVED,
            **CURT,
            **LEFT,
        )
        for it in (row("running"), row("deleted"), row("x", OTHER_ID))
    },
    "another server has its path, in words of its own": Case(
        *(TAKEN, [ALIKE, ...]),
        why=UNPROVED,
        poll=[row("running"), ...],
        controls={"id": ALIKE, "malformed": ALIKE},
        **LEFT,
    ),
    "the router itself speaks as another server would": Case(
        *(TAKEN, [NO_SUCH_PATH], ONCE),
        poll=[row("deleted"), ...],
        controls={"id": NO_SUCH_PATH},
        **CURT,
    ),
    "its words show the router, and nothing else does": Case(
        TAKEN,
        [NOT_FOUND],
        ONCE,
        poll=[row("deleted"), ...],
        controls={"malformed": NO_SUCH_PATH},
    ),
    "its key shows the router, and nothing else does": Case(
        TAKEN, [NO_SUCH_PATH], ONCE, controls=MOVED, **CURT
    ),
    "410, and random ids are 404": Case(TAKEN, [reply(410, {"detail": "Gone"})], ONCE),
    "404 in other words than random ids have": Case(
        *(TAKEN, [ALIKE, ...]),
        why="status was refused with 404: Service not found: not as an id that nobody has is "
        "answered 60 s after the delete",
        **LEFT,
    ),
    "a random id that is answered with success": Case(
        *(TAKEN, [NOT_FOUND, ...]),
        why="status was refused with 404: Instance not found: not as an id that nobody has is "
        "answered 60 s after the delete",
        controls={"id": UP},
        **LEFT,
    ),
    "controls without an answer": Case(
        *(TAKEN, [NOT_FOUND, ...]),
        why="missing was refused with 503 60 s after the delete",
        controls={"path": reply(503)},
        **LEFT,
    ),
    "no body": Case([reply(204)], [NOT_FOUND], ONCE),
    "broken body": Case([reply(200, b"<html>")], [NOT_FOUND, ...], HELD),
    "not taken": Case([reply(422)], [NOT_FOUND, ...], HELD),
    "not taken, later": Case([reply(418), deleted()], [UP, NOT_FOUND], [*AGAIN, *ONCE]),
    "hiccups": Case(
        [reply(503), lost(), deleted()], [refused(), NOT_FOUND], ["delete"] * 2 + AGAIN + ONCE[1:]
    ),
    "a word of one's own": Case(TAKEN, [status("Away")], ONCE, policy=AWAY),
    "a usual word beside one's own": Case(
        [deleted("AWAY"), ...],
        [status("terminated"), ...],
        why="status 'terminated' 60 s after the delete",
        policy=AWAY,
        **LEFT,
    ),
    # A key whose row is not known.
    "known by its key alone": found(NO_ROW, NO_ROW, row(None), NO_ROW),
    "an id without a row is worth nothing": found(
        *(NO_ROW, NO_ROW, row(), NO_ROW), was=State.ACCEPTED, known=ID
    ),
    "not found, and named": found(NOT_FOUND_BUT_NAMED, row(), NOT_FOUND_BUT_NAMED, known=ID),
    "a row that names no instance yet": found(NAMELESS, row(), NO_ROW),
    "a row that never names one": unseen(
        NAMELESS, ..., why="the router has a row for its key, but names no instance"
    ),
    "no row, accepted": unseen(NO_ROW, ..., was=State.ACCEPTED, why=ACCEPTED, waited=59.5),
    "no row within 8 s": unseen(
        NO_ROW, ..., policy=policy_of(row_wait=8, delete_timeout=3), waited=7.5
    ),
    "no time to wait for a row": unseen(NO_ROW, policy=policy_of(row_wait=LAST_CHANCE), waited=0),
    "no row at the deadline": unseen(AtDeadline(NO_ROW), policy=SHORT, waited=9),
    "a last look for a row that fails": unseen(
        *[NO_ROW] * 10, reply(503), ..., why="poll was refused with 503"
    ),
    "a key that can't be resolved": unseen(reply(401), why="poll was refused with 401"),
    # Only what a key names is deleted: what a provision alone has named may be another run's.
    "an id that only a provision named": unseen(
        *(NO_ROW, ...), was=State.ACCEPTED, known=ID, why=NOT_OURS, waited=59.5
    ),
    # In a hurry.
    "confirmed in time": Case(TAKEN, [UP, UP, NOT_FOUND], patience=3, waited=0.5),
    "a last look": Case(TAKEN, RUNNING, why=STAYS.format(2), patience=3, waited=2.5, **LEFT),
    "one delete and one look": Case(TAKEN, [NOT_FOUND], ONCE, patience=LAST_CHANCE, waited=0),
    "one delete and one look, alive": Case(
        *(TAKEN, RUNNING, AGAIN, STAYS.format(0)), patience=LAST_CHANCE, waited=0, **LEFT
    ),
    "a delete that hangs": Case(
        *([HANG, ...], RUNNING, AGAIN, NO_ANSWER.format(3)), patience=3, waited=3, **UNTAKEN
    ),
    "more patience than time": Case(
        TAKEN, RUNNING, why=STAYS.format(8), policy=SHORT, patience=30, waited=8.5, **LEFT
    ),
    "a signal before a row": unseen(NO_ROW, ..., patience=3, why=SIGNAL, waited=2.5),
    "a signal before a row, an id is known": unseen(
        NO_ROW, ..., was=State.ACCEPTED, known=ID, patience=3, why=SIGNAL, waited=2.5
    ),
    "hardly any patience with a key": unseen(NO_ROW, patience=LAST_CHANCE, why=SIGNAL, waited=0),
    "less than that": unseen(NO_ROW, patience=0.1, why=SIGNAL, waited=0),
    "a row in time": found(NO_ROW, NO_ROW, row(), NO_ROW, known=ID, patience=3, waited=0.5),
    "as much patience as time for a row": unseen(NO_ROW, ..., patience=60, waited=59.5),
    "a poll that fails in a hurry": unseen(reply(503), ..., patience=3, why=SIGNAL, waited=2.5),
    # Leaks.
    "it stays": Case(TAKEN, RUNNING, why=STAYS.format(60), waited=59.5, **LEFT),
    "it is there at the deadline": Case(
        TAKEN, [AtDeadline(UP)], why=STAYS.format(9), policy=SHORT, waited=9, **LEFT
    ),
    "delete never answers": Case([HANG, ...], RUNNING, why=NO_ANSWER.format(60), **UNTAKEN),
    **{
        f"delete answers {it.status}": Case(
            [it, ...], RUNNING, why=f"{why}{STAYS.format(60)}", left=left
        )
        for it, why, left in (
            (reply(500), "delete was refused with 500; ", State.READY),
            (reply(302), "delete was refused with 302; ", State.READY),
            (NOT_FOUND, "", State.READY),
            (reply(409), "", State.READY),
            (reply(410), "", State.READY),
            (deleted("DELETED"), "", State.DELETING),
        )
    },
    "delete finds nothing later": Case(
        [deleted(), NOT_FOUND, ...], RUNNING, why=STAYS.format(60), **LEFT
    ),
    "router gone": Case(
        [refused(), ...],
        [refused(), ...],
        why=f"delete: {NOT_REACHED}; status: {NOT_REACHED} 60 s after the delete",
        **UNTAKEN,
    ),
    "status refused": Case(TAKEN, [reply(401)], why="status was refused with 401", **LEFT),
    "status broken": Case(
        TAKEN, [reply(200, b"{}"), ...], why=f"status {BROKEN} 60 s after the delete", **LEFT
    ),
    "second delete refused": Case(
        [deleted(), reply(403)], RUNNING, why="delete was refused with 403", **LEFT
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_deletion_is_confirmed_or_a_leak_that_says_why(name: str) -> None:
    case = CASES[name]
    # No controls of another case are known.
    policy = replace(case.policy, router=KnownRouter(case.policy.router.absent))
    it = instance(state=case.was, id=case.known, policy=policy)
    it.evidence.asked = True
    io, calls = calls_of(it, delete=case.delete, status=case.status, poll=case.poll)
    io.controls.update(case.controls)
    io.hurried = START + case.patience
    error = None
    try:
        drive(delete(calls, it))
    except LeakError as leak:
        error = leak
    assert it.state is case.left
    assert (error is None) is (case.left is State.GONE)
    sent = io.calls_sent()
    if error is not None:
        told = re.sub(r" \(\d+ attempts\)", "", error.message)
        assert told == f"not confirmed as deleted, it may still run: {case.why}"
        assert error.next_step == "hydra-smoke sweep --run-id night"
        if case.left is State.DELETING and case.why.startswith("status '"):
            assert sent[-1] == "status"
            assert str(error.last).startswith("status '")
    assert list(it.notes) == [] or "delete" in sent
    assert case.calls in (None, sent)
    if case.was is not State.READY:
        assert {*sent} == ({"poll", "status", "delete"} if case.delete else {"poll"})
    if case.why in NO_ROWS:
        ends = {it.deadline for it in io.sent if it.request.call == "poll"}
        assert START + case.policy.row_wait in ends, "the last look can be answered"
    assert io.waited <= (60 if case.was is State.READY else 65)
    assert case.waited is None or io.waited == pytest.approx(case.waited)
