"""How long sweeps wait, and for what: on a virtual clock, with every wait as long as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from net_tools import on_clock
from owner_tools import age, config_for, kill, open_keys, run_for

from pytest_hydrasmoke import RouterError, VirtualClock
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._run.folder import swept_files
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.sweep import Sweep
from pytest_hydrasmoke.fake import FakeRouter, Scenario

DELETES_FOR_EVER = {"after_delete": "row", "gone_word": "deleting", "cleanup_after": 9e9}


class Place:
    """A router, and where runs and sweeps of it leave their files."""

    def __init__(self, output: Path) -> None:
        self.output, self.clock = output, VirtualClock()
        self.fake = FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "running"),)))

    def begun(self, **settings: Any) -> Run:
        """Begin a run whose time is the router's."""
        run = run_for(config_for(self.fake, self.output, max_instances=40, **settings))
        on_clock(run, self.clock)
        return run

    def sweep(self, run_id: str | None = None, wait: float = 60.0) -> tuple[bool, list[str], float]:
        """Return whether something is left, the lines, and the seconds that it took."""
        lines: list[str] = []
        config = config_for(self.fake, self.output)
        io = VirtualSyncIO(config.link, self.clock)
        it = Sweep(config, io, wait, dry_run=False, say=lines.append)
        before = self.clock.now()
        it.all_runs() if run_id is None else it.one_run(run_id)
        return it.left, [*lines, it.conclusion], self.clock.now() - before


@pytest.fixture
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


@pytest.fixture
def place(request: pytest.FixtureRequest, output: Path) -> Iterator[Place]:
    place = Place(output)
    scenario = Scenario(
        row_after=0.0, statuses=((0.0, "running"),), **getattr(request, "param", {})
    )
    with FakeRouter(scenario, clock=place.clock) as place.fake:
        yield place


def test_a_run_that_has_ended_is_one_line_and_no_wait_for_rows(place: Place) -> None:
    run = place.begun()
    run.provision(run.config.spec)
    place.fake.fail("provision", status=403)
    with pytest.raises(RouterError):
        run.provision(run.config.spec)
    run.close()
    run.look_back()
    run.ledger.mark_ended()
    run.ledger.end()
    assert open_keys(place.output) == ["owner-1"], "a refused key is for a sweep to close"
    before = len(place.fake.requests)
    left, lines, took = place.sweep("owner")
    ledger = run.ledger.folder / "ledger.jsonl"
    said = f"nothing is left of run owner: all keys in {ledger} were asked for"
    assert (left, lines) == (False, [said])
    # What is younger than three seconds by its file's time is asked for twice.
    assert took <= 3
    asked = place.fake.requests[before:]
    polled = {it.path.rpartition("/")[2] for it in asked if it.route == "poll"}
    assert {key for key in polled if not key.startswith("unknown-")} == {"owner-1"}


def test_a_leak_that_has_vanished_since_is_told_though_its_run_has_ended(place: Place) -> None:
    run = place.begun()
    leaked = run.provision(run.config.spec).id
    place.fake.fail("delete", status=403, times=9)
    run.close()
    run.ledger.mark_ended()
    run.ledger.end()
    assert run.instances[0].leak is not None
    place.fake.reset()
    left, (line, _), _ = place.sweep()
    assert (left, line) == (False, f"gone     {leaked} (key owner-0)")


@pytest.mark.parametrize("place", [DELETES_FOR_EVER], indirect=True, ids=["deletes for ever"])
def test_a_router_that_says_deleting_is_believed_after_ten_seconds_and_swept_again(
    place: Place,
) -> None:
    run = place.begun()
    run.provision(run.config.spec)
    kill(run)
    for seconds, word, still in (
        (0, "deleting", ["owner-0"]),
        (60, "deleting", ["owner-0"]),
        (600, "gone", []),
    ):
        age(place.output, seconds)
        for file in swept_files(run.ledger.folder):
            then = file.stat().st_mtime - seconds
            os.utime(file, (then, then))
        left, lines, took = place.sweep(wait=0.0)
        assert took == pytest.approx(14, abs=0.5)
        assert (left, open_keys(place.output)) == (False, still), lines
        assert lines[0].startswith(f"{word} "), lines
