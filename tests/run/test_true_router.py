"""Whole runs and sweeps at routers whose answers are not what is so, on made-up time.

`-m kill` has all of them, with processes; `test_truth_machine.py` has lives of chance.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest
from lies import Lie, on
from truth import TOKEN, Manner
from truth_place import Place, by_hand
from truth_seam import FOREVER, Ages, Killed, open_keys, sweep

from pytest_hydrasmoke import HydraSmokeError, RouterError, SmokeInstanceFactory
from pytest_hydrasmoke._run.last_look import AT_ONCE
from pytest_hydrasmoke._run.swept_run import AHEAD, NAMES


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Let them come when they come: on made-up time that costs nothing."""


def test_a_row_that_stays_is_known_from_the_first_deletion_on(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(keeps_row=True, second_delete=404))
    took: list[float] = []
    for instance in SmokeInstanceFactory(place.process.run).many(2):
        began = place.clock.now()
        instance.delete()
        took.append(place.clock.now() - began)
    assert place.truth.left() == []
    assert took[1] < took[0], "what it keeps is known by then"
    [note], none = [[*instance.notes] for instance in place.process.run.instances]
    assert note == (
        "the router keeps the row of a deleted instance: as 'running'. It counts as gone once "
        "that has held, and a further delete has found nothing"
    )
    assert none == []
    assert set(place.process.end().values()) == {"deleted"}


def test_a_delete_that_did_nothing_is_sent_again(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(deaf=1, hidden=1.0))
    place.process.run.provision(place.process.spec)
    assert place.process.end() == {"run-0": "deleted"}
    assert place.truth.left() == []


def test_a_row_that_comes_back_is_found_by_the_sweep_of_a_killed_run(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(deaf=1, hidden=1.0, hides_key=True))
    place.process.run.provision(place.process.spec)
    place.process.kill()
    left, said = sweep(place.world, place.output, None, 9.0, **place.limits)
    assert (left, place.truth.left()) == (False, []), said
    assert [line for line in said if line.startswith("deleted ")]


def test_what_was_refused_and_made_is_told_or_ended(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(refuses=422))
    with contextlib.suppress(HydraSmokeError):
        place.process.run.provision(place.process.spec)
    assert place.process.end().keys() == {"run-0"}
    if place.truth.left():
        left, said = sweep(place.world, place.output, None, 9.0, **place.limits)
        assert not left, said
    assert place.truth.left() == []


STALE = [
    Lie(404, {"detail": "Instance not found"}, on("status", "malformed", "delete")),
    Lie(200, {"found": False, "instance_id": None, "status": None}, on("poll")),
]
"""What a replica says that does not know the instance yet."""


def test_a_delete_behind_which_a_killed_run_saw_it_alive_is_none_to_its_sweep(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Manner(deaf=1))
    instance = place.process.run.provision(place.process.spec)
    place.clock.advance(60)
    place.world.lives = 2 * len(["status", "delete", "status"])
    with pytest.raises(Killed):
        instance.delete()
    place.world.lives = FOREVER
    place.process.kill()
    place.world.router.lie(STALE, times=12)
    left, said = sweep(place.world, place.output, None, 9.0, **place.limits)
    assert (left, place.truth.left()) == (False, []), said


@pytest.mark.parametrize("lag", [3.0, 8.0])
def test_a_young_instance_is_not_gone_while_a_replica_may_not_know_it_yet(
    tmp_path: Path, lag: float
) -> None:
    place = Place(tmp_path, Manner(deaf=1, stale=lag))
    place.process.run.provision(place.process.spec)
    assert place.process.end() == {"run-0": "leaked"}, "its last look has seen it alive"
    assert place.truth.left() == []


@pytest.mark.parametrize("by", [None, "run"])
def test_a_sweep_waits_until_a_replica_would_know_the_instance(
    tmp_path: Path, by: str | None
) -> None:
    place = Place(tmp_path, Manner(deaf=1, stale=8.0))
    place.process.run.provision(place.process.spec)
    place.process.kill()
    output = place.output if by is None else tmp_path / "elsewhere"
    left, said = sweep(place.world, output, by, 9.0, **place.limits)
    assert (left, place.truth.left()) == (False, []), said


