"""What sweeps keep of a run: in files of their own, by the times of files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from owner_tools import SPEC

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._journal.events import Became, Claimed, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of, swept_files, swept_name
from pytest_hydrasmoke._run.ledger import append, read
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept import Swept

HOUR = 3600.0
URL = "https://router.example"
TOKEN = "made-up-token-of-a-sweep"


@pytest.fixture
def folder(output: Path) -> Path:
    """A run's folder whose ledger has two claims."""
    folder = folder_of(output, "owner")
    folder.mkdir(parents=True)
    for slot in range(2):
        claim(folder, f"owner-{slot}")
    return folder


def claim(folder: Path, key: str) -> None:
    append(folder, Entry(0.0, key, Claimed(SPEC, url=URL)), make=True)


def write(folder: Path, key: str, state: State, name: str | None = None) -> None:
    append(folder, Entry(0.0, key, Became(state, name)))


def older(file: Path, seconds: float) -> None:
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def begin(folder: Path) -> tuple[Swept, LedgerReading]:
    reading = read(folder)
    return Swept(folder, reading, URL).begin(), reading


def left(folder: Path) -> list[str]:
    """Return the keys that the next sweep asks for."""
    swept, reading = begin(folder)
    swept.end()
    return [str(known.key) for known in reading.open]


def test_an_age_is_the_difference_of_two_files_times(folder: Path) -> None:
    older(folder / "ledger.jsonl", HOUR)
    swept, _ = begin(folder)
    # File times have a grain, and the ledger was written a moment ago.
    assert swept.age >= HOUR - 1
    # The sweep's own clock has no part in it: both files may be of any year.
    older(folder / "ledger.jsonl", 50 * 365 * 24 * HOUR)
    assert begin(folder)[0].age > 49 * 365 * 24 * HOUR


def test_a_ledger_from_the_future_has_no_age(folder: Path) -> None:
    older(folder / "ledger.jsonl", -HOUR)
    assert begin(folder)[0].age == 0


def test_a_sweep_leaves_the_ledger_as_old_as_it_is(folder: Path) -> None:
    older(folder / "ledger.jsonl", HOUR)
    before = (folder / "ledger.jsonl").stat().st_mtime
    swept, _ = begin(folder)
    swept.learned("owner-0", State.DELETED)
    assert (folder / "ledger.jsonl").stat().st_mtime == before


def test_what_a_sweep_has_closed_is_closed_for_the_next_one(folder: Path) -> None:
    swept, _ = begin(folder)
    swept.learned("owner-0", State.DELETED)
    swept.end()
    assert left(folder) == ["owner-1"]
    swept, _ = begin(folder)
    swept.learned("owner-1", State.ABSENT)
    assert left(folder) == []


def test_what_was_closed_is_open_again_once_the_ledger_grows(folder: Path) -> None:
    swept, _ = begin(folder)
    swept.learned("owner-0", State.DELETED)
    write(folder, "owner-0", State.REQUESTED)
    assert left(folder) == ["owner-0", "owner-1"]


@pytest.mark.parametrize("state", [State.GONE, State.READY, State.REFUSED, State.DELETING])
def test_only_a_closed_state_closes(folder: Path, state: State) -> None:
    swept, _ = begin(folder)
    swept.learned("owner-0", state)
    assert left(folder) == ["owner-0", "owner-1"]


def test_a_key_that_the_ledger_has_not_is_not_made_up(folder: Path) -> None:
    swept, _ = begin(folder)
    swept.learned("owner-7", State.DELETED)
    assert left(folder) == ["owner-0", "owner-1"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b"deleted", b"delete!"),
        lambda text: text.replace(b'"size"', b'"sizes"'),
        lambda text: text.replace(b'"ids": []', b'"ids": 7'),
        lambda text: b"[]\n7\n\xff\n" + text.replace(b"{", b"["),
        lambda text: b"[" * 100_000,
    ],
    ids=["cut", "a word", "a field", "a number", "no facts", "deep"],
)
def test_a_damaged_line_closes_nothing(folder: Path, damage: Any) -> None:
    swept, _ = begin(folder)
    swept.learned("owner-0", State.DELETED)
    [file] = swept_files(folder)
    file.write_bytes(damage(file.read_bytes()))
    assert left(folder) == ["owner-0", "owner-1"]


