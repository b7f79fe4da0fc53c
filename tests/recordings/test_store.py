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
from pytest_hydrasmoke._recordings.format import as_text, path_of
from pytest_hydrasmoke._recordings.store import Recordings, replace
from pytest_hydrasmoke._run.locks import Lock


def test_a_file_that_was_moved_is_found_by_its_owner(tmp_path: Path) -> None:
    first = Recordings(tmp_path)
    first.write(TEST, as_text(TEST, [turn(DONE)], "2026-11-26"))
    home = tmp_path / path_of(TEST)
    moved = home.rename(tmp_path / "moved.json")
    (tmp_path / "other.json").write_text("{}")
    again = Recordings(tmp_path)
    assert again.owners == {TEST: moved}
    assert again.read(TEST) == moved.read_bytes()
    for day in ("2026-11-27", "2026-11-28"):
        again.write(TEST, as_text(TEST, [], day))
        assert not home.exists()
        assert day.encode() in moved.read_bytes()


def test_what_is_somebody_else_s_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / path_of(TEST)
    replace(path, "{}")
    with pytest.raises(FileExistsError, match="is not a recording of it: move it away"):
        Recordings(tmp_path).read(TEST)


def test_a_file_that_can_t_be_replaced_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(OSError, match=r"x\.json"):
        replace(tmp_path / "x.json", "{}")
    assert [it.name for it in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("place", ["x.json", "new/x.json"])
def test_a_recording_may_be_read_by_others(tmp_path: Path, place: str) -> None:
    old = os.umask(0o022)
    try:
        replace(tmp_path / place, "{}")
    finally:
        os.umask(old)
    assert (tmp_path / place).stat().st_mode & 0o777 == 0o644


def test_what_could_not_even_be_begun_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pytest_hydrasmoke._recordings.store.opened", full)
    with pytest.raises(OSError, match="No space left on device"):
        replace(tmp_path / "x.json", "{}")


def test_a_half_written_file_may_be_done_before_it_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / ".hydra-smoke-0123456789abcdef.tmp"
    half.touch()

    def done(path: Path) -> Lock:
        half.rename(tmp_path / "x.json")
        return Lock(path)

    monkeypatch.setattr("pytest_hydrasmoke._recordings.store.Lock", done)
    some = Recordings(tmp_path)
    some.begin()
    some.end()
    assert [it.name for it in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_is_gone_at_the_end_is_no_harm(tmp_path: Path) -> None:
    some = Recordings(tmp_path / "recordings")
    some.begin()
    shutil.rmtree(some.folder)
    some.end()
    some.begin()
    some.end()


def test_a_folder_that_another_run_records_into_is_told(tmp_path: Path) -> None:
    one, other = Recordings(tmp_path), Recordings(tmp_path)
    one.begin()
    with pytest.raises(ConfigError) as caught:
        other.begin()
    assert str(caught.value).startswith(
        f"record: another run records into {tmp_path}, and only one at a time may"
    )
    told = "wait until that run is over, or give this one another folder"
    assert caught.value.next_step == told
    one.end()
    other.begin()
    other.end()


def test_what_a_killed_run_has_left_half_written_is_removed(tmp_path: Path) -> None:
    half = tmp_path / "tests" / ".hydra-smoke-0123456789abcdef.tmp"
    replace(half, "{")
    (tmp_path / "tests" / "a.tmp").touch()
    some = Recordings(tmp_path)
    some.begin()
    some.end()
    some.end()
    assert sorted(it.name for it in tmp_path.rglob("*.*")) == ["a.tmp"]


def test_a_disk_is_no_folder_of_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = Recordings(tmp_path)
    some.write(TEST, as_text(TEST, [turn(DONE)], "2026-11-26"))
    monkeypatch.setattr("pytest_hydrasmoke._recordings.store._MOST", 2)
    told = "files: give a folder that is only for recordings"
    with pytest.raises(ConfigError, match=told) as caught:
        some.begin()
    assert caught.value.next_step == how_to_set("record")
    # It has become so while it is recorded into: what is not found is written where it belongs.
    assert Recordings(tmp_path).path(TEST) == tmp_path / path_of(TEST)
    # Two folders and a file.
    monkeypatch.setattr("pytest_hydrasmoke._recordings.store._MOST", 3)
    some.begin()
    some.end()


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert Recordings(tmp_path).owners == {}


def test_a_file_that_goes_while_they_are_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone.json").touch()
    (tmp_path / "here.json").write_text(as_text(TEST, [], "2026-11-26"))

    def is_file(it: Path) -> bool:
        (tmp_path / "gone.json").unlink(missing_ok=True)
        return True

    monkeypatch.setattr(Path, "is_file", is_file)
    assert Recordings(tmp_path).owners == {TEST: tmp_path / "here.json"}


def test_a_folder_that_can_t_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = "file/recordings can't be written: Not a directory"
    with pytest.raises(ConfigError, match=told) as caught:
        Recordings(tmp_path / "file" / "recordings").begin()
    assert caught.value.next_step == how_to_set("record")