def test_what_waits_for_its_last_look_keeps_no_other_from_its_own(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(takes=1.0))
    run, spec = place.process.run, place.process.spec
    young = run.claim(spec, AT_ONCE)
    for _ in range(4 * AT_ONCE):
        run.provision(spec)
    place.clock.advance(60)
    run.boot(young)
    assert set(place.process.end().values()) == {"deleted"}
    assert [note for it in run.instances for note in it.notes] == [], "each was reached in time"


def test_what_has_long_been_known_is_not_waited_for(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner())
    place.process.run.provision(place.process.spec)
    place.clock.advance(10)
    began = place.clock.now()
    assert place.process.end() == {"run-0": "deleted"}
    assert place.clock.now() - began == 2


def test_a_replica_shows_late_that_the_last_of_several_deletes_did_nothing(tmp_path: Path) -> None:
    manner = Manner(lag=3.0, deaf=math.inf, hidden=1.0, hides_key=True)
    place = Place(tmp_path, manner)
    place.process.run.provision(place.process.spec)
    place.clock.advance(60)
    place.process.kill()
    left, said = sweep(place.world, place.output, None, 9.0, **place.limits)
    assert left, said


@pytest.mark.parametrize("ends", ["killed", "leaked", "killed behind a delete"])
def test_a_sweep_that_knows_of_a_delete_in_vain_looks_ten_seconds_after_its_own(
    tmp_path: Path, ends: str
) -> None:
    place = Place(tmp_path, Manner(deaf=math.inf, hidden=7.0, hides_key=True))
    instance = place.process.run.provision(place.process.spec)
    if ends == "leaked":
        assert place.process.end() == {"run-0": "leaked"}
    elif ends == "killed behind a delete":
        ages = Ages(tmp_path, place.clock)
        place.clock.advance(60)
        place.world.lives = 2 * len(["status", "poll", "delete"])
        with pytest.raises(Killed):
            instance.delete()
        place.world.lives = FOREVER
        ages.follow()
        place.clock.advance(20)
        ages.follow()
    if ends != "leaked":
        place.process.kill()
    place.clock.advance(20)
    left, said = sweep(place.world, place.output, None, 9.0, **place.limits)
    assert left, said


def test_a_delete_that_takes_a_moment_is_looked_at_ten_seconds_after(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(lag=0.5, second_delete=200))
    place.process.run.provision(place.process.spec)
    place.clock.advance(60)
    began = place.clock.now()
    assert place.process.end() == {"run-0": "deleted"}
    assert 10 < place.clock.now() - began < 11


# What sweeps do with what is known


NO = {"detail": "no"}


def test_a_run_that_has_ended_is_one_line_one_pass_and_no_wait_for_rows(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner())
    run, spec = place.process.run, place.process.spec
    run.provision(spec)
    place.world.router.lie([Lie(403, NO, on("provision"))])
    with pytest.raises(RouterError):
        run.provision(spec)
    place.world.router.lie([])
    place.process.end()
    assert open_keys(place.output) == {"run-1"}, "a refused key is for a sweep to close"
    before, began = len(place.truth.requests), place.clock.now()
    left, said = sweep(place.world, place.output, "run", 60.0)
    ledger = run.ledger.folder / "ledger.jsonl"
    assert not left
    [line] = said
    assert line.startswith(f"nothing was found of run run: no row under slots 0-{1 + AHEAD}, nor ")
    assert line.endswith(f"; but for the keys in {ledger}, a row that is still to come is not seen")
    # What is younger than three seconds by its file's time is asked for twice.
    assert place.clock.now() - began <= 3
    polled = [it.about for it in place.truth.requests[before:] if it.call == "poll"]
    assert {*polled} >= {f"run-{slot}" for slot in (*range(2 + AHEAD), *NAMES)}
    assert [key for key in polled if polled.count(key) > 1] == ["run-1", "run-1"]


def test_a_leak_that_has_vanished_since_is_told_though_its_run_has_ended(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner())
    run = place.process.run
    leaked = run.provision(place.process.spec).id
    place.world.router.lie([Lie(403, NO, on("delete"))])
    run.close()
    run.ledger.mark_ended()
    run.ledger.end()
    assert run.instances[0].leak is not None
    place.world.router.lie([])
    place.truth.machines.clear()
    left, (line, _) = sweep(place.world, place.output, None, 60.0)
    assert (left, line) == (False, f"gone     {leaked} (key run-0)")


