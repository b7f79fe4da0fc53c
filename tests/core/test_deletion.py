"""From an instance to a confirmed deletion, or to a leak that says so."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from scripted_io import (
    HANG,
    ID,
    NO_ROW,
    NOT_FOUND,
    START,
    AtDeadline,
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

from pytest_hydrasmoke import LeakError
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core.deletion import delete
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.removal import NoRowError
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

POLICY = policy_of()


RUNNING: list[Any] = [status("running"), ...]
TAKEN: list[Any] = [deleted("x"), ...]
AWAY = policy_of(gone=frozenset({"away"}))
NAMELESS = reply(200, {"found": True, "instance_id": None, "status": "queued"})
NOT_FOUND_BUT_NAMED = reply(200, {"found": False, "instance_id": ID, "status": None})
NAMED = reply(200, {"found": True, "instance_id": ID, "status": None})
ONCE = ["delete", "status", "poll"]
AGAIN = ["delete", "status"]
HELD = [*ONCE, *["status", "poll"] * 10]
"""Where no delete is accepted, "not found" must hold for ten seconds: one look in each."""
NOT_REACHED = "no connection to https://router.example"
BROKEN = "answered against the router's contract: "
BROKEN += "expected id: present; status: present, got no such field; no such field"
NOTHING_SHOWN = "but shows no instance for its key"
ACCEPTED = f"the router accepted the request, {NOTHING_SHOWN}"
PERHAPS = f"the router may have carried out the request, {NOTHING_SHOWN}"
SIGNAL = "a signal came before a row for its key did"
STAYS = "status 'running' {} s after the delete"


@dataclass(frozen=True)
class Case:
    """What is known of an instance, the answers, a signal's patience, and what comes of it all."""

    delete: list[Any] = field(default_factory=list[Any])
    status: list[Any] = field(default_factory=list[Any])
    poll: list[Any] = field(default_factory=lambda: [NO_ROW, ...])
    calls: list[str] | None = None
    kinds: set[str] | None = None
    was: State = State.READY
    known: str | None = ID
    policy: Policy = POLICY
    patience: float = math.inf
    left: State = State.GONE
    why: str = ""
    no_row: bool = False
    waited: float | None = None


def unseen(*poll: Any, was: State = State.REQUESTED, **more: Any) -> Case:
    """Return a case of an instance of which there was no row yet; unless it is named, no id."""
    return Case(**{"poll": [*poll], "was": was, "known": None, "left": was, **more})


