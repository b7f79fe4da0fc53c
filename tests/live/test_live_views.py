"""What is shown of what happens: in place, by lines, and by workers."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO, cast

import pytest
from live_tools import GOLDEN, Picture, Tty, frames, golden

from pytest_hydrasmoke import InstanceSpec, VirtualClock
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.record import InstanceRecord, State
from pytest_hydrasmoke._progress.plugin import Live, screen_of
from pytest_hydrasmoke._progress.relay import RelayReader, RelayWriter
from pytest_hydrasmoke._progress.screen import Screen
from pytest_hydrasmoke._progress.views import InPlace, Lines, Ticker, View

SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")


class Watched:
    """A run's live view on a clock of its own, and instances to make up a story of."""

    def __init__(self, config: pytest.Config, view: View | None, folder: Path) -> None:
        self.clock = VirtualClock(100.0)
        self.interrupts = Interrupts()
        self.live = Live(config, folder, self.interrupts, None, clock=self.clock.now)
        vars(self.live)["_view"] = view
        self.records: list[InstanceRecord] = []

    def instance(self) -> InstanceRecord:
        key = f"nightly-7-{len(self.records)}"
        record = InstanceRecord(SPEC, key, on_change=self.live.changed)
        self.records.append(record)
        return record

    def wait(self, *seconds: float) -> None:
        """Let time pass, with a tick after each of several waits."""
        for each in seconds:
            self.clock.advance(each)
            self.live.tick()

    def boot(self) -> None:
        """Tell of two instances, of which one fails, a chat, and a deletion."""
        one, two = self.instance(), self.instance()
        for record in (one, two):
            record.born = self.clock.now()
            record.begins("provision", self.clock.now(), 1000.0)
            record.becomes(State.ACCEPTED)
        self.wait(2)
        one.begins("row", self.clock.now(), 1000.0)
        one.saw_status("queued", self.clock.now())
        two.becomes(State.REFUSED)
        two.rests()
        self.wait(1, 2)
        one.begins("ready", self.clock.now(), 1000.0)
        one.saw_status("booting", self.clock.now())
        self.wait(1, 1, 27, 1, 30, 10)
        one.saw_status("running", self.clock.now())
        one.becomes(State.READY)
        one.rests()
        one.begins("turn", self.clock.now(), self.clock.now() + 120)
        self.wait(2)
        one.rests()
        one.begins("turn", self.clock.now(), self.clock.now() + 120)
        self.wait(29, 1, 1)
        one.rests()
        one.begins("delete", self.clock.now(), self.clock.now() + 60)
        one.becomes(State.DELETED)
        one.rests()


Watch = Callable[[View | None], Watched]