@pytest.mark.parametrize("key", ["ci-demo-7", "run-mine", "run-3", "a b?#é"])
def test_what_a_killed_runs_client_made_is_swept(tmp_path: Path, key: str) -> None:
    place = Place(tmp_path, Manner())
    by_hand(place).provision(place.process.spec, key)
    assert open_keys(place.output) == {key}
    place.process.kill()
    left, said = place.sweep()
    assert not left, said
    assert next(line for line in said if f"(key {key})" in line).startswith("deleted ")
    assert not place.truth.alive()
    # It was young: it is swept once more.
    place.pass_time(4000.0)
    assert place.sweep()[0] is False
    assert open_keys(place.output) == set()


def test_what_another_token_made_is_asked_with_it_and_is_unsure_to_a_sweep(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Manner(tenants=True))
    other = by_hand(place).with_token("made-up-token-of-another-tenant")
    other.provision(place.process.spec, "theirs")
    assert place.process.end() == {"theirs": "deleted"}
    assert not place.truth.alive()

    place = Place(tmp_path / "booting", Manner(tenants=True, boot=30.0))
    other = by_hand(place).with_token("made-up-token-of-another-tenant")
    other.provision(place.process.spec, "theirs")
    assert place.process.end() == {"theirs": "deleted"}
    left, (line, *_) = place.sweep()
    assert (left, open_keys(place.output)) == (False, {"theirs"})
    assert line.startswith("booting  (key theirs): was booting, deleted; sweep again in ")
    place.pass_time(4000.0)
    assert (place.sweep()[0], open_keys(place.output)) == (False, set())

    # One look proves nothing for good: a run that was killed before its last look is not believed.
    place = Place(tmp_path / "early", Manner(tenants=True, boot=30.0))
    other = by_hand(place).with_token("made-up-token-of-another-tenant")
    other.provision(place.process.spec, "theirs")
    place.process.run.close()
    place.process.kill()
    place.pass_time(4000.0)
    assert (place.sweep()[0], open_keys(place.output)) == (True, {"theirs"})

    # A run that is killed has told nobody its other token.
    place = Place(tmp_path / "killed", Manner(tenants=True))
    other = by_hand(place).with_token("made-up-token-of-another-tenant")
    found = other.provision(place.process.spec, "theirs")
    place.pass_time(60.0)
    other.status(found.instance_id or "")
    place.process.kill()
    for _ in range(2):
        place.pass_time(4000.0)
        left, said = place.sweep()
        assert (left, len(place.truth.alive())) == (True, 1)
        line = "unsure   (key theirs): a test asked for it with another token: ask with that one"
        assert line in said
    # Where both tokens are of one tenant, a sweep does find it.
    place.truth.machines[0].owner = f"Bearer {TOKEN}"
    left, said = place.sweep()
    assert not left
    assert f"deleted  {found.instance_id} (key theirs)" in said
    assert not place.truth.alive()


def test_what_a_dead_workers_other_token_made_is_a_leak(tmp_path: Path) -> None:
    place = Place(tmp_path, Manner(tenants=True))
    other = by_hand(place).with_token("made-up-token-of-another-tenant")
    found = other.provision(place.process.spec, "theirs")
    place.pass_time(60.0)
    other.status(found.instance_id or "")
    run = place.process.run
    run.instances.clear()
    run.adopt({})
    assert place.process.end() == {"theirs": "leaked"}


def test_what_is_still_deleting_is_accepted_for_ten_minutes_and_left_after_that(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, Manner(deleting=30_000.0))
    place.process.run.provision(place.process.spec)
    place.process.kill()
    still = "LEFT     {} (key run-0): still deleting after {} min; ask who runs the router"
    [machine] = place.truth.machines
    for seconds, minutes in ((0, 0), (560, 0), (60, 10), (640, 21), (13_760, 251)):
        place.pass_time(seconds)
        began = place.clock.now()
        left, (line, *_) = place.sweep()
        assert place.clock.now() - began == pytest.approx(14, abs=0.5)
        assert (left, open_keys(place.output)) == (minutes > 0, {"run-0"}), line
        told = still.format(machine.id, minutes) if minutes else f"deleting {machine.id} "
        assert line.startswith(told)
    # However old it is: only a proof closes it.
    place.pass_time(30_000)
    left, (line, *_) = place.sweep()
    assert (left, line) == (False, f"gone     {machine.id} (key run-0)")
    assert open_keys(place.output) == set()
