"""What is told of one request, claim or look is no word on another one."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
from lies import Lie, on
from starlette.responses import JSONResponse, Response
from truth import Machine, Manner
from truth_app import AnswerError
from truth_place import (
    Place,
    Scripted,
    by_hand,
    provision,
    refusing,
    router_of,
    states_in,
    unreachable,
)
from truth_seam import FOREVER, Killed, open_keys, threads_may_be_killed

from pytest_hydrasmoke import HydraSmokeError, SmokeInstanceFactory
from pytest_hydrasmoke._base.errors import TransportError
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.sharing import EVERYBODY, OF_A_CHECK, Sharing, Wanted


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Let them come when they come: on made-up time that costs nothing."""


# Of a request


def test_a_run_that_is_over_by_then_sends_no_further_attempt(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=1.0), Scripted)

    def made(key: str) -> Response:
        place.truth.provision(key)
        place.process.run.end()  # A sweep, or the main process, in the meantime.
        raise AnswerError(429, "Too Many Requests", **{"retry-after": "20"})

    router_of(place).script = [made]
    with pytest.raises(HydraSmokeError, match="run run is over"):
        place.process.run.provision(place.process.spec)
    assert router_of(place).provisions == 1
    assert place.process.end() == {"run-0": "deleted"}
    assert place.truth.left() == []


@pytest.mark.parametrize("second", ["refused", "unreached"])
def test_what_came_of_a_second_request_says_nothing_of_the_first(
    tmp_path: Path, second: str
) -> None:
    place = Place(tmp_path, Manner(row_after=20.0), Scripted)

    def nameless(key: str) -> Response:
        place.truth.provision(key)
        return JSONResponse({"idempotency_key": key})  # It lacks a field: nobody knows what it is.

    router, client = router_of(place), by_hand(place)
    router.script = [nameless, refusing(422)]
    with SmokeInstanceFactory(place.process.run).own("once") as key:
        with pytest.raises(HydraSmokeError):
            client.provision(place.process.spec, key)
        down = unreachable(place) if second == "unreached" else contextlib.nullcontext()
        with down, pytest.raises(HydraSmokeError):
            client.provision(place.process.spec, key)
    assert place.process.end() == {"run-once": "deleted"}
    assert place.truth.left() == []


def test_what_was_refused_is_asked_for_though_a_further_request_did_not_leave(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Manner(row_after=1.0), Scripted)
    router_of(place).script = [refusing(422, made=place.truth)]
    client = by_hand(place)
    with SmokeInstanceFactory(place.process.run).own("once") as key:
        for down in (contextlib.nullcontext(), unreachable(place)):
            with down, pytest.raises(HydraSmokeError):
                client.provision(place.process.spec, key)
    place.process.end()
    assert place.truth.left() == []
    assert "did it all the same" in str(place.process.run.instances[0].conflict)


TASK = {"task_id": "t", "instance_id": None}
FURTHER: dict[str, Any] = {
    # What the router answers to it, as far as it says anything.
    "without an id": lambda key: JSONResponse({"idempotency_key": key, **TASK}),
    "of another key": lambda _: JSONResponse({"idempotency_key": "another", **TASK}),
    "without a field": lambda key: JSONResponse({"idempotency_key": key}),
    "lost": lambda _: None,
}


def deleted(place: Place) -> str:
    """Provision an instance, and delete it; return its key."""
    instance = place.process.run.provision(place.process.spec)
    instance.delete()
    return str(instance.idempotency_key)


@pytest.mark.parametrize("answer", FURTHER)
def test_a_further_request_for_a_deleted_key_may_have_made_another_instance(
    tmp_path: Path, answer: str
) -> None:
    place = Place(tmp_path, Manner(row_after=5.0), Scripted)
    key = deleted(place)

    def made(key: str) -> Response:
        place.truth.provision(key)
        return FURTHER[answer](key)

    router_of(place).script = [made, refusing(503), refusing(503), refusing(503)]
    with contextlib.suppress(HydraSmokeError):
        by_hand(place).provision(place.process.spec, key)
    assert place.process.end() == {"run-0": "deleted"}
    assert place.truth.left() == []


@pytest.mark.parametrize("row", [0.5, 15.0])
def test_a_further_request_whose_answer_names_its_instance_is_deleted_too(
    tmp_path: Path, row: float
) -> None:
    place = Place(tmp_path, Manner(row_after=1.0), Scripted)
    key = deleted(place)
    place.truth.manner = Manner(row_after=row)
    by_hand(place).provision(place.process.spec, key)
    assert place.process.end() == {"run-0": "deleted"}
    assert place.truth.left() == []


@pytest.mark.parametrize("sent", [True, False])
def test_a_further_request_that_made_nothing_changes_nothing(tmp_path: Path, sent: bool) -> None:
    place = Place(tmp_path, Manner(row_after=1.0), Scripted)
    key = deleted(place)
    router_of(place).script = [refusing(422)]
    with contextlib.nullcontext() if sent else unreachable(place), pytest.raises(HydraSmokeError):
        by_hand(place).provision(place.process.spec, key)
    began = place.clock.now()
    assert place.process.end() == {"run-0": "deleted"}
    assert (open_keys(place.output), place.clock.now() - began < 15.0) == (set(), True)