CASES: dict[str, Case] = {
    "404 of status": Case([deleted()], [NOT_FOUND], calls=ONCE),
    "gone row": Case([deleted()], [status("Deleted", "box-1-gone")], calls=ONCE),
    "gone row, in progress": Case([deleted()], [status("DELETING")], calls=ONCE),
    "accepted": Case([deleted("queued", 202)], [status("terminated")], calls=ONCE),
    "gone already": Case([NOT_FOUND], [NOT_FOUND, ...], calls=HELD),
    "later": Case(TAKEN, [*RUNNING[:1] * 2, NOT_FOUND], calls=[*AGAIN, *AGAIN, *ONCE]),
    "failed is not gone": Case(TAKEN, [status("failed"), NOT_FOUND], calls=[*AGAIN, *ONCE]),
    "no body": Case([reply(204)], [NOT_FOUND], calls=ONCE),
    "broken body": Case([reply(200, b"<html>")], [NOT_FOUND, ...], calls=HELD),
    "broken body, later": Case(
        [reply(200, b"{}"), ...], [*RUNNING[:1], NOT_FOUND, ...], calls=[*AGAIN, *HELD]
    ),
    "not taken": Case([reply(422)], [NOT_FOUND, ...], calls=HELD),
    "not taken, later": Case(
        [reply(302), reply(418), deleted()],
        [*RUNNING[:1] * 2, NOT_FOUND],
        calls=[*AGAIN, *AGAIN, *ONCE],
    ),
    "hiccups": Case(
        [reply(503), lost(), deleted()],
        [refused(), NOT_FOUND],
        calls=["delete", "delete", *AGAIN, "status", "poll"],
    ),
    "a word of one's own": Case(TAKEN, [status("Away")], calls=ONCE, policy=AWAY),
    "not found beside words of one's own": Case(TAKEN, [NOT_FOUND], calls=ONCE, policy=AWAY),
    "a usual word beside one's own": Case(
        [deleted("AWAY"), ...],
        [status("terminated"), ...],
        policy=AWAY,
        left=State.DELETING,
        why="status 'terminated' 60 s after the delete",
    ),
    # A key whose row is not known.
    "known by its key alone": unseen(
        *(NO_ROW, NO_ROW, NAMED, NO_ROW),
        delete=[deleted()],
        status=[NOT_FOUND],
        calls=["poll"] * 3 + ONCE,
        left=State.GONE,
    ),
    "an id without a row is worth nothing": unseen(
        *(NO_ROW, NO_ROW, row(), NO_ROW),
        was=State.ACCEPTED,
        known=ID,
        delete=[deleted()],
        status=[NOT_FOUND],
        calls=["poll"] * 3 + ONCE,
        left=State.GONE,
    ),
    "not found, and named": unseen(
        *(NOT_FOUND_BUT_NAMED, NOT_FOUND_BUT_NAMED, row(), NOT_FOUND_BUT_NAMED),
        known=ID,
        delete=[deleted()],
        status=[NOT_FOUND],
        calls=["poll"] * 3 + ONCE,
        left=State.GONE,
    ),
    "a row that names no instance yet": unseen(
        *(NAMELESS, row(), NO_ROW),
        delete=[deleted()],
        status=[NOT_FOUND],
        calls=["poll"] * 2 + ONCE,
        left=State.GONE,
    ),
    "a row that never names one": unseen(
        NAMELESS, ..., why="the router has a row for its key, but names no instance"
    ),
    "no row, accepted": unseen(
        *(NO_ROW, ...), was=State.ACCEPTED, kinds={"poll"}, why=ACCEPTED, no_row=True, waited=59.5
    ),
    "no row, requested": unseen(NO_ROW, ..., kinds={"poll"}, why=PERHAPS, no_row=True, waited=59.5),
    "no time to wait for a row": unseen(
        NO_ROW, policy=policy_of(row_wait=LAST_CHANCE), why=PERHAPS, no_row=True, waited=0
    ),
    "no row at the deadline": unseen(
        AtDeadline(NO_ROW), policy=policy_of(row_wait=9), why=PERHAPS, no_row=True, waited=9
    ),
    "a last look for a row that fails": unseen(
        *[NO_ROW] * 10, reply(503), ..., why="poll was refused with 503"
    ),
    "a key that can't be resolved": unseen(reply(401), why="poll was refused with 401"),
    "nobody's id": unseen(
        *(NO_ROW, ...),
        known=ID,
        status=[NOT_FOUND],
        delete=[deleted()],
        kinds={"poll", "status", "delete"},
        why=PERHAPS,
        no_row=True,
    ),
    "an id that is gone": unseen(
        *(NO_ROW, ...),
        was=State.ACCEPTED,
        known=ID,
        status=[status("deleted")],
        delete=[deleted()],
        kinds={"poll", "status", "delete"},
        why=ACCEPTED,
        no_row=True,
    ),
    "an id of which nothing is known": unseen(
        *(NO_ROW, ...),
        known=ID,
        status=[reply(500), ...],
        delete=[reply(500), ...],
        why="its key has no row, and its status proves nothing: status was refused with 500",
    ),
    # In a hurry.
    "confirmed in time": Case(TAKEN, [*RUNNING[:1] * 2, NOT_FOUND], patience=3, waited=0.5),
    "a last look": Case(
        TAKEN, RUNNING, patience=3, left=State.DELETING, why=STAYS.format(2), waited=2.5
    ),
    "one delete and one look": Case(TAKEN, [NOT_FOUND], calls=ONCE, patience=LAST_CHANCE, waited=0),
    "one delete and one look, alive": Case(
        TAKEN,
        RUNNING,
        calls=AGAIN,
        patience=LAST_CHANCE,
        left=State.DELETING,
        why=STAYS.format(0),
        waited=0,
    ),
    "a delete that hangs": Case(
        [HANG, ...],
        RUNNING,
        calls=AGAIN,
        patience=3,
        left=State.READY,
        why="delete: no answer in time; status: no answer in time 3 s after the delete",
        waited=3,
    ),
    "more patience than time": Case(
        TAKEN,
        RUNNING,
        policy=policy_of(delete_timeout=9),
        patience=30,
        left=State.DELETING,
        why=STAYS.format(8),
        waited=8.5,
    ),
    "a signal before a row": unseen(
        NO_ROW, ..., kinds={"poll"}, patience=3, why=SIGNAL, waited=2.5
    ),
    "a signal before a row, an id is known": unseen(
        *(NO_ROW, ...),
        known=ID,
        status=[NOT_FOUND],
        delete=[NOT_FOUND],
        kinds={"poll", "status", "delete"},
        patience=3,
        why=SIGNAL,
        waited=2.5,
    ),
    "hardly any patience with a key": unseen(NO_ROW, patience=LAST_CHANCE, why=SIGNAL, waited=0),
    "less than that": unseen(NO_ROW, patience=0.1, why=SIGNAL, waited=0),
    "a row in time": unseen(
        *(NO_ROW, NO_ROW, row(), NO_ROW),
        was=State.ACCEPTED,
        known=ID,
        delete=[deleted()],
        status=[NOT_FOUND],
        patience=3,
        left=State.GONE,
        waited=0.5,
    ),
    "as much patience as time for a row": unseen(
        NO_ROW, ..., patience=60, why=PERHAPS, no_row=True, waited=59.5
    ),
    "a poll that fails in a hurry": unseen(reply(503), ..., patience=3, why=SIGNAL, waited=2.5),
    # Leaks.
    "it stays": Case(TAKEN, RUNNING, left=State.DELETING, why=STAYS.format(60), waited=59.5),
    "it is there at the deadline": Case(
        TAKEN,
        [AtDeadline(status("running"))],
        policy=policy_of(delete_timeout=9),
        left=State.DELETING,
        why=STAYS.format(9),
        waited=9,
    ),
    "delete never answers": Case(
        [HANG, ...],
        RUNNING,
        left=State.READY,
        why="delete: no answer in time; status: no answer in time 60 s after the delete",
    ),
    **{
        f"delete answers {code}": Case(
            [reply(code), ...],
            RUNNING,
            left=State.READY,
            why=f"delete was refused with {code}; {STAYS.format(60)}",
        )
        for code in (500, 422, 302)
    },
    "router gone": Case(
        [refused(), ...],
        [refused(), ...],
        left=State.READY,
        why=f"delete: {NOT_REACHED}; status: {NOT_REACHED} 60 s after the delete",
    ),
    "status refused": Case(
        TAKEN, [reply(401)], left=State.DELETING, why="status was refused with 401"
    ),
    "status broken": Case(
        TAKEN,
        [reply(200, b"{}"), ...],
        left=State.DELETING,
        why=f"status {BROKEN} 60 s after the delete",
    ),
    "status lost": Case(
        TAKEN,
        [lost(), ...],
        left=State.DELETING,
        why="status: the answer was lost (reset) 60 s after the delete",
    ),
    "second delete refused": Case(
        [deleted(), reply(403)],
        RUNNING,
        left=State.DELETING,
        why="delete was refused with 403",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_deletion_is_confirmed_or_a_leak_that_says_why(name: str) -> None:
    case = CASES[name]
    it = record(state=case.was, id=case.known)
    it.deletion_asked = True
    io, calls = calls_of(it, delete=case.delete, status=case.status, poll=case.poll)
    io.hurried = START + case.patience
    error = None
    try:
        drive(delete(calls, it, case.policy))
    except LeakError as leak:
        error = leak
    assert it.state is case.left
    assert (error is None) is (case.left is State.GONE)
    if error is not None:
        told = re.sub(r" \(\d+ attempts\)", "", error.message)
        assert told == f"not confirmed as deleted, it may still run: {case.why}"
        assert error.next_step == "hydra-smoke sweep --run-id night"
        assert isinstance(error.__cause__, NoRowError) is case.no_row
        if case.left is State.DELETING and case.why.startswith("status '"):
            assert io.calls_sent()[-1] == "status"
            assert str(error.last).startswith("status '")
    assert list(it.notes) == [] or "delete" in io.calls_sent()
    assert case.calls is None or io.calls_sent() == case.calls
    assert case.kinds is None or set(io.calls_sent()) == case.kinds
    assert io.waited <= (60 if case.was is State.READY else 65)
    if case.waited is not None:
        assert io.waited == pytest.approx(case.waited)


def test_what_delete_answers_confirms_nothing() -> None:
    for word in (deleted("deleted"), deleted("DELETED"), NOT_FOUND, reply(409), reply(410)):
        for earlier in ([], [deleted("x")]):
            it = record(state=State.READY, id=ID)
            it.deletion_asked = True
            scripts = {"delete": [*earlier, word, ...], "status": RUNNING, "poll": [NO_ROW, ...]}
            io, calls = calls_of(it, **scripts)
            with pytest.raises(LeakError):
                drive(delete(calls, it, POLICY))
            taken = bool(earlier) or word.status == 200
            assert it.state is (State.DELETING if taken else State.READY)
            assert len(io.calls_sent("status")) > 5
