"""Folders of recordings: what is read of them, and what is wrong with them, in words."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from recording_tools import SPEC, recording, says, turn, write
from replay_tools import COUNTED, REFUSED

from pytest_hydrasmoke.fake import FakeRouter, recording_files
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.recording_files import read
from pytest_hydrasmoke.fake.recordings import CountedEvents, Refused

TEST = "t.py::test"


def test_a_file_is_read_however_it_is_laid_out(tmp_path: Path) -> None:
    turns = [
        turn("one", b"data: a\n\n", b"data: \xc3", b"\xa4\n\n"),
        turn("two"),
        turn("three", b'data: ["x"],\n\n', llm_events=COUNTED, more="unknown"),
        turn("four", refused=REFUSED),
        {**turn("five"), "chunks": [[0, "data: at once\n\n"]]},
    ]
    text = recording(TEST, turns, generator="unknown")
    row = '[200, {"base64": "ZGF0YTogww=="}]'
    layouts = (
        text,
        text.replace("\n", "\r\n"),
        json.dumps(json.loads(text)),
        json.dumps(json.loads(text), indent=4),
        # A file that somebody has edited: chunks on one line beside those on lines of their own.
        text.replace(f"],\n{row}", f"],{row}"),
    )
    assert len(set(layouts)) == 5
    for layout in layouts:
        (tmp_path / "x.json").write_bytes(layout.encode())
        [one] = read(tmp_path).each
        assert [list(turn.stream()) for turn in one.turns] == [
            [b"data: a\n\n", b"data: \xc3", b"\xa4\n\n"],
            [],
            [b'data: ["x"],\n\n'],
            [],
            [b"data: at once\n\n"],
        ]


def test_whose_turns_they_are_and_what_came_of_them(tmp_path: Path) -> None:
    no = {"content_type": "text/plain", "body": "no"}
    of_fixture = {"of": "fixture ::agent", "number": 1}
    turns = [
        turn("a", llm_events={"count": 0, "providers": ["a", "b"], "after": 0}),
        turn("b", refused={**no, "status": 200}, instance=3),
        turn("c", refused={**no, "status": 599}, instance=of_fixture),
        turn("d", instance=None, run=2, spec={"tier_id": "t", "agent_name": None}),
    ]
    write(tmp_path, TEST, *turns)
    [one] = read(tmp_path).each
    assert [(it.of, it.number, it.run, it.message) for it in one.turns] == [
        (TEST, number, 1 + number // 3, message) for number, message in enumerate("abcd")
    ]
    claims = [it.claim for it in one.turns]
    assert claims == ["shared", (TEST, 3), ("fixture ::agent", 1), None]
    assert [it.llm_events for it in one.turns] == [CountedEvents(0, ("a", "b")), None, None, None]
    refused = [None, Refused(200, "text/plain", b"no"), Refused(599, "text/plain", b"no"), None]
    assert [it.refused for it in one.turns] == refused
    assert [it.end for it in one.turns] == ["closed", None, None, "closed"]
    assert [it.spec for it in one.turns] == [SPEC, SPEC, SPEC, {"tier_id": "t"}]


def test_a_folder_is_searched_and_other_files_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = {**SPEC, "tier_id": "small"}, {"manifest_id": "other", "tier_id": "large"}
    deep = tmp_path / "deep" / "down"
    turns = says("a", "b", spec=large), says("a", "b", spec=small)
    write(deep, "t.py::one", *turns, recorded="2026-10-01")
    write(tmp_path, "t.py::two", says("a", "b", spec=small), says("a", "b", spec={}))
    (tmp_path / "other.json").write_text("[1, 2]")
    (tmp_path / "-notes.json").write_text('{"format": "mine", "turns": 3}')
    (tmp_path / "README.md").write_text("ours")
    if hasattr(os, "mkfifo"):  # What is no file is not opened.
        os.mkfifo(tmp_path / "pipe.json")
    # Three folders and six files, whatever they are.
    entries = 3 + sum(it.is_file() or it.is_fifo() for it in tmp_path.rglob("*"))
    monkeypatch.setattr(recording_files, "_MOST", entries)
    found = read(tmp_path)
    assert found.folder == tmp_path
    assert {it.of for it in found.each} == set(found.by_owner) == {"t.py::one", "t.py::two"}
    assert [str(day) for day in found.days] == ["2026-10-01", "2026-11-20"]
    assert found.spec == small, "it is what most instances were"
    monkeypatch.setattr(recording_files, "_MOST", entries - 1)
    more = r"has more than .* files and folders: give a folder of recordings"
    with pytest.raises(ValueError, match=more):
        read(tmp_path)


def broken(**more: Any) -> str:
    return recording(TEST, [{**says("a", "b"), **more}])


def refusal(**more: Any) -> str:
    return recording(TEST, [turn("a", refused={**REFUSED, **more})])


def empty(**more: Any) -> str:
    return recording(TEST, [], **more)


REREAD = "this release reads 1: record it again, or use the release that wrote it"
CHUNK = "turns[0].chunks[{}] must be [milliseconds, text or base64]"
LATE = [[1, "x"], [2, "x"], [-1, "x"]]
OTHERWISE = "turns[0] must have either refused, or an end of closed, cut, stalled, left"
NAN = broken().replace('"run": 1', '"run": NaN')
BAD: list[tuple[str, str]] = [
    (empty(version=2), f"it is of version 2 of the format, and {REREAD}"),
    (empty(version=True), "it is of version True of the format"),
    (broken()[:-20], "0.json is damaged: Unterminated string starting at: line 6 "),
    (NAN, "0.json is damaged: NaN is no JSON: restore it, or record it again"),
    (NAN.replace("NaN", "Infinity"), "Infinity is no JSON"),
    ("[" * 100_000, "0.json is damaged: maximum recursion"),
    ("\xff", "0.json is damaged: "),
    (empty(recorded="yesterday"), "Invalid isoformat string: 'yesterday'"),
    (empty(recorded=7), "recorded must be a text, not 7"),
    (broken().replace(f'"of": "{TEST}"', '"of": null'), "damaged: of must be a text, not None"),
    (broken().replace('"turns"', '"turn"'), "damaged: turns must be a list, not None"),
    (empty().replace("[\n\n]", "[7]"), "turns[0] must be an object, not 7"),
    (broken(run=0), "turns[0].run must be a whole number, 1 or more, not 0"),
    (broken(run=True), "turns[0].run must be a whole number, 1 or more, not True"),
    (broken(instance=-1), "turns[0].instance must be a whole number, 0 or more, not -1"),
    (broken(instance={"number": 1}), "turns[0].instance.of must be a text, not None"),
    (broken(spec=None), "turns[0].spec must be an object, not None"),
    (broken(message=None), "turns[0].message must be a text, not None"),
    (broken(end="over"), OTHERWISE),
    (broken(refused=REFUSED), OTHERWISE),
    (broken(chunks=None), "turns[0].chunks must be a list, not None"),
    (broken(chunks=LATE), CHUNK.format(2)),
    (broken(chunks=LATE).replace(",\n[-1", ",[-1"), CHUNK.format(2)),
    (broken(chunks=[[1]]), CHUNK.format(0)),
    (broken(chunks=[[1, 2]]), CHUNK.format(0)),
    (broken(chunks=[[1, {"base64": "?"}]]), CHUNK.format(0)),
    (broken(chunks=[[1, "\ud800"]]), CHUNK.format(0)),
    (broken(llm_events=[]), "turns[0].llm_events must be an object, not []"),
    (broken(llm_events={**COUNTED, "count": "2"}), "[0].llm_events.count must be a whole number"),
    (broken(llm_events={**COUNTED, "providers": None}), "llm_events.providers must be a list, not"),
    (recording(TEST, [turn("a", refused=7)]), "turns[0].refused must be an object, not 7"),
    (refusal(status=600), "turns[0].refused.status must be a status of HTTP, not 600"),
    (refusal(status=199), "turns[0].refused.status must be a whole number, 200 or more, not 199"),
    (refusal(body=7), "turns[0].refused.body must be a text, or base64"),
    (refusal(content_type=7), "turns[0].refused.content_type must be a text, not 7"),
]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    for text, words in BAD:
        (tmp_path / "0.json").write_text(text, "latin-1")
        with pytest.raises(ValueError, match=r"0\.json") as caught:
            load(str(tmp_path))
        assert words in str(caught.value)


def test_ten_problems_are_told_and_how_many_more_there_are(tmp_path: Path) -> None:
    def told() -> str:
        with pytest.raises(ValueError, match=r"00\.json") as caught:
            read(tmp_path)
        return str(caught.value)

    (tmp_path / "00.json").write_text(empty(version=2))
    for number in range(1, 11):
        (tmp_path / f"{number:02}.json").write_text('{"format": ')
    assert told().count(" is damaged: ") == 9
    assert told().endswith("; 1 more of its files are wrong")
    (tmp_path / "10.json").unlink()
    assert (told().count("; "), told().count(" more of ")) == (9, 0)


def test_files_that_can_not_be_played(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no recordings: make them with --hydra-smoke-record"):
        load(str(tmp_path))
    one, two = (write(tmp_path, TEST, says("a", "b")) for _ in range(2))
    with pytest.raises(ValueError) as caught:
        FakeRouter(str(tmp_path))
    assert str(caught.value) == f"{two} and {one} are both of {TEST}: keep one"
    two.unlink()
    [read_before] = read(tmp_path).each
    one.write_text(recording(TEST, [says("a", "something else")]))
    with pytest.raises(ValueError, match="has changed since it was read: start the fake again"):
        read_before.turns[0].stream()
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"gone\.json: .*No such file"):
        read(tmp_path)


def test_memory_is_flat_in_the_length_of_a_stream(tmp_path: Path) -> None:
    def peak(length: int) -> int:
        folder = tmp_path / str(length)
        chunk = 'data: {{"choices": [{{"delta": {{"content": "{:08}"}}}}]}}\n\n'
        write(folder, TEST, turn("a", *(chunk.format(it).encode() for it in range(length))))
        tracemalloc.start()
        [one] = read(folder).each
        assert sum(1 for _ in one.turns[0].stream()) == length
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    # A line feed is kept of each, so that a problem is told with the line that it is in.
    assert peak(2_000) < peak(200) + 2_000 * 8
