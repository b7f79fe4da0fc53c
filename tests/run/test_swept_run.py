"""What sweeps keep of a run: in files of their own, by the times of files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from owner_tools import SPEC

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._journal.events import Became, Claimed, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of, swept_files, swept_name
from pytest_hydrasmoke._run.ledger import append, read
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept_run import AHEAD, NAMES, Slots, SweptRun, spans

HOUR = 3600.0
URL = "https://router.example"
TOKEN = "made-up-token-of-a-sweep"
ONE, OTHER = "owner-0", "owner-1"


@pytest.fixture
def folder(output: Path) -> Path:
    """A run's folder whose ledger has two claims."""
    folder = folder_of(output, "owner")
    folder.mkdir(parents=True)
    for key in (ONE, OTHER):
        append(folder, Entry(0.0, key, Claimed(SPEC, url=URL)), make=True)
    return folder


def write(folder: Path, key: str, *states: State) -> None:
    for state in states:
        append(folder, Entry(0.0, key, Became(state, "made-up")))


def older(file: Path | None, seconds: float) -> None:
    assert file is not None
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no space left")


def begin(folder: Path) -> tuple[SweptRun, LedgerReading]:
    reading = read(folder)
    return SweptRun(folder, reading, URL).begin(), reading


def sweep(folder: Path, key: str, state: State) -> SweptRun:
    """Let a sweep learn what became of a key, and end."""
    swept, _ = begin(folder)
    swept.learned(key, state)
    swept.end()
    return swept


def left(folder: Path) -> list[str]:
    """Return the keys that the next sweep asks for."""
    swept, reading = begin(folder)
    swept.end()
    return [str(known.key) for known in reading.open]


def test_an_age_is_the_difference_of_two_files_times_and_no_sweep_changes_it(folder: Path) -> None:
    ledger = folder / "ledger.jsonl"
    # File times have a grain. The sweep's own clock has no part.
    for seconds in (HOUR, 300 * 24 * HOUR):
        older(ledger, seconds)
        before = ledger.stat().st_mtime
        swept = sweep(folder, ONE, State.DELETED)
        assert swept.age >= seconds - 1
        assert ledger.stat().st_mtime == before
    older(ledger, -60 * 365 * 24 * HOUR)
    assert begin(folder)[0].age == 0, "a ledger from the future has no age"


def test_a_time_that_an_archive_has_lost_is_none(folder: Path) -> None:
    ledger, turns = folder / "ledger.jsonl", folder / "turns.jsonl"
    for lost in (0, 1_000_000_000):
        os.utime(ledger, (lost, lost))
        assert begin(folder)[0].age == 0
    # Another file of the run's tells, but no file of a sweep's.
    sweep(folder, ONE, State.DELETING)
    turns.touch()
    older(turns, HOUR)
    assert begin(folder)[0].age >= HOUR - 1
    # Of two that tell, the younger one does.
    older(turns, HOUR)
    os.utime(ledger)
    assert begin(folder)[0].age <= 1
    for swept in folder.glob("swept-*"):
        os.utime(swept, (0, 0))
    assert begin(folder)[0].asked[ONE] == 0


