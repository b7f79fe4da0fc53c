"""Folders of recordings: what is read of them, and what is wrong with them, in words."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from recording_tools import SPEC, recording, says, turn, write
from replay_tools import COUNTED, REFUSED

from pytest_hydrasmoke.fake import FakeRouter, recordings
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.recordings import CountedEvents, read

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
        assert [list(turn.chunks) for turn in one.turns] == [
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
    refused = [it.refused and dataclasses.astuple(it.refused) for it in one.turns]
    assert refused == [None, (200, "text/plain", b"no"), (599, "text/plain", b"no"), None]
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
    monkeypatch.setattr(recordings, "_MOST", entries)
    found = read(tmp_path)
    assert found.folder == tmp_path
    assert {it.of for it in found.each} == set(found.by_owner) == {"t.py::one", "t.py::two"}
    assert [str(day) for day in found.days] == ["2026-10-01", "2026-11-20"]
    assert found.spec == small, "it is what most instances were"
    monkeypatch.setattr(recordings, "_MOST", entries - 1)
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
CHUNK = "turns[0].chunks[{}]: must be [milliseconds, text or base64]"
LATE = [[1, "x"], [2, "x"], [-1, "x"]]
OTHERWISE = "turns[0]: must have either refused, or an end"
NAN = broken().replace('"run": 1', '"run": NaN')
BAD: list[tuple[str, str]] = [
    (empty(version=2), f"it is of version 2 of the format, and {REREAD}"),
    (empty(version=True), "it is of version True of the format"),
    (broken()[:-20], "0.json is damaged: Invalid JSON: EOF while parsing a string at line 6 "),
    (NAN, "0.json is damaged: turns[0].run: it should be a valid integer: restore it, or record"),
    ("[" * 100_000, "0.json is damaged: Invalid JSON: recursion limit exceeded"),
    ("\xff", "0.json is damaged: "),
    (empty(recorded="yesterday"), "recorded: it should be a valid date in the format YYYY-MM-DD"),
    (empty(recorded=7), "recorded: it should be a valid date"),
    (broken().replace(f'"of": "{TEST}"', '"of": null'), "damaged: of: it should be a valid string"),
    (broken().replace('"turns"', '"turn"'), "damaged: turns: Field required"),
    (empty().replace("[\n\n]", "[7]"), "turns[0]: it should be an object"),
    (broken(run=0), "turns[0].run: it should be greater than or equal to 1"),
    (broken(run=True), "turns[0].run: it should be a valid integer"),
    (broken(instance=-1), "turns[0].instance: must be a number, shared, or of and number"),
    (broken(instance={"number": 1}), "turns[0].instance: must be a number, shared, or of and"),
    (broken(spec=None), "turns[0].spec: it should be an object"),
    (broken(message=None), "turns[0].message: it should be a valid string"),
    (broken(end="over"), "turns[0].end: it should be 'closed', 'cut', 'stalled' or 'left'"),
    (broken(refused=REFUSED), OTHERWISE),
    (broken(end=None), OTHERWISE),
    (broken(chunks=None), "turns[0].chunks: it should be a valid array"),
    (broken(chunks=LATE), CHUNK.format(2)),
    (broken(chunks=[[1]]), CHUNK.format(0)),
    (broken(chunks=[[1, 2]]), "turns[0].chunks[0]: must be a text, or base64"),
    (broken(chunks=[[1, {"base64": "?"}]]), "chunks[0]: Only base64 data is allowed"),
    (broken(chunks=[[1, "\ud800"]]), "Invalid JSON: unexpected end of hex escape"),
    (broken(llm_events=[]), "turns[0].llm_events: it should be an object"),
    (broken(llm_events={**COUNTED, "count": "2"}), "[0].llm_events.count: it should be a valid"),
    (broken(llm_events={**COUNTED, "providers": None}), "llm_events.providers: it should be a"),
    (recording(TEST, [turn("a", refused=7)]), "turns[0].refused: it should be an object"),
    (refusal(status=600), "turns[0].refused.status: it should be less than or equal to 599"),
    (refusal(status=199), "turns[0].refused.status: it should be greater than or equal to 200"),
    (refusal(body=7), "turns[0].refused.body: must be a text, or base64"),
    (refusal(content_type=7), "turns[0].refused.content_type: it should be a valid string"),
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
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"gone\.json: .*No such file"):
        read(tmp_path)
