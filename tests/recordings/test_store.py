"""The folder of recordings: whole files only, found wherever they are, and one run at a time."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from recorded_turns import DONE, TEST, turn

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._options import how_to_set
from pytest_hydrasmoke._recordings import store
from pytest_hydrasmoke._recordings.format import as_text, path_of
from pytest_hydrasmoke._recordings.store import Recordings, replace
from pytest_hydrasmoke._run.locks import Lock

HALF = ".hydra-smoke-0123456789abcdef.tmp"


def written(folder: Path, day: str = "2026-11-26") -> Recordings:
    some = Recordings(folder)
    some.write(TEST, as_text(TEST, [turn(DONE)], day))
    return some


def recorded_into(some: Recordings) -> None:
    some.begin()
    some.end()


def names(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.rglob("*.*"))


def test_a_file_that_was_moved_is_found_by_its_owner(tmp_path: Path) -> None:
    written(tmp_path)
    home = tmp_path / path_of(TEST)
    moved = home.rename(tmp_path / "moved.json")
    (tmp_path / "other.json").write_text("{}")
    os.mkfifo(tmp_path / "pipe.json")  # It is not opened.
    again = Recordings(tmp_path)
    assert again.owners == {TEST: moved}
    assert again.read(TEST) == moved.read_bytes()
    assert again.read("test_a.py::test_b") is None
    for day in ("2026-11-27", "2026-11-28"):
        again.write(TEST, as_text(TEST, [], day))
        assert not home.exists()
        assert day.encode() in moved.read_bytes()


def test_what_is_somebody_else_s_is_not_replaced(tmp_path: Path) -> None:
    replace(tmp_path / path_of(TEST), "{}")
    with pytest.raises(FileExistsError, match="is not a recording of it: move it away"):
        Recordings(tmp_path).read(TEST)


def test_a_file_goes_whole_to_its_place_and_may_be_read_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = os.umask(0o022)
    try:
        for place in ("a.json", "new/and/deep/b.json"):
            replace(tmp_path / place, "é")
            assert (tmp_path / place).read_text("utf-8") == "é"
            assert (tmp_path / place).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(old)
    (tmp_path / "x.json").mkdir()
    with pytest.raises(OSError, match=r"x\.json"):
        replace(tmp_path / "x.json", "{}")
    assert names(tmp_path) == ["a.json", "b.json", "x.json"]

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "opened", full)
    with pytest.raises(OSError, match="No space left on device"):
        replace(tmp_path / "c.json", "{}")


def test_what_a_killed_run_has_left_half_written_is_removed_unless_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(tmp_path / "tests" / HALF, "{")
    (tmp_path / "tests" / "a.tmp").touch()
    some = Recordings(tmp_path)
    recorded_into(some)
    some.end()
    assert names(tmp_path) == ["a.tmp"]
    half = tmp_path / HALF
    half.touch()

    def done(path: Path) -> Lock:
        half.rename(tmp_path / "x.json")
        return Lock(path)

    monkeypatch.setattr(store, "Lock", done)
    recorded_into(Recordings(tmp_path))
    assert names(tmp_path) == ["a.tmp", "x.json"]


def test_one_run_at_a_time_records_into_a_folder(tmp_path: Path) -> None:
    one, other = Recordings(tmp_path / "some" / "folder"), Recordings(tmp_path / "some" / "folder")
    one.begin()
    with pytest.raises(ConfigError) as caught:
        other.begin()
    assert str(caught.value).startswith(
        f"record: another run records into {one.folder}, and only one at a time may"
    )
    told = "wait until that run is over, or give this one another folder"
    assert caught.value.next_step == told
    one.end()
    other.begin()
    shutil.rmtree(other.folder)
    other.end()
    recorded_into(other)
    assert names(tmp_path) == []


def test_a_disk_is_no_folder_of_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = written(tmp_path)
    monkeypatch.setattr(store, "_MOST", 2)
    told = r"^record: .* has more than 2 files: give a folder that is only for recordings\n"
    with pytest.raises(ConfigError, match=told) as caught:
        some.begin()
    assert caught.value.next_step == how_to_set("record")
    # It has become so while it is recorded into: what is not found is written where it belongs.
    assert Recordings(tmp_path).path(TEST) == tmp_path / path_of(TEST)
    # Two folders and a file.
    monkeypatch.setattr(store, "_MOST", 3)
    recorded_into(some)
    (tmp_path / "file").touch()
    told = r"^record: .*file/recordings can't be written: Not a directory\n"
    with pytest.raises(ConfigError, match=told) as caught:
        Recordings(tmp_path / "file" / "recordings").begin()
    assert caught.value.next_step == how_to_set("record")


def test_a_file_that_goes_while_they_are_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone.json").touch()
    written(tmp_path)

    def is_file(it: Path) -> bool:
        (tmp_path / "gone.json").unlink(missing_ok=True)
        return True

    monkeypatch.setattr(Path, "is_file", is_file)
    assert Recordings(tmp_path).owners == {TEST: tmp_path / path_of(TEST)}
