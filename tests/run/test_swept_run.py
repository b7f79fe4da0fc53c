"""What sweeps keep of a run: in files of their own, by the times of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from owner_tools import SPEC

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._journal.events import Became, Claimed, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of, swept_files, swept_name
from pytest_hydrasmoke._run.ledger import append, read
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept_run import SweptRun

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
    # File times have a grain. The sweep's own clock has no part: files may be of any year.
    for seconds in (HOUR, 50 * 365 * 24 * HOUR):
        older(ledger, seconds)
        before = ledger.stat().st_mtime
        swept = sweep(folder, ONE, State.DELETED)
        assert swept.age >= seconds - 1
        assert ledger.stat().st_mtime == before
    older(ledger, -60 * 365 * 24 * HOUR)
    assert begin(folder)[0].age == 0, "a ledger from the future has no age"


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


def test_a_deletion_is_as_old_as_the_first_delete_since_it_was_seen_alive(folder: Path) -> None:
    older(folder / "ledger.jsonl", 5 * HOUR)
    for hours, alive in ((4, False), (3, True), (1, False)):
        swept, reading = begin(folder)
        assert swept.deleting_for(ONE, by_run=True) >= 5 * HOUR - 1 or hours == 1
        reading.instances[ONE].accepted.append("made-up")
        if alive:
            swept.saw_alive(ONE)
            assert swept.deleting_for(ONE, by_run=True) == 0
        else:
            swept.learned(ONE, State.DELETING, ["made-up"])
        older(swept._file, hours * HOUR)
    swept, _ = begin(folder)
    assert HOUR - 1 <= swept.deleting_for(ONE, by_run=True) < 2 * HOUR
    # Of those of sweeps alone, the first one counts, whichever file is read first.
    for hours in (1, 3, 2):
        swept, _ = begin(folder)
        swept.learned(OTHER, State.DELETING)
        older(swept._file, hours * HOUR)
    swept, _ = begin(folder)
    assert swept.deleting_for(OTHER, by_run=False) >= 3 * HOUR - 1
    assert swept.deleting_for("owner-2", by_run=False) == 0


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
