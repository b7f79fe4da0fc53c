"""What is told of one request, delete, boot or claim is no word on another one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lies import Lie, on
from starlette.responses import JSONResponse, Response
from truth import Machine, Manner, Truth
from truth_app import AnswerError, TrueRouter
from truth_place import Place
from truth_seam import FOREVER, Killed, open_keys, threads_may_be_killed

from pytest_hydrasmoke import HydraSmokeError, SmokeClient, SmokeInstanceFactory
from pytest_hydrasmoke._base.errors import TransportError
from pytest_hydrasmoke._plugin.fixtures import RunClient
from pytest_hydrasmoke._run.sharing import EVERYBODY, Sharing


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Let them come when they come: on made-up time that costs nothing."""


class Scripted(TrueRouter):
    """A router whose provisions are answered by a script, each for one call of it."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self.script: list[Any] = []
        self.provisions = 0

    def _provision(self, key: str, faults: Any, *, known: bool) -> Response:
        self.provisions += 1
        step = self.script.pop(0) if self.script else None
        return super()._provision(key, faults, known=known) if step is None else step(key)


def router_of(place: Place) -> Scripted:
    assert isinstance(place.world.router, Scripted)
    return place.world.router


def refusing(code: int, *, late: float = 0.0, made: Truth | None = None) -> Any:
    """Refuse a provision, which may be carried out all the same."""

    def step(key: str) -> Response:
        if made is not None:
            made.provision(key, late)
        raise AnswerError(code, "no")

    return step


def by_hand(place: Place) -> SmokeClient:
    return RunClient(place.world.io(place.process.config.link), place.process.run)


@contextmanager
def unreachable(place: Place) -> Iterator[None]:
    """Let no request leave."""

    async def fail(*_: object) -> Response:
        await place.process.run._io.sleep(0.0)
        raise TransportError("no connection", reached=False)

    kind = type(place.process.run._io)
    answer = kind._answer  # type: ignore[attr-defined]
    kind._answer = fail  # type: ignore[attr-defined]
    try:
        yield
    finally:
        kind._answer = answer  # type: ignore[attr-defined]


def provision(place: Place, client: SmokeClient, name: str, *, times: int = 1) -> None:
    """Own a key, and provision under it, whatever comes of that."""
    with SmokeInstanceFactory(place.process.run).own(name) as key:
        for _ in range(times):
            with contextlib.suppress(HydraSmokeError):
                client.provision(place.process.spec, key)


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


def test_a_further_request_for_a_deleted_key_may_have_made_another_instance(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Manner(row_after=5.0), Scripted)
    instance = place.process.run.provision(place.process.spec)
    instance.delete()

    def unnamed(key: str) -> Response:
        place.truth.provision(key)
        return JSONResponse({"idempotency_key": key, "instance_id": None, "task_id": "t"})

    router_of(place).script = [unnamed]
    by_hand(place).provision(place.process.spec, str(instance.idempotency_key))
    assert place.process.end() == {"run-0": "deleted"}
    assert place.truth.left() == []


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


# Of a delete, and a boot


class Dropping(Truth):
    """A deletion is under way for five minutes, and then dropped."""

    def ended_at(self, machine: Machine) -> float:
        return math.inf

    def seen(self, machine: Machine, by: str) -> tuple[bool, str | None]:
        asked = machine.deleted_at
        under_way = asked and self.clock.now() < asked[-1] + 300.0
        return True, "deleting" if under_way else "running"

    def delete(self, machine: Machine) -> int:
        first = not machine.deleted_at
        if first:
            machine.deleted_at.append(self.clock.now())
        return 200 if first else 409


def test_a_delete_of_a_sweep_is_no_older_than_that_sweep(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=1.0), truth=Dropping)
    place.process.run.provision(place.process.spec)
    place.process.kill()
    place.pass_time(3600.0)
    for seconds in (0.0, 60.0):
        place.pass_time(seconds)
        _, said = place.sweep()
        assert said[0].startswith("deleting "), said
    assert open_keys(place.output) == {"run-0"}


def test_a_boot_that_was_seen_to_go_on_may_go_on(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=3.0, boot=300.0, finishes=True), ready_timeout=900.0)
    step, world = place.world.step, place.world

    def mortal() -> None:
        place.ages.follow()
        step()
        if place.clock.now() >= 100.0:
            raise Killed

    world.step = mortal  # type: ignore[method-assign]
    with threads_may_be_killed(), contextlib.suppress(Killed):
        place.process.run.provision(place.process.spec)
    world.step = step  # type: ignore[method-assign]
    place.process.kill()
    for seconds in (5.0, 110.0):
        place.pass_time(seconds)
        _, said = place.sweep()
        assert said[0].startswith("booting "), said
    place.pass_time(900.0)
    assert place.sweep()[0] is False
    assert (place.truth.left(), open_keys(place.output)) == ([], set())


def test_a_run_that_gave_a_boot_up_was_no_witness_of_its_end(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=3.0, boot=115.0, finishes=True))
    with pytest.raises(HydraSmokeError, match="not ready in time"):
        place.process.run.provision(place.process.spec)
    place.process.end()
    place.pass_time(62.0)
    _, said = place.sweep()
    assert said[0].startswith("booting "), said
    place.pass_time(60.0)
    assert place.sweep()[0] is False
    assert (place.truth.left(), open_keys(place.output)) == ([], set())


def test_an_instance_that_its_router_has_put_in_anothers_place_boots_anew(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=2.0))
    place.process.run.provision(place.process.spec)
    [machine] = place.truth.machines
    place.truth.manner = Manner(row_after=0.0, boot=45.0, finishes=True, second_delete=200)
    machine.deleted_at.append(place.clock.now())
    place.truth.provision(machine.key)
    assert place.process.end() == {"run-0": "deleted"}
    assert open_keys(place.output) == {"run-0"}
    place.pass_time(60.0)
    place.sweep()
    assert place.truth.left() == []


def test_a_refused_key_is_asked_for_when_rows_of_its_run_are_there(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=8.0, boot=2.0), Scripted)
    run = place.process.run
    run.provision(place.process.spec)
    router_of(place).script = [refusing(403, late=8.0, made=place.truth)]
    with pytest.raises(HydraSmokeError, match="refused with 403"):
        run.provision(place.process.spec)
    # As after a signal: there is no last look.
    run.close()
    run.ledger.mark_ended()
    run.ledger.end()
    place.pass_time(1.0)
    assert place.sweep()[0] is False
    assert place.truth.left() == []


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