@pytest.fixture
def watch(pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Watch]:
    """Give `watch(view)`: a live view until the test's end."""
    made: list[Watched] = []

    def watch(view: View | None) -> Watched:
        made.append(Watched(pytestconfig, view, tmp_path))
        return made[-1]

    yield watch
    for watched in made:
        watched.live.pytest_unconfigure()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_shows_the_phase_that_takes_longest(
    width: int, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    tty = Tty(width)
    screen = Screen(tty, tty.file)
    watched = watch(InPlace(screen))
    tty.write("test_agent.py ")
    watched.boot()
    screen.close()
    said = tty.all()
    shown = frames(said)
    assert max(map(len, shown)) <= width - 3
    golden(f"live-terminal-{width}", "\n".join(shown))
    assert Picture(width).show(said) == ["test_agent.py", ""]


def test_a_pipeline_gets_a_line_for_each_change_and_one_now_and_then(watch: Watch) -> None:
    told: list[str] = []
    watch(Lines(told.append)).boot()
    golden("live-pipeline", "\n".join(told))


def test_changes_that_a_log_shows_are_not_told_twice(watch: Watch) -> None:
    told: list[str] = []
    watch(Lines(told.append, changes=False)).boot()
    assert told == [
        "nightly-7-0: ready 30 s, status 'booting', 865 s left",
        "nightly-7-0: ready 60 s, status 'booting', 835 s left",
        "nightly-7-0: turn 30 s, 90 s left",
    ]


def test_changes_are_logged_whoever_sees_them(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pytest_hydrasmoke"):
        watch(None).boot()
    golden("live-log", "\n".join(caplog.messages))
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_what_is_logged_while_signals_are_held_comes_afterwards(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    # Of httpcore's, too: whoever deletes waits for no handler of logs.
    watched = watch(None)
    record, interrupts = watched.instance(), watched.interrupts
    with caplog.at_level(logging.DEBUG):
        with interrupts.hold():
            record.begins("delete", 100.0, None)
            logging.getLogger("httpcore.http11").debug("send_request_headers.started")
            record.becomes(State.DELETED)
            assert caplog.messages == []
        expected = ["nightly-7-0: delete", "send_request_headers.started", "nightly-7-0: deleted"]
        assert caplog.messages == expected
        watched.live.pytest_unconfigure()
        with interrupts.hold():
            logging.getLogger("httpcore.http11").debug("somebody else's")
            assert caplog.messages == [*expected, "somebody else's"]


@pytest.mark.parametrize("state", [State.CREATED, State.READY])
def test_what_another_process_began_is_known_by_where_it_stands(state: State, watch: Watch) -> None:
    told: list[str] = []
    watched = watch(Lines(told.append))
    record = watched.instance()
    record.state = state
    record.begins("ready", 100.0, None)
    assert told == ["nightly-7-0: ready"]


def test_nothing_that_fails_in_it_is_a_matter_of_the_run(watch: Watch) -> None:
    def broken(line: str) -> None:
        raise ValueError(line)

    watched = watch(Lines(broken))
    record = watched.instance()
    record.begins("ready", 100.0, None)
    record.rests()
    watched.live.end()


def test_nothing_is_shown_while_somebody_debugs(watch: Watch) -> None:
    told: list[str] = []
    watched = watch(Lines(told.append))
    record = watched.instance()
    record.begins("provision", 100.0, None)
    watched.live.pytest_enter_pdb()
    record.begins("row", 100.0, None)
    watched.live.pytest_leave_pdb()
    record.begins("ready", 100.0, None)
    watched.live.end()
    assert told == ["nightly-7-0: provision", "nightly-7-0: ready"]


def test_the_page_shows_lines_that_there_are() -> None:
    page = (GOLDEN.parent.parent.parent / "docs" / "how-to" / "watch-a-run.md").read_text("utf-8")
    shown = re.findall(r"<!-- shown: (\S+) -->\n\n```text\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 2
    for name, lines in shown:
        there = (GOLDEN / f"{name}.txt").read_text("utf-8")
        for line in lines.splitlines():
            assert f"{line}\n" in there or f"{line.removeprefix('hydra-smoke: ')}\n" in there


def test_what_is_kept_is_told_although_no_phase_is_under_way(watch: Watch) -> None:
    told: list[str] = []
    watch(Lines(told.append)).instance().becomes(State.KEPT)
    assert told == ["nightly-7-0: kept"]
    tty = Tty()
    screen = Screen(tty, tty.file)
    watch(InPlace(screen)).instance().becomes(State.KEPT)
    screen.close()
    assert frames(tty.all()) == []


class Slotted:
    """A stream whose methods are what they are."""

    __slots__ = ()

    def write(self, text: str) -> int:
        return len(text)

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise OSError


def test_a_stream_that_can_not_be_looked_over_is_left_alone(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfig()
    reporter = pytest.TerminalReporter(config, cast("TextIO", Slotted()))
    config.pluginmanager.register(reporter, "terminalreporter")
    assert screen_of(config) is None


def test_without_a_terminal_nobody_listens(pytester: pytest.Pytester, tmp_path: Path) -> None:
    live = Live(pytester.parseconfig(), tmp_path, Interrupts(), None)
    live.pytest_sessionstart()
    live.pytest_configure_node()
    assert threads() == []
    RelayWriter(tmp_path, "gw0").append_line("run-0: provision")
    live.say(["a line for nobody"])
    for _ in live.pytest_sessionfinish():
        pass
    live.pytest_unconfigure()


# The thread


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "hydra-smoke-live"]


def test_its_thread_lives_only_while_a_phase_is_under_way(watch: Watch) -> None:
    watched = watch(Lines(lambda line: None))
    one, two = watched.instance(), watched.instance()
    one.begins("ready", 100.0, None)
    two.begins("ready", 100.0, None)
    one.rests()
    assert len(threads()) == 1
    two.rests()
    assert threads() == []
    one.begins("delete", 100.0, None)
    watched.live.end()
    assert threads() == []
    one.begins("delete", 100.0, None)
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


def test_a_worker_tells_what_is_shown_elsewhere(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    live = Live(pytestconfig, tmp_path, Interrupts(), "gw0", clock=VirtualClock(100.0).now)
    live.pytest_sessionstart()
    record = InstanceRecord(SPEC, "run-0", on_change=live.changed)
    record.begins("provision", 100.0, None)
    live.pytest_unconfigure()
    assert RelayReader(tmp_path).new_lines() == ["gw0: run-0: provision"]


@pytest.fixture
def telling(tmp_path: Path) -> Callable[[str], RelayWriter]:
    return lambda name: RelayWriter(tmp_path, name)


def test_the_main_process_hears_whole_lines_once(
    telling: Callable[[str], RelayWriter], tmp_path: Path
) -> None:
    listener = RelayReader(tmp_path)
    assert listener.new_lines() == []
    telling("gw0").append_line("run-0: provision")
    telling("gw1").append_line("run-1: für sich")
    assert listener.new_lines() == ["gw0: run-0: provision", "gw1: run-1: für sich"]
    path = tmp_path / "live.log"
    path.write_bytes(path.read_bytes() + b"gw0: half")
    assert listener.new_lines() == []
    path.write_bytes(path.read_bytes() + b" a line\n")
    assert listener.new_lines() == ["gw0: half a line"]


def test_a_folder_that_is_gone_is_no_matter_of_the_run(tmp_path: Path) -> None:
    RelayWriter(tmp_path / "gone", "gw0").append_line("run-0: deleted")
    assert not (tmp_path / "gone").exists()


def test_what_a_worker_tells_is_for_its_own_user_only(
    telling: Callable[[str], RelayWriter], tmp_path: Path
) -> None:
    telling("gw0").append_line("run-0: provision")
    assert os.stat(tmp_path / "live.log").st_mode & 0o777 == 0o600
