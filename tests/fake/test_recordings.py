"""Folders of recordings: what is read of them, and what is wrong with them, in words."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from recording_tools import SPEC, recording, says, turn, write

from pytest_hydrasmoke.fake import FakeRouter, recording_files
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.recording_files import read
from pytest_hydrasmoke.fake.recordings import Counted, Refused

COUNTED = {"count": 2, "providers": ["anthropic"], "after": 0.8}
REFUSED = {"status": 503, "content_type": "text/plain", "body": "busy"}


def played(folder: Path) -> list[list[bytes]]:
    [recording] = read(folder).each
    return [list(turn.stream()) for turn in recording.turns]


def test_a_file_is_read_however_it_is_laid_out(tmp_path: Path) -> None:
    turns = [
        turn("one", b"data: a\n\n", b"data: \xc3", b"\xa4\n\n"),
        turn("two"),
        turn("three", b'data: ["x"],\n\n', llm_events=COUNTED, more="unknown"),
        turn("four", refused=REFUSED),
    ]
    text = recording("t.py::test", turns, generator="unknown")
    layouts = (
        text,
        text.replace("\n", "\r\n"),
        json.dumps(json.loads(text)),
        json.dumps(json.loads(text), indent=4),
        # A file that somebody has edited: chunks on one line beside those on lines of their own.
        text.replace(
            '],\n[200, {"base64": "ZGF0YTogww=="}]', '],[200, {"base64": "ZGF0YTogww=="}]'
        ),
    )
    for number, layout in enumerate(layouts):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "x.json").write_bytes(layout.encode())
        assert played(folder) == [
            [b"data: a\n\n", b"data: \xc3", b"\xa4\n\n"],
            [],
            [b'data: ["x"],\n\n'],
            [],
        ]


def test_whose_turns_they_are(tmp_path: Path) -> None:
    of_fixture = {"of": "fixture ::agent", "number": 1}
    turns = [turn(str(it), instance=it) for it in ("shared", 3, of_fixture, None)]
    write(tmp_path, "t.py::test", *turns)
    [one] = read(tmp_path).each
    assert [it.claim for it in one.turns] == [
        "shared",
        ("t.py::test", 3),
        ("fixture ::agent", 1),
        None,
    ]


def test_what_came_of_a_turn_is_read(tmp_path: Path) -> None:
    counted = {"count": 0, "providers": ["a", "b"], "after": 0}
    no = {"content_type": "text/plain", "body": "no"}
    refused = [turn("b", refused={**no, "status": status}) for status in (200, 599)]
    write(tmp_path, "t.py::test", turn("a", llm_events=counted), *refused)
    [one] = read(tmp_path).each
    assert [it.llm_events for it in one.turns] == [Counted(0, ("a", "b")), None, None]
    assert [it.refused for it in one.turns] == [
        None,
        Refused(200, "text/plain", b"no"),
        Refused(599, "text/plain", b"no"),
    ]


def test_a_folder_is_searched_and_other_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "down", "t.py::one", says("a", "b"), recorded="2026-10-01")
    write(tmp_path, "t.py::two", says("a", "b"))
    (tmp_path / "other.json").write_text("[1, 2]")
    (tmp_path / "-notes.json").write_text('{"format": "mine", "turns": 3}')
    (tmp_path / "README.md").write_text("ours")
    found = read(tmp_path)
    assert {it.of for it in found.each} == {"t.py::one", "t.py::two"}
    assert [str(day) for day in found.days] == ["2026-10-01", "2026-11-20"]


def test_what_most_instances_were(tmp_path: Path) -> None:
    small, large = {**SPEC, "tier_id": "small"}, {"manifest_id": "other", "tier_id": "large"}
    write(tmp_path, "t.py::one", says("a", "b", spec=large), says("a", "b", spec=small))
    write(tmp_path, "t.py::two", says("a", "b", spec=small), says("a", "b", spec={}))
    assert read(tmp_path).spec == small


def test_a_chunk_may_have_come_at_once(tmp_path: Path) -> None:
    write(tmp_path, "t.py::test", {**turn("a"), "chunks": [[0, "data: b\n\n"]]})
    assert played(tmp_path) == [[b"data: b\n\n"]]


def broken(**more: Any) -> str:
    return recording("t.py::test", [{**says("a", "b"), **more}])


BAD: list[tuple[str, str]] = [
    (
        recording("t.py::test", [], version=2),
        "this release reads 1: record it again, or use the release that wrote it",
    ),
    (recording("t.py::test", [], version=2), "it is of version 2 of the format, and"),
    (recording("t.py::test", [], version=True), "it is of version True of the format"),
    (broken()[:-20], "0.json is damaged: Unterminated string starting at: line 6 "),
    (broken().replace('"run": 1', '"run": NaN'), "NaN is no JSON"),
    (broken().replace('"run": 1', '"run": Infinity'), "Infinity is no JSON"),
    ("[" * 100_000, "0.json is damaged: maximum recursion"),
    ("\xff", "0.json is damaged: "),
    (recording("t.py::test", [], recorded="yesterday"), "Invalid isoformat string: 'yesterday'"),
    (recording("t.py::test", [], recorded=7), "recorded must be a text, not 7"),
    (
        broken().replace('"of": "t.py::test"', '"of": null'),
        "0.json is damaged: of must be a text, not None",
    ),
    (broken().replace('"turns"', '"turn"'), "0.json is damaged: turns must be a list, not None"),
    (broken(run=0), "turns[0].run must be a whole number, 1 or more, not 0"),
    (broken(run=True), "turns[0].run must be a whole number, 1 or more, not True"),
    (broken(instance=-1), "turns[0].instance must be a whole number, 0 or more, not -1"),
    (broken(instance={"number": 1}), "turns[0].instance.of must be a text, not None"),
    (broken(spec=None), "turns[0].spec must be an object, not None"),
    (broken(message=None), "turns[0].message must be a text, not None"),
    (
        broken(end="over"),
        "turns[0] must have either refused, or an end of closed, cut, stalled, left",
    ),
    (broken(refused=REFUSED), "turns[0] must have either refused, or an end of"),
    (broken(chunks=None), "turns[0].chunks must be a list, not None"),
    (
        broken(chunks=[[1, "x"], [2, "x"], [-1, "x"]]),
        "turns[0].chunks[2] must be [milliseconds, text or base64]",
    ),
    (broken(chunks=[[1]]), "turns[0].chunks[0] must be"),
    (broken(chunks=[[1, 2]]), "turns[0].chunks[0] must be"),
    (broken(chunks=[[1, {"base64": "?"}]]), "turns[0].chunks[0] must be"),
    (broken(chunks=[[1, "\ud800"]]), "turns[0].chunks[0] must be"),
    (
        broken(chunks=[[1, "x"], [2, "x"], [-1, "x"]]).replace(",\n[-1", ",[-1"),
        "turns[0].chunks[2] must be",
    ),
    (recording("t.py::test", []).replace("[\n\n]", "[7]"), "turns[0] must be an object, not 7"),
    (broken(llm_events=[]), "turns[0].llm_events must be an object, not []"),
    (broken(llm_events={**COUNTED, "count": "2"}), "llm_events.count must be a whole number"),
    (
        broken(llm_events={**COUNTED, "providers": None}),
        "llm_events.providers must be a list, not None",
    ),
]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    for text, words in BAD:
        (tmp_path / "0.json").write_text(text, "latin-1")
        with pytest.raises(ValueError, match=r"0\.json") as caught:
            load(str(tmp_path))
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ({**REFUSED, "status": 600}, "turns[0].refused.status must be a status of HTTP, not 600"),
        ({**REFUSED, "body": 7}, "turns[0].refused.body must be a text, or base64"),
        (7, "turns[0].refused must be an object, not 7"),
        ({**REFUSED, "status": 199}, "turns[0].refused.status must be a whole number, 200 or more"),
        ({**REFUSED, "content_type": 7}, "turns[0].refused.content_type must be a text, not 7"),
    ],
)
def test_what_is_wrong_with_a_refusal_is_said(tmp_path: Path, refused: Any, words: str) -> None:
    write(tmp_path, "t.py::test", turn("a", refused=refused))
    with pytest.raises(ValueError, match="is damaged") as caught:
        read(tmp_path)
    assert words in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    for _ in range(12):
        write(tmp_path, "t.py::test", turn("a", end="over"))
    with pytest.raises(ValueError, match="2 more of its files are wrong") as caught:
        read(tmp_path)
    assert str(caught.value).count("is damaged") == 10


def test_ten_problems_are_told_and_how_many_more_there_are(tmp_path: Path) -> None:
    def told() -> str:
        with pytest.raises(ValueError, match=r"00\.json") as caught:
            read(tmp_path)
        return str(caught.value)

    (tmp_path / "00.json").write_text(recording("t.py::test", [], version=2))
    for number in range(1, 11):
        (tmp_path / f"{number:02}.json").write_text('{"format": ')
    assert told().count(" is damaged: ") == 9
    assert told().endswith("; 1 more of its files are wrong")
    (tmp_path / "10.json").unlink()
    assert (told().count("; "), told().count(" more of ")) == (9, 0)


def test_how_much_a_folder_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two folders and four files, whatever they are.
    for place in (tmp_path, tmp_path, tmp_path / "below"):
        write(place, f"t.py::{place.name}{len(list(tmp_path.iterdir()))}", says("a", "b"))
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.setattr(recording_files, "_MOST", 6)
    found = read(tmp_path)
    assert (found.folder, len(found.each), len(found.by_owner)) == (tmp_path, 3, 3)
    monkeypatch.setattr(recording_files, "_MOST", 5)
    more = r"has more than .* files and folders: give a folder of recordings"
    with pytest.raises(ValueError, match=more):
        read(tmp_path)


def test_two_files_of_one_test(tmp_path: Path) -> None:
    one, two = (write(tmp_path, "t.py::test", says("a", "b")) for _ in range(2))
    with pytest.raises(ValueError, match=r"are both of t\.py::test: keep one") as caught:
        FakeRouter(str(tmp_path))
    assert str(one) in str(caught.value)
    assert str(two) in str(caught.value)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"gone\.json: .*No such file"):
        read(tmp_path)


def test_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no recordings: make them with --hydra-smoke-record"):
        load(str(tmp_path))
    with pytest.raises(ValueError, match=r"there is no scenario '.*nothing/': give one of"):
        load(f"{tmp_path / 'nothing'}/")


def test_a_file_that_changes_while_it_is_replayed(tmp_path: Path) -> None:
    file = write(tmp_path, "t.py::test", says("a", "b"))
    [one] = read(tmp_path).each
    file.write_text(recording("t.py::test", [says("a", "something else")]))
    with pytest.raises(ValueError, match="has changed since it was read: start the fake again"):
        one.turns[0].stream()


def test_memory_is_flat_in_the_length_of_a_stream(tmp_path: Path) -> None:
    def peak(length: int) -> int:
        folder = tmp_path / str(length)
        folder.mkdir()
        chunks = [
            f'data: {{"choices": [{{"delta": {{"content": "{it:08}"}}}}]}}\n\n'.encode()
            for it in range(length)
        ]
        write(folder, "t.py::test", turn("a", *chunks))
        tracemalloc.start()
        [one] = read(folder).each
        assert sum(1 for _ in one.turns[0].stream()) == length
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    # A line feed is kept of each, so that a problem is told with the line that it is in.
    assert peak(5_000) < peak(200) + 5_000 * 8


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match="has no recordings"):
        load(str(tmp_path))
