"""The thread that tells, and the lines of workers on their way to the main process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from watched import Watched, threads

from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.ticker import Ticker
from pytest_hydrasmoke._progress.plugin import Progress
from pytest_hydrasmoke._progress.relay import RelayReader, RelayWriter


def test_its_thread_lives_only_while_a_phase_is_under_way(watched: Watched) -> None:
    one, two = watched.begins("ready"), watched.begins("ready")
    one.rests()
    assert len(threads()) == 1
    two.rests()
    assert threads() == []
    one.begins("delete", 100.0, None)
    watched.progress.end()
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


def test_without_a_terminal_nobody_listens(pytester: pytest.Pytester, tmp_path: Path) -> None:
    progress = Progress(pytester.parseconfig(), tmp_path, Interrupts(), None)
    progress.pytest_sessionstart()
    progress.pytest_configure_node()
    progress.pytest_runtest_logstart()
    assert threads() == []
    RelayWriter(tmp_path, "gw0").append_line("run-0: provisioning")
    progress.say(["a line for nobody"])
    for _ in progress.pytest_sessionfinish():
        pass
    progress.pytest_unconfigure()


@pytest.fixture
def telling(tmp_path: Path) -> Callable[[str], RelayWriter]:
    return lambda name: RelayWriter(tmp_path, name)


def test_the_main_process_hears_whole_lines_once(
    telling: Callable[[str], RelayWriter], tmp_path: Path
) -> None:
    listener = RelayReader(tmp_path)
    assert listener.new_lines() == []
    telling("gw0").append_line("run-0: provisioning")
    telling("gw1").append_line("run-1: für sich")
    assert listener.new_lines() == ["gw0: run-0: provisioning", "gw1: run-1: für sich"]
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
    telling("gw0").append_line("run-0: provisioning")
    assert os.stat(tmp_path / "live.log").st_mode & 0o777 == 0o600
