"""How long sweeps wait, and for what: on a virtual clock, with every wait as long as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from net_tools import on_clock
from owner_tools import age, alive, config_for, kill, open_keys, session_for

from pytest_hydrasmoke import RouterError, VirtualClock
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._run.folder import swept_files
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._run.slots import AHEAD
from pytest_hydrasmoke._run.sweep import Sweep
from pytest_hydrasmoke.fake import FakeRouter, Scenario

QUICK = Scenario(row_after=0.0, statuses=((0.0, "running"),))


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def fake(clock: VirtualClock) -> Iterator[FakeRouter]:
    with FakeRouter(QUICK, clock=clock) as router:
        yield router


def a_run(fake: FakeRouter, output: Path, clock: VirtualClock) -> SmokeSession:
    """Begin a run whose time is the router's."""
    session = session_for(config_for(fake, output, max_instances=40))
    on_clock(session, clock)
    return session


Swept = tuple[bool, list[str], float]


@pytest.fixture
def sweep(fake: FakeRouter, output: Path, clock: VirtualClock) -> Callable[..., Swept]:
    """Give `sweep(run_id)`: whether something is left, the lines, and the seconds that it took."""

    def swept(run_id: str | None = None, *, wait: float = 60.0, **settings: Any) -> Swept:
        lines: list[str] = []
        config = config_for(fake, output, **settings)
        io = VirtualSyncIO(config.link, clock)
        it = Sweep(config, io, wait, dry_run=False, say=lines.append)
        before = clock.now()
        if run_id is None:
            it.all_runs()
        else:
            it.one_run(run_id)
        return it.left, [*lines, it.conclusion], clock.now() - before

    return swept


def test_what_a_killed_run_left_takes_as_long_as_one_last_look(
    sweep: Callable[..., Swept], fake: FakeRouter, output: Path, clock: VirtualClock
) -> None:
    session = a_run(fake, output, clock)
    session.many(6, session.config.spec)
    kill(session)
    left, lines, took = sweep()
    assert (left, alive(fake), open_keys(output)) == (False, [], [])
    assert len(lines) == 6 + 1
    assert took == pytest.approx(2, abs=0.5)


def test_a_run_that_has_ended_is_one_line_and_no_wait_for_rows(
    sweep: Callable[..., Swept], fake: FakeRouter, output: Path, clock: VirtualClock
) -> None:
    session = a_run(fake, output, clock)
    session.provision(session.config.spec)
    fake.fail("provision", status=403)
    with pytest.raises(RouterError):
        session.provision(session.config.spec)
    session.close()
    session.look_back()
    session.ledger.mark_ended()
    session.ledger.end()
    assert open_keys(output) == ["owner-1"], "a refused key is for a sweep to close"
    before = len(fake.requests)
    left, lines, took = sweep("owner")
    ledger = session.ledger.folder / "ledger.jsonl"
    assert (left, lines) == (
        False,
        [f"nothing is left of run owner: all keys in {ledger} were asked for"],
    )
    # What is younger than three seconds by its file's time is asked for twice.
    assert took <= 3
    polled = [it.path.rpartition("/")[2] for it in fake.requests[before:] if it.route == "poll"]
    assert {key for key in polled if not key.startswith("unknown-")} == {"owner-1"}


def test_a_run_without_a_ledger_is_not_waited_for(
    sweep: Callable[..., Swept], fake: FakeRouter
) -> None:
    left, lines, took = sweep("nobody")
    assert (left, len(lines), took) == (False, 1, pytest.approx(0, abs=0.5))
    assert f"no row under slots 0-{AHEAD - 1}" in lines[0]


def test_a_row_that_comes_late_is_waited_for_beside_all_others(
    sweep: Callable[..., Swept], fake: FakeRouter, output: Path, clock: VirtualClock
) -> None:
    session = a_run(fake, output, clock)
    session.claim(session.config.spec, 6)
    kill(session)
    left, lines, took = sweep(wait=30.0)
    assert (left, took) == (True, pytest.approx(30, abs=1))
    assert sum(line.startswith("unsure   ") for line in lines) == 6
    age(output, 3600)
    assert sweep(wait=0.0)[0] is False


def test_a_404_that_nobody_has_asked_for_must_hold_for_ten_seconds(
    sweep: Callable[..., Swept], fake: FakeRouter, output: Path, clock: VirtualClock
) -> None:
    session = a_run(fake, output, clock)
    session.provision(session.config.spec)
    kill(session)
    fake.reset()
    left, lines, took = sweep()
    assert (left, took) == (False, pytest.approx(12, abs=0.5))
    assert lines[0].startswith("gone     ")


def test_a_router_that_says_deleting_is_believed_after_ten_seconds_and_swept_again(
    output: Path, clock: VirtualClock
) -> None:
    slow = Scenario(
        row_after=0.0,
        statuses=((0.0, "running"),),
        after_delete="row",
        gone_word="deleting",
        cleanup_after=9e9,
    )
    with FakeRouter(slow, clock=clock) as fake:
        session = a_run(fake, output, clock)
        session.provision(session.config.spec)
        kill(session)
        for seconds, word, still in (
            (0, "deleting", ["owner-0"]),
            (60, "deleting", ["owner-0"]),
            (600, "gone", []),
        ):
            age(output, seconds)
            for file in swept_files(session.ledger.folder):
                then = file.stat().st_mtime - seconds
                os.utime(file, (then, then))
            lines: list[str] = []
            config = config_for(fake, output)
            io = VirtualSyncIO(config.link, clock)
            it = Sweep(config, io, 0.0, dry_run=False, say=lines.append)
            before = clock.now()
            it.all_runs()
            assert clock.now() - before == pytest.approx(14, abs=0.5)
            assert (it.left, open_keys(output)) == (False, still), lines
            assert lines[0].startswith(f"{word} "), lines
