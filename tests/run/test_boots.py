"""What is told of one delete, boot or look is no word on another one's."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest
from truth import Machine, Manner, Truth
from truth_place import (
    Place,
    Scripted,
    by_hand,
    refusing,
    router_of,
)
from truth_seam import Killed, open_keys, threads_may_be_killed

from pytest_hydrasmoke import HydraSmokeError, SmokeInstanceFactory


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Let them come when they come: on made-up time that costs nothing."""


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


def test_a_ready_one_in_the_place_of_one_that_boots_ends_no_boot(tmp_path: Path) -> None:
    manner = Manner(row_after=1.0, boot=45.0, finishes=True, second_delete=200)
    place = Place(tmp_path, manner, ready_timeout=8.0)
    truth = place.truth

    def replace(machine: Machine) -> int:
        if len(truth.machines) == 1:
            now = place.clock.now()
            truth.machines.append(Machine(machine.key, 99, now, now))
        return delete(machine)

    delete, truth.delete = truth.delete, replace  # type: ignore[method-assign]
    with pytest.raises(HydraSmokeError):
        place.process.run.provision(place.process.spec)
    place.process.end()
    assert open_keys(place.output) == {"run-0"}
    place.pass_time(60.0)
    place.sweep()
    assert truth.left() == []


@pytest.mark.parametrize("word", ["queued", "deleted", None, "running"])
def test_a_row_that_is_kept_with_its_last_word_is_no_boot_for_ever(
    tmp_path: Path, word: str | None
) -> None:
    manner = Manner(row_after=1.0, boot=300.0, keeps_row=True, key_word=word)
    place = Place(tmp_path, manner, ready_timeout=20.0)
    with pytest.raises(HydraSmokeError):
        place.process.run.provision(place.process.spec)
    place.process.end()
    for seconds in (100.0, 2000.0):
        place.pass_time(seconds)
        place.sweep()
    assert open_keys(place.output) == set()


def test_the_boot_of_what_is_provisioned_by_hand_is_over_once_it_is_called_ready(
    tmp_path: Path,
) -> None:
    for asks in ("poll", "status"):
        place = Place(tmp_path / asks, Manner(row_after=1.0, boot=5.0))
        client = by_hand(place)
        with SmokeInstanceFactory(place.process.run).own("once") as key:
            client.provision(place.process.spec, key)
            place.pass_time(3.0)
            found = client.poll(key)
            place.pass_time(30.0)
            assert (
                client.poll(key).found if asks == "poll" else client.status(found.instance_id or "")
            )
            place.pass_time(3600.0)
        place.process.end()
        place.pass_time(120.0)
        place.sweep()
        assert open_keys(place.output) == set(), asks


def test_an_instance_in_anothers_place_may_boot_as_a_sweep_comes(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(row_after=1.0, boot=2.0))
    place.process.run.provision(place.process.spec)
    place.process.kill()
    place.pass_time(3600.0)
    [machine] = place.truth.machines
    place.truth.manner = Manner(row_after=0.0, boot=45.0, finishes=True, second_delete=200)
    machine.deleted_at.append(place.clock.now())
    place.truth.provision(machine.key)
    for seconds in (0.0, 100.0):
        place.pass_time(seconds)
        place.sweep()
    assert place.truth.left() == []


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
