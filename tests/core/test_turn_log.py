"""The log of turns, which goes from one process to the next."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_hydrasmoke import (
    ChatBusyError,
    ConfigError,
)
from pytest_hydrasmoke._core.settle import (
    History,
    LastTurn,
    Measured,
    over,
    settled_from,
)
from pytest_hydrasmoke._core.turn_log import TurnLog, TurnLogs

WHOLE = 5.0


def logs_of(folder: Path, test: str = "test_a") -> TurnLogs:
    return TurnLogs(folder / "turns", lambda: test)


def log_of(folder: Path, name: str = "night-0", spec: str = "spec") -> TurnLog:
    log = TurnLog(logs_of(folder), spec)
    log.share(name)
    return log


def test_a_log_goes_from_one_process_to_the_next(tmp_path: Path) -> None:
    first, second = log_of(tmp_path), log_of(tmp_path)
    first.refresh(80.0)
    assert first.begin(0, 90.0) == 1
    first.end("ended", 100.0)
    first.saw(100.1, 100.1, 1, WHOLE)
    second.refresh(101.0)
    assert second.history == first.history
    assert second.history.last == LastTurn(
        "test_a", 0, 1, 100.1, how="ended", ended=100.0, rose=100.1
    )
    assert second.known == Measured(pytest.approx(0.1), 0)
    assert first.is_own(1)
    assert second.begin(1, 102.0) == 2
    assert not first.is_own(1)
    first.end("left", 103.0)
    assert second.history.last is not None
    assert second.history.last.how == "under way", "it is no longer the first one's"


def test_a_turn_that_was_none_is_forgotten_by_all(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.begin(0, 90.0)
    log.undo(History())
    heir = log_of(tmp_path)
    heir.refresh(100.0)
    assert heir.history == History(since=100.0)


def test_a_turn_whose_process_died_in_it_was_cut_when_it_is_found(tmp_path: Path) -> None:
    log_of(tmp_path).begin(0, 90.0)
    heir = log_of(tmp_path)
    heir.refresh(200.0)
    again = log_of(tmp_path)
    again.refresh(300.0)
    for log in (heir, again):
        assert log.history.last is not None
        assert (log.history.last.how, log.history.last.ended) == ("cut", 200.0)


def test_a_turn_of_a_process_that_lives_is_under_way_and_no_other_may_begin(tmp_path: Path) -> None:
    alive = {"gw0", "gw1"}

    def of(process: str) -> TurnLog:
        logs = TurnLogs(tmp_path / "turns", process=process, lives=lambda it: it in alive)
        log = TurnLog(logs, "spec")
        log.share("night-0")
        return log

    of("gw0").begin(0, 90.0)
    with pytest.raises(ChatBusyError, match="under way on this instance already, in worker gw0"):
        of("gw1").refresh(100.0)
    alive.remove("gw0")
    heir = of("gw1")
    heir.refresh(200.0)
    assert heir.history.last is not None
    assert (heir.history.last.how, heir.history.last.by) == ("cut", "gw0")


def test_what_was_measured_is_known_to_all_and_watched_by_spec(tmp_path: Path) -> None:
    one, two = log_of(tmp_path, "night-0"), log_of(tmp_path, "night-1", "another")
    one.begin(0, 90.0)
    one.end("ended", 100.0)
    for at in (100.1, 105.0):
        one.saw(at, at, 1, WHOLE)
    assert one.known == (pytest.approx(0.1), 1)
    assert two.known == (pytest.approx(0.1), 0)
    assert TurnLog(logs_of(tmp_path), "spec").known == one.known, "a private one's as well"


@pytest.fixture
def other_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give `other_process(pid)`: what happens next happens in that one."""
    return lambda pid: monkeypatch.setattr(os, "getpid", lambda: pid)


def watch(log: TurnLog, took: float, at: float = 100.0) -> None:
    """Take a turn, and watch its row come."""
    log.begin(0, at - 1)
    log.end("ended", at)
    for look in (took - 0.05, took, WHOLE):
        log.saw(at + look, at + look, int(look >= took), WHOLE)


def test_the_number_is_the_runs_whoever_has_measured_it(
    tmp_path: Path, other_process: Callable[[int], None]
) -> None:
    folder = tmp_path / "turns"
    logs = [TurnLogs(folder), TurnLogs(folder), TurnLogs(folder)]
    for number, took in ((1, 0.2), (2, 1.5)):
        other_process(number)
        watch(TurnLog(logs[number - 1], "spec"), took)
    assert {path.name for path in folder.iterdir()} == {"of-1.json", "of-2.json"}
    assert logs[1].known("spec") == (pytest.approx(1.5), 2)
    other_process(1)
    assert logs[0].known("other spec") == (pytest.approx(1.5), 0)
    other_process(3)
    assert logs[2].known("spec") == (pytest.approx(1.5), 2)
    for text in ("", "[]", '{"own": [[1]]}'):
        (folder / "of-2.json").write_text(text)
        assert logs[2].known("spec") == (pytest.approx(0.2), 1), "it costs others a wait"


def test_what_was_measured_and_can_not_be_written_costs_others_a_wait(tmp_path: Path) -> None:
    (tmp_path / "turns").write_text("not a folder")
    log = TurnLog(logs_of(tmp_path), "spec")
    watch(log, 0.2)
    assert log.known == (pytest.approx(0.2), 1)


def test_what_is_private_is_in_no_file(tmp_path: Path) -> None:
    log = TurnLog(logs_of(tmp_path))
    log.begin(0, 1.0)
    log.end("ended", 2.0)
    assert list(tmp_path.iterdir()) == []


def test_the_files_do_not_grow_with_the_chats(tmp_path: Path) -> None:
    log, sizes = log_of(tmp_path), []
    for number in range(100, 200):
        log.begin(number, 1e6 + number)
        log.end("ended", 1e6 + number + 0.5)
        [file] = (tmp_path / "turns").iterdir()
        assert file.suffix == ".json"
        sizes.append(file.stat().st_size)
    assert max(sizes) - min(sizes) < 10


def test_a_log_that_can_not_be_written_lets_no_turn_begin(tmp_path: Path) -> None:
    (tmp_path / "turns").write_text("not a folder")
    log = log_of(tmp_path)
    with pytest.raises(ConfigError, match="can't be written"):
        log.begin(0, 1.0)


def test_the_end_of_a_turn_that_can_not_be_written_costs_others_a_wait(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.begin(0, 90.0)
    (tmp_path / "turns").rename(tmp_path / "away")
    (tmp_path / "turns").write_text("not a folder")
    log._put(over(log.history, "ended", 100.0))
    (tmp_path / "turns").unlink()
    (tmp_path / "away").rename(tmp_path / "turns")
    heir = log_of(tmp_path)
    heir.refresh(101.0)
    assert heir.history.last is not None
    assert (heir.history.last.how, heir.history.last.ended) == ("cut", 101.0)


@pytest.mark.parametrize("text", ["", "[]", '{"spec": ""}', '{"spec": "", "history": {"a": 1}}'])
def test_a_log_that_can_not_be_read_is_of_a_turn_nobody_saw_the_end_of(
    tmp_path: Path, text: str
) -> None:
    log = log_of(tmp_path)
    log.begin(0, 1.0)
    [file] = (tmp_path / "turns").iterdir()
    file.write_text(text)
    log.refresh(50.0)
    assert settled_from(log.history, log.known, WHOLE) == 55


def test_a_log_that_was_shared_and_never_written_has_no_turn(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.refresh(1.0)
    assert log.history == History(since=1.0)
    assert log.known == Measured()
