"""The thread that tells, whom it tells, and what the main process tells of its workers."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.threads import Ticker
from pytest_hydrasmoke._journal.events import Became, Claimed, Doing, Entry, Event, RunsCounted
from pytest_hydrasmoke._journal.journal import Journal, Tail
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._report import live
from pytest_hydrasmoke._report.live import Progress

Worker = Callable[[str], Journal]
KEPT, REST = Became(State.KEPT), Doing(None)


class Rows:
    """A terminal whose lines are kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, text: str) -> None:
        self.lines.append(text)

    def close(self) -> None:
        pass


class Watched:
    """Progress on a clock of its own, and on a terminal that keeps its lines."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.clock, self.interrupts = VirtualClock(100.0), Interrupts()
        tail = Tail(folder, "main")
        self.progress = Progress(config, tail, self.interrupts, clock=self.clock.now)

    def note(self, event: Event, name: str = "run-0") -> None:
        self.progress.saw(Entry(self.clock.now(), name, event))

    def wait(self, *seconds: float) -> None:
        for each in seconds:
            self.clock.advance(each)
            self.progress.tick()


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    rows = Rows()
    monkeypatch.setattr(live, "terminal_of", lambda config: rows)
    return rows


@pytest.fixture
def watched(pytestconfig: pytest.Config, tmp_path: Path, rows: Rows) -> Iterator[Watched]:
    made = Watched(pytestconfig, tmp_path)
    made.progress.pytest_sessionstart()
    yield made
    made.progress.pytest_unconfigure()


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return lambda name: Journal(tmp_path, name, "run", str, replies=True)


def threads() -> int:
    return sum(it.name == "hydra-smoke-progress" for it in threading.enumerate())


def test_its_thread_lives_only_while_a_phase_is_under_way(watched: Watched) -> None:
    for number, (name, event) in enumerate(
        [("one", Doing("ready")), ("two", Doing("ready")), ("one", REST), ("two", REST)]
    ):
        watched.note(event, name)
        assert threads() == int(number < 3)
    watched.note(Doing("delete"), "one")
    assert threads() == 1
    watched.progress.end()
    assert threads() == 0
    watched.note(Doing("delete"), "one")
    assert threads() == 0


def test_nothing_is_told_while_somebody_debugs(watched: Watched, rows: Rows) -> None:
    watched.note(Doing("ready"))
    watched.progress.pytest_enter_pdb()
    watched.note(KEPT, "run-1")
    watched.wait(3)
    assert threads() == 0
    watched.progress.pytest_leave_pdb()
    assert threads() == 1
    watched.wait(7)
    assert rows.lines == ["hydra-smoke: run-0: still booting, 10 s"]


def test_what_ends_as_a_line_is_written_is_told_too(watched: Watched, rows: Rows) -> None:
    write = rows.write_line

    def collects(text: str) -> None:
        rows.write_line = write  # type: ignore[method-assign]
        watched.note(KEPT, "run-1")  # As a stream tells that nobody holds any more.
        write(text)

    rows.write_line = collects  # type: ignore[method-assign]
    done = threading.Thread(target=watched.note, args=[KEPT], daemon=True)
    done.start()
    done.join(10)
    assert not done.is_alive()
    assert rows.lines == ["hydra-smoke: run-1: kept", "hydra-smoke: run-0: kept"]


def test_nothing_that_fails_in_it_is_a_matter_of_the_run(watched: Watched, rows: Rows) -> None:
    del rows.lines
    watched.note(KEPT)
    watched.progress.say(["a line"])


def test_what_is_logged_while_signals_are_held_comes_afterwards(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    # Of httpcore's, too: whoever deletes waits for no handler of logs.
    with caplog.at_level(logging.DEBUG):
        with watched.interrupts.hold():
            watched.note(Doing("delete"))
            logging.getLogger("httpcore.http11").debug("send_request_headers.started")
            watched.note(Became(State.DELETED))
            assert caplog.messages == []
        expected = ["run-0: delete", "send_request_headers.started", "run-0: deleted"]
        assert caplog.messages == expected
        assert [it.levelname for it in caplog.records] == ["INFO", "DEBUG", "INFO"]
        watched.progress.pytest_unconfigure()
        with watched.interrupts.hold():
            logging.getLogger("httpcore.http11").debug("somebody else's")
            assert caplog.messages == [*expected, "somebody else's"]


def test_it_ticks_until_it_is_stopped_and_a_tick_that_fails_is_the_last_one() -> None:
    ticked, failed = threading.Semaphore(0), threading.Event()

    def fail() -> None:
        failed.set()
        raise ValueError

    ticker, broken = Ticker(ticked.release), Ticker(fail)
    ticker.start(0.0)
    ticker.start(0.0)
    assert ticked.acquire(timeout=30)
    assert ticked.acquire(timeout=30)
    ticker.stop()
    ticker.stop()
    broken.start(0.0)
    assert failed.wait(30)
    broken.stop()
    assert threads() == 0


def test_without_a_terminal_nobody_listens(
    pytester: pytest.Pytester, tmp_path: Path, worker: Worker
) -> None:
    watched = Watched(pytester.parseconfig(), tmp_path)
    progress = watched.progress
    progress.pytest_sessionstart()
    progress.pytest_configure_node()
    progress.pytest_runtest_logstart()
    assert threads() == 0
    worker("gw0").note(Doing("ready"), "run-0", 1.0)
    watched.note(Doing("ready"), "run-1")
    progress.say(["a line for nobody"])
    watched.wait(20)
    progress.pytest_unconfigure()


def test_what_lasts_in_a_worker_is_told_under_its_name_until_it_ends(
    watched: Watched, rows: Rows, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It looks only when it is told to.
    started: list[float] = []
    monkeypatch.setattr(Ticker, "start", lambda ticker, every: started.append(every))
    watched.progress.pytest_configure_node()
    assert started == [live.LISTENS], "although nothing is under way here"
    one, two = worker("gw0"), worker("gw1")
    one.note(Doing("ready"), "run-0", 100.0)
    two.note(RunsCounted("test_a", 1, 0, 3), None, 100.0)
    two.note(RunsCounted("test_a", 2, 1, 3), None, 103.0)
    watched.wait(2)
    one.note(Became(State.READY, "an-id", 3.0), "run-0", 103.0)
    # The other one shares it.
    two.note(Claimed(None), "run-0", 103.0)
    two.note(Became(State.READY, "an-id"), "run-0", 103.0)
    watched.wait(0.25)
    one.note(Doing("delete"), "run-0", 103.0)
    two.note(Doing("row"), "run-1", 103.0)
    watched.progress.pytest_testnodedown(SimpleNamespace(workerinput={"workerid": "gw0"}))
    watched.wait(10.75)
    assert [line.removeprefix("hydra-smoke: ") for line in rows.lines] == [
        "gw1: test_a: run 2 of 3, 1 passed",
        "gw0: run-0: booting, 2 s",
        "gw0: run-0: ready after 3.0 s",
        "gw1: run-1: still waiting for its row, 10 s",
    ]


def test_the_main_process_reads_whole_lines_of_others_once(worker: Worker, tmp_path: Path) -> None:
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
