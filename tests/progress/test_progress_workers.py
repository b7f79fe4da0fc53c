"""The thread that tells, and what the main process tells of its workers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from watched import Watched, threads

from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.ticker import Ticker
from pytest_hydrasmoke._journal.events import Became, Claimed, Doing, Entry, RunsCounted
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.stories import Tail
from pytest_hydrasmoke._report.live import Progress


def test_its_thread_lives_only_while_a_phase_is_under_way(watched: Watched) -> None:
    one, two = watched.begins("ready"), watched.begins("ready")
    one.rests()
    assert len(threads()) == 1
    two.rests()
    assert threads() == []
    one.begins("delete")
    watched.progress.end()
    assert threads() == []
    one.begins("delete")
    assert threads() == []


def test_it_ticks_until_it_is_stopped() -> None:
    ticked = threading.Semaphore(0)
    ticker = Ticker(ticked.release)
    ticker.start(0.0)
    ticker.start(0.0)
    assert ticked.acquire(timeout=30)
    assert ticked.acquire(timeout=30)
    ticker.stop()
    ticker.stop()
    assert threads() == []


def test_a_tick_that_fails_is_the_last_one() -> None:
    failed = threading.Event()

    def tick() -> None:
        failed.set()
        raise ValueError

    ticker = Ticker(tick)
    ticker.start(0.0)
    assert failed.wait(30)
    ticker.stop()


# Workers


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[str], Journal]:
    return lambda name: Journal(tmp_path, name, "run", str, replies=True)


@pytest.fixture
def listening(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A main process of workers, which looks only when it is told to."""
    monkeypatch.setattr(Ticker, "start", lambda ticker, every: None)
    watched.progress.pytest_configure_node()
    return watched


def test_without_a_terminal_nobody_listens(
    pytester: pytest.Pytester, tmp_path: Path, worker: Callable[[str], Journal]
) -> None:
    config = pytester.parseconfig()
    progress = Progress(config, Tail(tmp_path, "main"), Interrupts())
    progress.pytest_sessionstart()
    progress.pytest_configure_node()
    progress.pytest_runtest_logstart()
    assert threads() == []
    worker("gw0").note(Doing("ready"), "run-0", 1.0)
    progress.saw(Entry(1.0, "run-1", Doing("ready")))
    progress.say(["a line for nobody"])
    progress.tick()
    progress.pytest_unconfigure()


def test_what_lasts_in_a_worker_is_told_under_its_name(
    listening: Watched, worker: Callable[[str], Journal]
) -> None:
    one, two = worker("gw0"), worker("gw1")
    one.note(Doing("ready"), "run-0", 100.0)
    two.note(RunsCounted("test_a", 1, 0, 3), None, 100.0)
    two.note(RunsCounted("test_a", 2, 1, 3), None, 103.0)
    listening.wait(2)
    one.note(Became(State.READY, "an-id", 3.0), "run-0", 103.0)
    # The other one shares it.
    two.note(Claimed(None), "run-0", 103.0)
    two.note(Became(State.READY, "an-id"), "run-0", 103.0)
    listening.wait(0.25)
    assert listening.told() == [
        "gw1: test_a: run 2 of 3, 1 passed",
        "gw0: run-0: booting, 2 s",
        "gw0: run-0: ready after 3.0 s",
    ]


def test_of_a_worker_that_has_ended_nothing_lasts(
    listening: Watched, worker: Callable[[str], Journal]
) -> None:
    worker("gw0").note(Doing("ready"), "run-0", 100.0)
    worker("gw1").note(Doing("row"), "run-1", 100.0)
    listening.progress.pytest_testnodedown(SimpleNamespace(workerinput={"workerid": "gw0"}))
    listening.wait(10)
    assert listening.told() == ["gw1: run-1: still waiting for its row, 10 s"]


def test_the_main_process_reads_whole_lines_of_others_once(
    worker: Callable[[str], Journal], tmp_path: Path
) -> None:
    tail = Tail(tmp_path, "main")
    assert list(tail.new()) == []
    worker("main").note(Doing("row"), "run-0")
    worker("gw0").note(Doing("row"), "run-0", 1.0)
    assert [(name, it.event) for name, it in tail.new()][1:] == [("gw0", Doing("row"))]
    path = tmp_path / "journal" / "gw0.jsonl"
    whole = path.read_bytes().splitlines()[-1]
    path.write_bytes(path.read_bytes() + whole[:20])
    assert list(tail.new()) == []
    path.write_bytes(path.read_bytes() + whole[20:] + b"\n")
    [(name, entry)] = tail.new()
    assert (name, entry.at) == ("gw0", json.loads(whole)["at"])
    path.unlink()
    path.mkdir()
    assert list(tail.new()) == []
