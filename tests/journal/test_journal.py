"""The one writer of a process: nothing stops it, and little of what it wrote is ever lost."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import get_args

import pytest

from pytest_hydrasmoke._journal import chat, events
from pytest_hydrasmoke._journal import journal as room
from pytest_hydrasmoke._journal.codec import decode, encode, entries_of
from pytest_hydrasmoke._journal.events import (
    Attempt,
    Entry,
    Event,
    Failed,
    FailedTest,
    Noted,
    Status,
)
from pytest_hydrasmoke._journal.journal import Journal, read, sizes
from pytest_hydrasmoke._journal.run_story import fold
from pytest_hydrasmoke._journal.states import State

TOOLS = (
    chat.ToldCall("look", "a", "{}", None, 0.5, 0),
    chat.ToldCall("wait", None, None, "x", 0.7, 3),
)
WHOLE = chat.Turn(
    *(3, "hello", "test_a", 2, True, "so be it", 9, (0.5, 1.5), 2.0, 0.5, 1.0, True, "stop"),
    *(TOOLS, (chat.Thought("so", 0.1, 0),), chat.Tokens(7, 2), ("odd",), "cut", "streamed"),
)
SPEC = {"tier_id": "t", "more": {"a": [1, None]}}
EVENTS: list[Event] = [
    WHOLE,
    chat.Turn(1, None),
    chat.Counted(2, ("a", "b")),
    events.Became(State.READY, "an-id"),
    events.Claimed(SPEC, False, "https://router.example", True, "s"),
    events.Alive(),
    events.Prepared(),
    events.Refuted("chat", "test_a.py::test_a", "no room"),
    events.CleanedUp(),
    events.Learned(State.DELETED, ("an-id",), 400),
    events.Answered(),
    events.Heard("message", "object", ("a", "b"), "token"),
    FailedTest("test_a", "words", "failed", (1, 2), ("run-0",), again=True),
    Attempt("status", "GET", "/x", 1, 0.5, None, "lost"),
    events.Selected(("test_a", "test_b")),
    events.Doing("turn", 120.0, "look"),
]


def made(folder: Path, *, replies: bool = True, clean: str = "") -> Journal:
    def masked(text: str) -> str:
        return text.replace(clean, "****") if clean else text

    return Journal(folder, "main", "run", masked, replies=replies)


def entries(folder: Path, journal: Journal) -> list[Event]:
    [its] = read(folder, {"main": journal.text}).values()
    return [entry.event for entry in its[1:]]


def test_what_is_written_is_what_is_read() -> None:
    entries = [Entry(1.5, "run-0", event) for event in EVENTS]
    assert [decode(encode(entry, str, replies=True)) for entry in entries] == entries
    names = [kind.__name__ for kind in get_args(Event)]
    assert len(names) == len(set(names))


def changed(event: Event, **fields: object) -> bytes:
    """Return the line of an event, with some fields of it others."""
    line = encode(Entry(1.5, "k", event), str, replies=True)
    return json.dumps(json.loads(line) | fields).encode()


def test_any_other_line_is_left_out() -> None:
    line = encode(Entry(1.5, None, Status("x")), str, replies=True)
    known = json.loads(line)
    others = (
        *(line[:at] for at in range(len(line) - 2)),
        *(json.dumps(known | it).encode() for it in ({"is": "Other"}, {"at": None}, {"more": 1})),
        b"[]",
        b"7",
        b"\xff",
        line.replace(b'"schema": 4', b'"schema": 3'),
        *(changed(Status("x"), of=of) for of in (7, ["k"])),
        *(changed(events.Became(State.READY), **it) for it in ({"state": "no state"}, {"id": 7})),
        changed(chat.Turn(1, ""), usage=[1, 2, 3]),
        b"[" * 100_000,
    )
    for it in others:
        with pytest.raises(ValueError):
            decode(it)
    assert list(entries_of(b"\n".join((*others, line)))) == [decode(line)]


def test_the_token_and_what_was_said_are_left_out_where_it_is_written(tmp_path: Path) -> None:
    journal = made(tmp_path, replies=False, clean="secret-1")
    for event in (
        WHOLE,
        chat.TurnBegan(1, "said secret-1", "test_a"),
        Failed(1, "said secret-1", "ChatError"),
        FailedTest("test_a", "said", "failed"),
        Noted("in a chat, said", "in a chat"),
        Noted("no words of secret-1 are said"),
        events.Drifted("secret-1"),
        events.Doing("turn", 120.0, "said_so"),
    ):
        journal.note(event, "run-0")
    text = (tmp_path / "journal" / "main.jsonl").read_text("utf-8")
    assert "secret-1" not in text
    assert "so be it" not in text
    assert text.count("said") == 1, "a note without an agent's words is told"
    assert '"tool": "a tool"' in text
    told = fold(read(tmp_path, {})).instances["run-0"]
    assert list(told.notes) == ["in a chat", "no words of **** are said"]
    assert told.chats.turns[0].turn.error == "(kept out of the report)"
    assert [failure.message for failure in told.failures.values()] == [None]


def test_a_file_is_its_owners_and_goes_with_the_run(tmp_path: Path) -> None:
    journal = made(tmp_path)
    file = tmp_path / "journal" / "main.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sizes(tmp_path) == {"main.jsonl": file.stat().st_size}
    (file.parent / "gw0.jsonl").touch()
    journal.discard(tmp_path)
    assert not file.parent.exists()
    journal.discard(tmp_path)


def test_a_thread_that_outlives_it_writes_into_no_file_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, close, written = made(tmp_path), os.close, list[bytes]()

    def closes(number: int) -> None:
        close(number)
        with (tmp_path / "another").open("w+b", buffering=0) as file:
            assert file.fileno() == number
            journal.note(Status("late"), "run-0")
            file.seek(0)
            written.append(file.read())

    monkeypatch.setattr(os, "close", closes)
    journal.close()
    assert written == [b""]


@pytest.mark.parametrize("what", ["full", "no folder", "a file", "fills", "removed", "another's"])
def test_whatever_becomes_of_its_file_nothing_is_lost(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write = tmp_path / "no" / "folder" if what == "no folder" else tmp_path, os.write
    if what == "full":
        monkeypatch.setattr(room.files, "opened", lambda *_: os.open("/dev/full", os.O_WRONLY))
    if what == "a file":
        (tmp_path / "journal").touch()
    journal = made(folder)
    journal.note(Status("before"), "run-0")
    if what == "fills":
        monkeypatch.setattr(room.os, "write", lambda file, line: write(file, line[:9]))
    if what in ("removed", "another's"):
        shutil.rmtree(tmp_path / "journal")
    for word in ("then", "after"):
        journal.note(Status(word), "run-0")
    if what == "another's":
        (tmp_path / "journal").mkdir()
        (tmp_path / "journal" / "main.jsonl").write_text("another's", "utf-8")
    told = [Status(word) for word in ("before", "then", "after")]
    assert entries(folder, journal) == told
    assert what != "fills" or len(journal.text.splitlines()) == 5, "with all, and a torn one"
    # A forked child writes nothing, and closes nothing of its parent's.
    with monkeypatch.context() as patch:
        patch.setattr(room, "generation", lambda: -1)
        journal.note(Status("of a child"), "run-0")
        journal.close()
    assert entries(folder, journal) == told


def test_of_very_many_requests_the_number_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_LINES", 5)
    monkeypatch.setattr(room, "STEP", 10)
    journal = made(tmp_path)
    for number in range(99):
        journal.note(Attempt("status", "GET", "/x", number, 0.1, 200), "run-0")
    journal.note(events.Took("ready", 1.0), "run-0")
    told = entries(tmp_path, journal)
    assert len(told) == 4 + 9 + 2
    assert events.Skipped("status", 5) in told
    story = fold(read(tmp_path, {})).instances["run-0"]
    assert story.requests.times == {"status": 99}


def test_what_several_processes_tell_of_a_test_is_put_together() -> None:
    lines = {
        "gw0": [
            Entry(1.0, "run-0", events.Used("test_a")),
            Entry(1.1, "run-0", Failed(1, "cut", "cut", "turn")),
            Entry(1.2, None, FailedTest("test_a", "cut", "cut", (1,), ("run-0",), again=True)),
            Entry(1.3, None, events.Cured("test_a")),
            Entry(1.4, None, events.RunsCounted("test_a", 3, 2)),
            Entry(1.5, "run-0", events.Leaked("it did not go")),
        ],
        "gw1": [
            Entry(2.0, "run-0", events.Used("test_b")),
            Entry(2.1, "run-0", Failed(1, "late", "late", "turn")),
            Entry(2.2, None, FailedTest("test_b", "no", "failed", (), ("run-0",))),
            Entry(2.3, None, FailedTest("test_c", "no", "failed", (9,), ())),
            Entry(2.4, "run-0", events.Leaked(None)),
        ],
    }
    stories = fold(lines)
    story = stories.instances["run-0"]
    told = [(it.message, it.test, it.cured) for it in story.failures.values()]
    assert told == [("cut", "test_a", True), ("late", None, False), ("no", "test_b", False)]
    assert (story.failed, story.leak) == (True, None)
    assert stories.runs == {"test_a": (3, 2)}
    assert stories.smoke_tests == {"test_a", "test_b"}
    assert [*stories.users("test_b")] == ["run-0"]


def test_of_many_failures_the_newest_and_of_many_notes_the_first_are_kept() -> None:
    failed = [Entry(float(at), "run-0", Failed(at, f"{at}", "x")) for at in range(50)]
    story = fold({"main": failed}).instances["run-0"]
    assert [it.message for it in story.failures.values()] == [f"{at}" for at in range(30, 50)]
    lines = {
        name: [Entry(float(at), "run-0", Noted(f"{name}, note {at}")) for at in range(80)]
        for name in ("gw0", "gw1")
    }
    assert len(fold(lines).instances["run-0"].notes) == 100
