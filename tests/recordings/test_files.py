"""Recordings on disk: whole files that are read back, found wherever they are, for one run."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

import pytest
from golden import golden
from hypothesis import given
from hypothesis import strategies as st
from recorded_turns import DONE, SPEC, TEST, frame, refusal, turn
from sizes import examples

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._options import how_to_set
from pytest_hydrasmoke._recordings import store
from pytest_hydrasmoke._recordings.compare import overlaid
from pytest_hydrasmoke._recordings.format import (
    NotWrittenError,
    Recorded,
    RecordedEvents,
    as_text,
    turns_of,
)
from pytest_hydrasmoke._recordings.store import RecordingStore, Tape, owner_in, path_of, replace
from pytest_hydrasmoke._run.locks import Lock

DAY = "2026-11-26"
ASCII = st.text('a"\\\n\x1f\x7f', min_size=1).map(str.encode)
PLACES = st.sampled_from([None, "shared", 0, 9, {"of": TEST, "number": 1}])
TURNS = st.builds(
    Recorded,
    chunks=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1) | ASCII), max_size=5),
    run=st.integers(1, 9),
    instance=PLACES,
    spec=st.just(SPEC),
    message=st.text(min_size=1),
    llm_events=st.none()
    | st.builds(RecordedEvents, st.integers(0, 9), st.just(("a", "b")), st.just(0.8)),
    end=st.sampled_from(["closed", "cut", "stalled", "left"]),
    said=st.none() | st.just("0123456789abcdef"),
)


@examples(30, 5_000)
@given(st.lists(TURNS, max_size=4), st.text())
def test_what_is_written_is_read_back_byte_for_byte(some: list[Recorded], owner: str) -> None:
    some += [refusal(b'{"detail": "booting"}'), refusal(b"\xff")]
    text = as_text(owner, some, DAY)
    raw = text.encode()
    assert turns_of(raw) == some
    assert owner_in(raw) == owner
    assert [it.stream for it in some] == [b"".join(part for _, part in it.chunks) for it in some]
    # As an editor, and a review, count lines.
    assert len(text.splitlines()) == text.count("\n")
    assert "\x7f" not in text


def test_a_file_has_a_chunk_a_line_and_says_what_it_is() -> None:
    some = [turn(frame("Ready"), "\u2028é".encode()[:-1]), turn(message="a\x7fb")]
    golden("recording", as_text(TEST, some, DAY))
    # It is hardly larger than its stream.
    spoken = frame(" word", finish_reason=None, index=0, logprobs=None)
    for chunk, most in ((spoken, 1.3), (b"data:  tok\n\n", 2.2)):
        text = as_text(TEST, [turn(*[chunk] * 500)], DAY)
        assert len(text.encode()) <= most * 500 * len(chunk)


HEAD = b'{"format": "pytest-hydrasmoke recording", "version": '


def test_what_is_no_recording_of_this_release_has_no_turns_and_no_owner() -> None:
    for text in (b"{", b"[]", b"{}", HEAD + b"1}", HEAD + b'1, "turns": [7]}'):
        assert turns_of(text) == []
    told = "it has version 2 of the format, not 1: update pytest-hydrasmoke, or move it away"
    with pytest.raises(NotWrittenError, match=re.escape(told)):
        turns_of(HEAD + b"2}")
    for text in (b'{"of": "x"}', HEAD + b"1}", HEAD + b'1, "of": "\\x"', b" " * 65_536 + HEAD):
        assert owner_in(text) is None


PATHS = {
    "tests/test_agent.py::test_answers": "tests/test_agent/test_answers.json",
    TEST: "tests/test_agent/test_answers[de].json",
    "tests/test_a.py::test_x[a-b=1,2 c]": "tests/test_a/test_x[a-b=1,2 c].json",
    "test_a.py::test_class::test_x": "test_a/test_class.test_x.json",
    "fixture tests::agent": "tests/fixture agent.json",
    "fixture ::agent[de]": "fixture agent[de].json",
    "fixture ::agent[a b]": "fixture agent[a b].json",
    "test_a.py::test_x[1.5]": "test_a/test_x[1.5].json",
    "hook pytest_x": "hook pytest_x.json",
    # A name that has to be changed has a digest.
    "test_a.py::TestIt::test_x": "test_a/testit.test_x-#.json",
    "test_a.py::test_x[a/b::c]": "test_a/test_x[a_b.c]-#.json",
    "test_a.py::test_x[é:*?]": "test_a/test_x[____]-#.json",
    "con.py::aux": "_con/_aux-#.json",
    "test_a.py::test_\ud800": "test_a/test__-#.json",
    "../up.py::test_x": "__/up/test_x-#.json",
    "a.py::b.c": "a/b.c-#.json",
    "a.yaml::b.": "a.yaml/b_-#.json",
    "a.py::test_b[x::y]": "a/test_b[x.y]-#.json",
    f"a.py::{'b' * 300}": f"a/{'b' * 100}-#.json",
    f"{'a/' * 30}b.py::c": "a/a/a/a/a/a/b/c-#.json",
}


@pytest.mark.parametrize("owner", PATHS, ids=ascii)
def test_a_plain_name_stays(owner: str) -> None:
    path = path_of(owner).as_posix()
    assert re.sub(r"-[0-9a-f]{8}\.json$", "-#.json", path) == PATHS[owner]


@examples(30, 5_000)
@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_owners_share_a_name_on_any_disk(one: str, other: str) -> None:
    names = [path_of(f"test_a.py::{it}").as_posix() for it in (one, other)]
    assert (names[0].lower() == names[1].lower()) == (one == other)
    assert all(re.fullmatch(r"[a-z0-9_\-.,=+\[\] /]{1,130}", it) for it in names)


def test_a_run_that_saw_an_owner_in_part_keeps_the_rest() -> None:
    other, gone = turn(DONE, instance=1), turn(b"3", message="Old")
    old = [turn(b"1"), turn(b"2"), gone, other]
    assert overlaid(old, [turn(b"4")], whole=True) == [turn(b"4"), turn(b"2"), other]
    # Another test's set-up may have said it.
    assert overlaid(old, [turn(b"4")], whole=False) == [turn(b"4"), turn(b"2"), gone, other]
    new = [turn(b"4"), turn(b"5"), turn(b"6", message="New")]
    assert overlaid(old[:1], new, whole=True) == new
    assert overlaid([], old, whole=True) == old


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_said_on_another_spec_stays_but_on_an_instance_of_its_own(whole: bool) -> None:
    for place in ("shared", None, 0):
        small, large, again = (
            turn(text, instance=place, spec={"tier_id": tier})
            for text, tier in ((b"1", "small"), (b"1", "large"), (b"2", "large"))
        )
        kept = [again] if place == 0 else [small, again]
        assert overlaid([small], [again], whole=whole) == kept
        if place != 0:
            assert overlaid([small, large], [again], whole=whole) == kept


# The folder

HALF = ".hydra-smoke-0123456789abcdef.tmp"


def written(folder: Path, day: str = DAY) -> RecordingStore:
    some = RecordingStore(folder)
    some.write(TEST, as_text(TEST, [turn(DONE)], day))
    return some


def recorded_into(some: RecordingStore) -> None:
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
    again = RecordingStore(tmp_path)
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
        RecordingStore(tmp_path).read(TEST)


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

    def full(path: Path, *arguments: object) -> int:
        assert path.match(".hydra-smoke-*.tmp")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.files, "opened", full)
    with pytest.raises(OSError, match="No space left on device"):
        replace(tmp_path / "c.json", "{}")


def test_what_a_killed_run_has_left_half_written_is_removed_unless_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(tmp_path / "tests" / HALF, "{")
    (tmp_path / "tests" / "a.tmp").touch()
    # Another run may write its report there.
    report = tmp_path / files.TEMPORARY.replace("*", "0123456789abcdef")
    report.touch()
    some = RecordingStore(tmp_path)
    recorded_into(some)
    some.end()
    assert report.exists()
    report.unlink()
    assert names(tmp_path) == ["a.tmp"]
    half = tmp_path / HALF
    half.touch()

    def done(path: Path) -> Lock:
        half.rename(tmp_path / "x.json")
        return Lock(path)

    monkeypatch.setattr(store, "Lock", done)
    recorded_into(RecordingStore(tmp_path))
    assert names(tmp_path) == ["a.tmp", "x.json"]


def test_one_run_at_a_time_records_into_a_folder(tmp_path: Path) -> None:
    one, other = (
        RecordingStore(tmp_path / "some" / "folder"),
        RecordingStore(tmp_path / "some" / "folder"),
    )
    one.begin()
    with pytest.raises(ConfigError) as caught:
        other.begin()
    assert str(caught.value).startswith(
        f"record: another run records into {one.folder}, and only one at a time may"
    )
    told = "wait until that run is over, or give this one another folder"
    assert caught.value.next_step == told
    other.end()  # It holds nothing.
    one.end()
    other.begin()
    shutil.rmtree(other.folder)
    other.end()
    recorded_into(other)
    assert names(tmp_path) == []


def test_a_disk_is_no_folder_of_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = written(tmp_path)
    # Two folders and a file, but for those that nobody looks at any more.
    monkeypatch.setattr(store, "_TOO_MANY", 2)
    told = r"^record: .* has 2 files or more: give a folder that is only for recordings\n"
    with pytest.raises(ConfigError, match=told) as caught:
        some.begin()
    assert caught.value.next_step == how_to_set("record")
    # It has become so while it is recorded into: what is not found is written where it belongs.
    assert RecordingStore(tmp_path).path(TEST) == tmp_path / path_of(TEST)
    monkeypatch.setattr(store, "_TOO_MANY", 4)
    recorded_into(some)
    (tmp_path / "file").touch()
    told = r"^record: .*file/recordings can't be written: Not a directory\n"
    with pytest.raises(ConfigError, match=told) as caught:
        RecordingStore(tmp_path / "file" / "recordings").begin()
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
    assert RecordingStore(tmp_path).owners == {TEST: tmp_path / path_of(TEST)}


# A run that lasts


def test_a_tape_keeps_what_it_can_t_write_and_reads_what_was_cut_short(tmp_path: Path) -> None:
    line = {"of": "test_a", "what": "not recorded", "why": "it failed"}
    for file in (tmp_path / "no-folder" / "recorded.jsonl", None):
        tape = Tape(file)
        tape.add(**line)
        assert list(tape.lines()) == tape.kept == [line]
        tape.discard()
    cut = tmp_path / "recorded.jsonl"
    cut.write_bytes(b'{"of": "test_it.py::test_first", "wha')
    tape = Tape(cut)
    tape.add(**line)
    assert (tape.kept, list(tape.lines())) == ([], [line])
    tape.discard()
    tape.discard()
    assert not cut.exists()
