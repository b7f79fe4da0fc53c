"""The turns of a run, which its processes tell each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from core_tools import begin, end
from scripted_io import KEY, SPEC

from pytest_hydrasmoke import ChatBusyError, ConfigError
from pytest_hydrasmoke._core.account import Count, TurnAccount
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.settling import Lags, LastTurn, Settling, Waits
from pytest_hydrasmoke._journal.chat import Counted, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.codec import decode

WAITS = Waits(5.0, 5.0, 2.0)


def known_to(
    folder: Path | None, process: str = "gw0", key: str = KEY, tier: str = "tier-1", **more: Any
) -> Instance:
    """Return an instance as a process knows it."""
    turns = RunTurns(folder and folder / "turns.jsonl", process, **more)
    turns.stage.test = "test_a"
    return Instance(SPEC.model_copy(update={"tier_id": tier}), key=key, run_turns=turns)


def looked(it: Instance, at: float, count: int) -> None:
    it.target.run_turns.note(it.target.turns_name, Counted(count, asked=at), at)


def watch(it: Instance, took: float, at: float = 100.0) -> None:
    """Take a turn, and watch its row come."""
    begin(it, 0, at - 1)
    end(it, at)
    for look in (took - 0.05, took):
        looked(it, at + look, int(look >= took))


def last(it: Instance) -> tuple[str, float]:
    """Return how the last turn ended, and when."""
    assert it.target.settling.last is not None
    return it.target.settling.last.how, it.target.settling.last.ended


def found_dead(folder: Path, process: str, at: float, **more: Any) -> Instance:
    """Look whether a turn may begin in another process, where the one that had begun has died."""
    heir = known_to(folder, process, **more)
    heir.target.run_turns.check_free(heir.target.turns_name, at)
    return heir


def test_what_is_known_goes_from_one_process_to_the_next(tmp_path: Path) -> None:
    first, second = known_to(tmp_path), known_to(tmp_path, "gw1")
    assert begin(first, 0, 90.0) == 1
    end(first, 100.0, end_seen=True)
    looked(first, 100.1, 1)
    assert second.target.settling == first.target.settling
    turn = LastTurn("", 0, 1, 100.1, "gw0", how="ended", ended=100.0, rose=100.1)
    assert (second.target.settling.last, second.target.settling.end_seen) == (turn, True)
    assert second.target.settling.since == 90.0
    assert second.target.settling.lags == Lags(0.0, 1)
    its = TurnAccount(Count(90.0, number=1))
    assert (first.target.has_last(its), second.target.has_last(its)) == (True, False)
    assert begin(second, 1, 102.0) == 2
    assert not first.target.has_last(its)
    first.target.run_turns.note(first.target.turns_name, TurnOver(1, "left"), 103.0)
    assert last(second)[0] == "under way", "it is no longer the first one's"


def test_a_turn_that_was_none_is_forgotten_by_all(tmp_path: Path) -> None:
    it, heir = known_to(tmp_path), known_to(tmp_path, "gw1")
    watch(it, 0.2)
    before = it.target.settling
    begin(it, 1, 190.0)
    assert it.target.settling != before
    end(it, 190.0, "refused")
    assert heir.target.settling == it.target.settling == before._replace(earlier=None, judged=1)


def test_a_turn_whose_process_died_in_it_was_cut_when_it_is_found(tmp_path: Path) -> None:
    begin(known_to(tmp_path), 0, 90.0)
    with pytest.raises(ChatBusyError, match="under way on this instance already, in worker gw0"):
        found_dead(tmp_path, "gw1", 100.0, lives=lambda it: it == "gw0")
    for now, name in ((200.0, "gw1"), (300.0, "gw2")):
        heir = found_dead(tmp_path, name, now, lives=lambda it: it != "gw0")
        assert last(heir) == ("cut", 200.0)
        assert heir.target.settling.settled_from(WAITS) == 205


def test_the_longest_lag_is_the_runs_whoever_has_seen_it_and_what_came_in_time_is_by_spec(
    tmp_path: Path,
) -> None:
    watch(known_to(tmp_path, "gw1", "night-1"), 0.2)
    watch(known_to(tmp_path, "gw2", "night-2"), 1.5)
    for name in ("gw1", "gw2", "gw3"):
        for key, tier, in_time in (("night-3", "tier-1", 2), ("night-4", "tier-2", 0)):
            it = known_to(tmp_path, name, key, tier)
            begin(it, 0, 200.0)
            assert it.target.settling.lags[:2] == (pytest.approx(1.45), in_time)
    assert known_to(tmp_path / "none").target.settling.lags == Lags()
    # A run without a folder knows its own turns.
    it = known_to(None)
    watch(it, 0.2)
    assert it.target.settling.lags[:2] == (pytest.approx(0.15), 1)
    assert known_to(None).target.settling == Settling()


def test_no_word_of_a_chat_is_told(tmp_path: Path) -> None:
    it = known_to(tmp_path, clean=lambda text: text.replace("token", "*****"))
    began = TurnBegan(1, "hello", "test_a[token]", before=0)
    it.target.run_turns.begin(it.target.turns_name, began, 90.0)
    [line] = (tmp_path / "turns.jsonl").read_bytes().splitlines()[1:]
    entry = decode(line)
    assert entry is not None
    assert entry.event == began._replace(message=None, test="test_a[*****]")


def test_a_turn_that_can_not_be_told_of_does_not_begin(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("not a folder")
    it = known_to(tmp_path / "runs")
    with pytest.raises(ConfigError, match="can't be written"):
        begin(it, 0, 1.0)
    assert it.target.settling == Settling()


def test_an_end_that_can_not_be_written_costs_others_a_wait(tmp_path: Path) -> None:
    it, file = known_to(tmp_path / "run"), tmp_path / "run/turns.jsonl"
    begin(it, 0, 90.0)
    file.rename(tmp_path / "away")
    file.mkdir()
    end(it, 100.0)
    assert last(it)[0] == "ended"
    file.rmdir()
    (tmp_path / "away").rename(file)
    assert last(found_dead(tmp_path / "run", "gw1", 101.0)) == ("cut", 101.0)


def test_half_a_line_spoils_no_other_and_is_read_once_it_is_whole(tmp_path: Path) -> None:
    it, heir, file = known_to(tmp_path), known_to(tmp_path, "gw1"), tmp_path / "turns.jsonl"
    begin(it, 0, 90.0)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert heir.target.settling.number == 0
    file.write_bytes(whole)
    assert heir.target.settling.number == 1
    with file.open("ab") as killed:
        killed.write(b'\n{"at": 95.0, "of"')
    end(it, 100.0)
    assert last(it)[0] == last(heir)[0] == "ended"
    # A file that was removed begins anew, and what is known stays.
    looked(it, 100.2, 1)
    measured = it.target.settling.lags
    file.unlink()
    assert begin(it, 1, 200.0) == 2
    assert it.target.settling.lags == measured