@pytest.mark.parametrize("state", State)
def test_what_a_sweep_has_closed_is_closed_until_the_ledger_grows(
    folder: Path, state: State
) -> None:
    closes = state in (State.DELETED, State.ABSENT, State.UNUSED)
    sweep(folder, ONE, state)
    sweep(folder, "owner-7", state)  # Of a key that the ledger has not, nothing is made up.
    assert left(folder) == ([OTHER] if closes else [ONE, OTHER])
    write(folder, ONE, State.REQUESTED)
    assert left(folder) == [ONE, OTHER]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"deleted", b"delete!"),
        lambda text: text.replace(b'"size"', b'"sizes"'),
        lambda text: text.replace(b'"ids": []', b'"ids": 7'),
        lambda text: b"[]\n7\n\xff\n" + text.replace(b"{", b"["),
    ],
    ids=["cut", "a word", "a field", "a number", "no facts"],
)
def test_a_damaged_line_closes_nothing(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    sweep(folder, ONE, State.DELETED)
    [file] = swept_files(folder)
    file.write_bytes(damage(file.read_bytes()))
    assert left(folder) == [ONE, OTHER]


def test_a_file_that_vanishes_as_it_is_read_hides_no_other(folder: Path) -> None:
    sweep(folder, ONE, State.DELETED)
    older(folder / "ledger.jsonl", HOUR)
    (folder / swept_name()).symlink_to(folder / "of a sweep that has just ended")
    swept, reading = begin(folder)
    assert [str(known.key) for known in reading.open] == [OTHER]
    assert swept.age >= HOUR - 1


def test_a_file_that_is_no_sweeps_by_its_name_closes_nothing(folder: Path) -> None:
    sweep(folder, ONE, State.DELETED)
    [file] = swept_files(folder)
    file.rename(folder / "swept-by-hand.jsonl")
    assert left(folder) == [ONE, OTHER]


def test_a_deletion_is_as_old_as_the_first_delete_since_it_was_seen_alive(folder: Path) -> None:
    write(folder, ONE, State.CREATED, State.DELETING)
    older(folder / "ledger.jsonl", 5 * HOUR)
    for hours, alive in ((4, False), (3, True), (1, False)):
        swept, _ = begin(folder)
        assert swept.deleting_for(ONE, ["made-up"]) >= 5 * HOUR - 1 or hours == 1
        if alive:
            swept.saw_alive(ONE)
            assert swept.deleting_for(ONE, ["made-up"]) == 0
        else:
            swept.learned(ONE, State.DELETING, ["made-up"])
        older(swept._file, hours * HOUR)
    swept, _ = begin(folder)
    assert HOUR - 1 <= swept.deleting_for(ONE, ["made-up"]) < 2 * HOUR
    # Of those of sweeps alone, the first one counts, whichever file is read first.
    for hours in (1, 3, 2):
        swept, _ = begin(folder)
        swept.learned(OTHER, State.DELETING)
        older(swept._file, hours * HOUR)
    swept, _ = begin(folder)
    assert swept.deleting_for(OTHER, ["made-up"]) >= 3 * HOUR - 1
    assert swept.deleting_for("owner-2", ["made-up"]) == 0


def test_a_delete_of_the_run_s_is_that_of_its_own_instance_alone(folder: Path) -> None:
    write(folder, ONE, State.CREATED, State.DELETING)
    older(folder / "ledger.jsonl", 5 * HOUR)
    for ids in (["another"], ["made-up", "another"]):
        assert begin(folder)[0].deleting_for(ONE, ids) == 0
    # What a sweep has had accepted is as old as that, and no older.
    swept, _ = begin(folder)
    swept.learned(OTHER, State.DELETING, ["made-up"])
    older(swept._file, HOUR)
    assert HOUR - 1 <= begin(folder)[0].deleting_for(OTHER, ["made-up"]) < 2 * HOUR


def test_what_another_sweep_has_closed_is_open_where_it_was_seen_alive_since(folder: Path) -> None:
    one, _ = begin(folder)
    other, _ = begin(folder)
    one.learned(ONE, State.DELETED, ["made-up"])
    older(one._file, 10.0)
    other.saw_alive(ONE)
    assert left(folder) == [ONE, OTHER]


def test_what_sweeps_have_found_is_known_where_this_one_can_write_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(folder, ONE, State.DELETED)
    monkeypatch.setattr(files, "make_mark", full)
    swept, reading = begin(folder)
    assert [str(known.key) for known in reading.open] == [OTHER]
    assert (swept.age, reading.problems) == (0.0, [])
    # What nobody can read may have anything in it.
    (folder / swept_name()).mkdir()
    [problem] = begin(folder)[1].problems
    assert "what an earlier sweep has found can't be read" in problem


def test_a_delete_before_it_was_seen_alive_proves_nothing(folder: Path) -> None:
    write(folder, ONE, State.CREATED, State.DELETING)
    swept, reading = begin(folder)
    assert reading.instances[ONE].accepted == ["made-up"]
    swept.saw_alive(ONE)
    assert begin(folder)[1].instances[ONE].accepted == []
    write(folder, OTHER, State.CREATED, State.DELETING, State.CREATED)
    assert read(folder).instances[OTHER].accepted == []


def test_a_file_with_nothing_in_it_goes(folder: Path) -> None:
    swept, _ = begin(folder)
    for _ in range(2):
        swept.end()
        assert swept_files(folder) == []
    sweep(folder, ONE, State.ABSENT)
    assert len(swept_files(folder)) == 1


def test_what_no_ledger_has_is_as_old_as_the_sweep_that_has_found_it(output: Path) -> None:
    folder = folder_of(output, "owner")
    folder.mkdir(parents=True)
    # What an earlier sweep has left tells nothing of the age of what it has not found.
    another = folder / swept_name()
    another.write_text("")
    older(another, 9 * HOUR)
    for hours, key in ((2, ONE), (1, OTHER)):
        swept, _ = begin(folder)
        swept.found(key, ["made-up"])
        assert swept.age_of(key) == 0
        older(swept._file, hours * HOUR)
    swept, reading = begin(folder)
    assert [swept.age_of(key) // (HOUR - 1) for key in (ONE, OTHER)] == [2, 1]
    assert swept.age_of("owner-2") == swept.age == 0
    assert [known.ids for known in reading.open] == [["made-up"], ["made-up"]]


def test_a_folder_that_cant_be_written_or_is_removed_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(files, "make_mark", closed)
        swept = sweep(folder, ONE, State.DELETED)
    assert (swept.age, swept_files(folder)) == (0, [])
    swept, _ = begin(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    swept.learned(ONE, State.DELETED)
    swept.end()
    assert not folder.exists(), "it is not made again"


def test_an_id_that_echoes_the_token_is_in_no_file(folder: Path) -> None:
    reading = read(folder)
    swept = SweptRun(
        folder, reading, URL, clean=lambda said: said.replace(TOKEN, "[TOKEN]")
    ).begin()
    swept.found("owner-9", (f"agent-{TOKEN}", "agent-9"))
    swept.learned(ONE, State.DELETED, (f"agent-{TOKEN}",))
    (file,) = swept_files(folder)
    assert TOKEN.encode() not in file.read_bytes()
    # The key stays, and so the next sweep asks for it.
    _, reading = begin(folder)
    assert reading.instances["owner-9"].ids == ["agent-9"]
    assert left(folder) == [OTHER, "owner-9"]


# Slots: which keys are asked for, and how keys are named


RUN = "night"
NAMED = [f"{RUN}-{name}" for name in NAMES]


def slots(*numbers: int) -> list[str]:
    return [f"{RUN}-{number}" for number in numbers]


def test_without_a_row_the_first_slots_and_the_names_are_asked_for_once() -> None:
    asked = Slots(RUN, (), 4)
    assert [*asked.more()] == [*slots(*range(AHEAD)), *NAMED]
    assert [*asked.more()] == []
    assert asked.words == f"slots 0-{AHEAD - 1}, nor under the bundled checks' names"


def test_a_run_that_may_have_used_more_is_asked_for_that_many() -> None:
    assert [*Slots(RUN, (), 100).more()] == [*slots(*range(100)), *NAMED]


def test_each_row_that_was_found_moves_the_end() -> None:
    asked = Slots(RUN, (), 4)
    assert len([*asked.more()]) == AHEAD + len(NAMES)
    assert [*asked.more(slots(1))] == slots(AHEAD, AHEAD + 1)
    assert [*asked.more(slots(1, 0))] == []
    assert [*asked.more(slots(1, AHEAD))] == slots(*range(AHEAD + 2, 2 * AHEAD + 1))


def test_what_a_ledger_has_is_not_asked_for_twice_and_moves_the_end_too() -> None:
    asked = Slots(RUN, [*slots(0, 2), NAMED[0]], 4)
    assert [*asked.more()] == [*slots(1, *range(3, 3 + AHEAD)), *NAMED[1:]]


@pytest.mark.parametrize("strange", ["other-70", f"{RUN}-x", f"{RUN}-070", f"{RUN}-99999999999"])
def test_a_key_that_is_no_slot_of_the_run_moves_nothing(strange: str) -> None:
    assert len([*Slots(RUN, [strange], 4).more([strange])]) == AHEAD + len(NAMES)


@given(st.sets(st.integers(0, 200)), st.integers(1, 120))
def test_every_slot_up_to_the_end_of_a_long_gap_is_asked_for(used: set[int], most: int) -> None:
    asked, found, seen = Slots(RUN, (), most), set[str](), list[str]()
    while new := [*asked.more(found)]:
        seen += new
        found |= {*new} & {*slots(*used)}
    assert len(seen) == len({*seen})
    last = -1
    for number in sorted(used):
        if number - last <= max(AHEAD, most):
            last = number
    assert found == {*slots(*(number for number in used if number <= last))}
    assert {*seen} == {*slots(*range(last + 1 + max(AHEAD, most))), *NAMED}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["a-10", "a-2", "a-9"], "a-2, a-9 to a-10"),
        (["b-0", "a-0", "a-1"], "a-0 to a-1, b-0"),
        (["a-0", "a-2", "a-4", "a-6"], "a-0, a-2, a-4 and 1 more"),
        (["a-x", "a-1", "a-0"], "a-0 to a-1, a-x"),
        (["a-x", "a-y"], "a-x, a-y"),
    ],
)
def test_keys_are_named_in_the_order_of_their_slots(keys: list[str], words: str) -> None:
    assert spans(keys) == words
    assert spans(keys[::-1]) == words
