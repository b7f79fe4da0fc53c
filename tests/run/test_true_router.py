"""Whole runs and sweeps at routers whose answers are not what is so, on made-up time.

`-m kill` has all of them, with processes; `test_truth_machine.py` has lives of chance.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from truth import Manner, Truth
from truth_app import TrueRouter
from truth_seam import Process, World, sweep

from pytest_hydrasmoke import HydraSmokeError, VirtualClock


class Place:
    """A router, and where its runs leave their ledgers."""

    def __init__(self, folder: Path, manner: Manner) -> None:
        self.clock = VirtualClock()
        self.truth = Truth(manner, self.clock)
        self.world = World(TrueRouter(self.truth), self.clock)
        self.output = folder / ".hydrasmoke"

        self.settle = manner.trouble + 1
        """Seconds after which whatever is wrong has shown, as whoever sets `row_settle` knows."""

    def run(self) -> Process:
        limits = {"ready_timeout": 40.0, "delete_timeout": 25.0, "row_settle": self.settle}
        return Process(self.world, self.output, "run", **limits)

    def sweep(self) -> tuple[bool, list[str]]:
        limits = {"delete_timeout": 25.0, "row_settle": self.settle}
        return sweep(self.world, self.output, None, self.settle + 1, **limits)


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Let them come when they come: on made-up time that costs nothing."""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param)


def at(**manner: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("place", [Manner(**manner)], indirect=True, ids=str)  # type: ignore[arg-type]


@at(keeps_row=True, second_delete=404)
def test_a_row_that_stays_is_known_from_the_first_deletion_on(place: Place) -> None:
    run = place.run()
    first, second = run.session.many(2, run.spec)
    took: list[float] = []
    for instance in (first, second):
        began = place.clock.now()
        instance.delete()
        took.append(place.clock.now() - began)
    assert place.truth.left() == []
    assert took[1] < took[0], "what it keeps is known by then"
    [note], none = [[*record.notes] for record in run.session.records]
    assert note == (
        "the router keeps the row of a deleted instance: as 'running'. It counts as gone once "
        "that has held, and a further delete has found nothing"
    )
    assert none == []
    assert set(run.end().values()) == {"deleted"}


@at(deaf=1, hidden=1.0)
def test_a_delete_that_did_nothing_is_sent_again(place: Place) -> None:
    run = place.run()
    run.session.provision(run.spec)
    assert run.end() == {"run-0": "deleted"}
    assert place.truth.left() == []


@at(deaf=1, hidden=1.0, hides_key=True)
def test_a_row_that_comes_back_is_found_by_the_sweep_of_a_killed_run(place: Place) -> None:
    run = place.run()
    run.session.provision(run.spec)
    run.kill()
    left, said = place.sweep()
    assert (left, place.truth.left()) == (False, []), said
    assert [line for line in said if line.startswith("deleted ")]


@at(refuses=422)
def test_what_was_refused_and_made_is_told_or_ended(place: Place) -> None:
    run = place.run()
    with pytest.raises(HydraSmokeError):
        run.session.provision(run.spec)
    told = run.end()
    left, said = place.sweep() if place.truth.left() else (False, [])
    assert (left, place.truth.left()) == (False, []), said
    assert told.keys() == {"run-0"}