def test_what_never_left_by_the_time_the_run_is_over_is_not_waited_for(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(), Scripted)
    run = place.process.run

    async def fail(io: Any, request: Any, deadline: float) -> Response:
        if request.call != "provision":
            return await answer(io, request, deadline)
        await io.sleep(0.0)
        run.end()
        raise TransportError("no connection", reached=False)

    kind = type(run._io)
    answer = kind._answer  # type: ignore[attr-defined]
    kind._answer = fail  # type: ignore[attr-defined]
    try:
        with pytest.raises(HydraSmokeError, match="run run is over"):
            run.provision(place.process.spec)
    finally:
        kind._answer = answer  # type: ignore[attr-defined]
    began = place.clock.now()
    place.process.end()
    assert (open_keys(place.output), place.clock.now() == began) == (set(), True)


def test_what_its_key_has_named_is_no_more_asked_for(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(), Scripted)
    run = place.process.run

    def busy(key: str) -> Response:
        [instance] = run.instances
        # As another client's poll may, meanwhile.
        instance.names(place.truth.provision(key).id, place.clock.now())
        raise AnswerError(429, "Too Many Requests", **{"retry-after": "1"})

    router_of(place).script = [busy]
    run.provision(place.process.spec)
    assert states_in(place).count(State.REQUESTED) == 1
    assert place.process.end() == {"run-0": "deleted"}


# Of a claim


@pytest.mark.parametrize("second", ["refused", "unreached"])
def test_a_name_that_is_owned_again_is_another_key(tmp_path: Path, second: str) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=45.0, finishes=True), Scripted)
    client = by_hand(place)
    provision(place, client, "again")
    router_of(place).script = [refusing(422)]
    with unreachable(place) if second == "unreached" else contextlib.nullcontext():
        provision(place, client, "again")
    place.process.end()
    assert "run-again" in open_keys(place.output), "it was deleted in its boot"
    place.pass_time(60.0)
    assert place.sweep()[0] is False
    assert (place.truth.left(), open_keys(place.output)) == ([], set())


def test_a_refused_key_that_is_owned_again_is_the_same_claim(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=1.0), Scripted)
    client = by_hand(place)
    router_of(place).script = [refusing(422), refusing(422, made=place.truth)]
    for _ in range(2):
        provision(place, client, "without_tier_id")
    place.process.end()
    # Also by a sweep without a ledger: it knows the names of the bundled checks.
    assert [it.key for it in place.process.run.instances] == ["run-without_tier_id"]
    assert place.truth.left() == []


def test_a_claim_that_another_process_has_booted_is_its_instance(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=1.0))
    config, world, spec = place.process.config, place.world, place.process.spec
    ledger = Ledger(place.output, "run")
    ledger.begin("gw1")
    other = Run(config, ledger, absent=place.process.run.absent)
    other._io = world.io(config.link)
    one, two = (Sharing(it, worker=True) for it in (place.process.run, other))
    world.router.lie([Lie(503, {"detail": "no"})])
    world.lives = 3
    with threads_may_be_killed(), pytest.raises(Killed):
        one.take(spec, EVERYBODY, "test_1")
    one.release()
    world.lives = FOREVER
    world.router.lie([])
    booted = two.take(spec, EVERYBODY, "test_2")
    two.release()
    assert one.take(spec, EVERYBODY, "test_3").id == booted.id
    one.release()
    other.close()
    ledger.end()
    place.process.end()


def test_what_is_asked_for_already_is_asked_for_again_though_the_one_beside_failed(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=500.0), Scripted)
    run, spec = place.process.run, place.process.spec
    sharing = Sharing(
        run, worker=False, certain=[Wanted(spec, EVERYBODY), Wanted(spec, OF_A_CHECK)]
    )

    def busy(key: str) -> Response:
        raise AnswerError(429, "Too Many Requests", **{"retry-after": "10"})

    def failing(machine: Machine, by: str) -> tuple[bool, str | None]:
        found, word = seen(machine, by)
        fails = word == "queued" and place.clock.now() > machine.row_at + 1
        return found, "failed" if fails else word

    router_of(place).script = [None, busy]
    seen, place.truth.seen = place.truth.seen, failing  # type: ignore[method-assign]
    with pytest.raises(HydraSmokeError):
        sharing.take(spec, EVERYBODY, "test_1")
    assert set(place.process.end().values()) == {"deleted"}
    assert place.truth.left() == []


@pytest.mark.parametrize("deleted", [True, False])
def test_a_time_limit_in_the_first_question_leaves_one_claim(tmp_path: Path, deleted: bool) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=1.0))
    run, world = place.process.run, place.world
    sharing = Sharing(run, worker=False)
    world.router.lie([Lie(503, {"detail": "no"})])
    world.lives = 3
    with threads_may_be_killed(), pytest.raises(Killed):
        sharing.take(place.process.spec, EVERYBODY, "test_1")
    sharing.release()
    world.lives = FOREVER
    world.router.lie([])
    sharing.take(place.process.spec, EVERYBODY, "test_2")
    sharing.release()
    world.router.lie([] if deleted else [Lie(503, {"detail": "no"}, on("delete"))])
    assert place.process.end() == {"run-0": "deleted" if deleted else "leaked"}
    assert (len(run.instances), open_keys(place.output)) == (1, set() if deleted else {"run-0"})


# Of a look


def test_a_leak_that_the_last_look_has_found_stays_one(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=3.0, boot=4.0, deaf=math.inf, stale=8.0))
    run = place.process.run
    run.provision(place.process.spec).delete()
    place.world.router.lie([Lie(0, "", on("status"), None, True)])
    run.close()
    run.look_back()
    [instance] = run.instances
    assert "only a later look could have proved it" in str(instance.leak)
    run.close()
    assert instance.leak is not None
    assert place.process.end() == {"run-0": "leaked"}