def test_the_first_sweep_that_asked_for_a_deletion_counts(folder: Path) -> None:
    for hours in (1, 3, 2):
        swept, _ = begin(folder)
        swept.learned("owner-0", State.DELETING)
        for file in swept_files(folder):
            if file.stat().st_size and file == swept._file:
                older(file, hours * HOUR)
    swept, _ = begin(folder)
    assert swept.deleting_for("owner-0", by_run=False) >= 3 * HOUR - 1
    assert swept.deleting_for("owner-1", by_run=False) == 0


def test_a_deletion_is_as_old_as_the_first_delete_since_it_was_seen_alive(folder: Path) -> None:
    older(folder / "ledger.jsonl", 5 * HOUR)
    for hours, alive in ((4, False), (3, True), (1, False)):
        swept, reading = begin(folder)
        assert swept.deleting_for("owner-0", by_run=True) >= 5 * HOUR - 1 or hours == 1
        reading.instances["owner-0"].accepted.append("made-up")
        if alive:
            swept.saw_alive("owner-0")
            assert swept.deleting_for("owner-0", by_run=True) == 0
        else:
            swept.learned("owner-0", State.DELETING, ["made-up"])
        assert swept._file is not None
        older(swept._file, hours * HOUR)
    swept, _ = begin(folder)
    assert HOUR - 1 <= swept.deleting_for("owner-0", by_run=True) < 2 * HOUR


def test_a_delete_before_it_was_seen_alive_proves_nothing(folder: Path) -> None:
    write(folder, "owner-0", State.CREATED, "made-up")
    write(folder, "owner-0", State.DELETING, "made-up")
    swept, reading = begin(folder)
    assert reading.instances["owner-0"].accepted == ["made-up"]
    swept.saw_alive("owner-0")
    assert begin(folder)[1].instances["owner-0"].accepted == []
    write(folder, "owner-1", State.CREATED, "other")
    write(folder, "owner-1", State.DELETING, "other")
    write(folder, "owner-1", State.CREATED, "other")
    assert read(folder).instances["owner-1"].accepted == []


def test_a_file_with_nothing_in_it_goes(folder: Path) -> None:
    swept, _ = begin(folder)
    assert len(swept_files(folder)) == 1
    swept.end()
    swept.end()
    assert swept_files(folder) == []
    swept, _ = begin(folder)
    swept.learned("owner-0", State.ABSENT)
    swept.end()
    assert len(swept_files(folder)) == 1


def test_what_no_ledger_has_is_as_old_as_the_sweep_that_has_found_it(output: Path) -> None:
    folder = folder_of(output, "owner")
    folder.mkdir(parents=True)
    # What an earlier sweep has left tells nothing of the age of what it has not found.
    (folder / swept_name("another")).write_text("")
    older(folder / swept_name("another"), 9 * HOUR)
    for slot in range(2):
        swept, _ = begin(folder)
        swept.found(f"owner-{slot}", ["made-up"])
        assert swept.age_of(f"owner-{slot}") == 0
        assert swept._file is not None
        older(swept._file, (2 - slot) * HOUR)
    swept, reading = begin(folder)
    assert [swept.age_of(key) // (HOUR - 1) for key in ("owner-0", "owner-1")] == [2, 1]
    assert swept.age_of("owner-2") == swept.age == 0
    assert [known.ids for known in reading.open] == [["made-up"], ["made-up"]]


def test_a_folder_that_cant_be_written_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(files, "make_mark", closed)
        swept, _ = begin(folder)
    swept.learned("owner-0", State.DELETED)
    swept.end()
    assert (swept.age, swept_files(folder)) == (0, [])


def test_a_folder_that_is_removed_meanwhile_is_not_made_again(folder: Path) -> None:
    swept, _ = begin(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    swept.learned("owner-0", State.DELETED)
    swept.end()
    assert not folder.exists()


def test_an_id_that_echoes_the_token_is_in_no_file(folder: Path) -> None:
    swept = Swept(
        folder, read(folder), URL, clean=lambda said: said.replace(TOKEN, "[TOKEN]")
    ).begin()
    swept.found("owner-9", (f"agent-{TOKEN}", "agent-9"))
    swept.learned("owner-0", State.DELETED, (f"agent-{TOKEN}",))
    (file,) = swept_files(folder)
    assert TOKEN.encode() not in file.read_bytes()
    # The key stays, and so the next sweep asks for it.
    _, reading = begin(folder)
    assert reading.instances["owner-9"].ids == ["agent-9"]
    assert left(folder) == ["owner-1", "owner-9"]
