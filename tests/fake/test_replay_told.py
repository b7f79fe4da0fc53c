"""A message that was not recorded is told, with the nearest that was and what records it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recording_tools import says
from replay_tools import TEST, Playing, Process, how_to_record

from pytest_hydrasmoke.fake.replay import NotRecordedError


def test_a_message_where_nothing_is_near(process: Any, playing: Playing) -> None:
    with pytest.raises(NotRecordedError, match=r"'a': it was not recorded for [^;]*; to"):
        process(says("a", "1", run=2)).says("a")
    caller, instance_id = playing.ready()
    assert caller.chat(instance_id).json() == {
        "detail": f"'hello' is in no recording; {how_to_record(playing)}"
    }


LONG = "word " * 100
UNKNOWN: list[tuple[list[dict[str, Any]], str, str]] = [
    ([], "a", "'a': nothing was recorded for t.py::test; to record it: "),
    ([says("a", "1")], "b", "it was not recorded for t.py::test; the nearest that was: 'a' (-'"),
    ([says("a", "1"), says("Are you there?", "1")], "Are you where?", "(-'there' +'where')"),
    ([says("Hi.", "1")], "Hi, you.", "the nearest that was: 'Hi.' (+', you')"),
    ([says("a b c d e f", "1")], "1 b 2 d 3 f", "(-'a' +'1', -'c' +'2', -'e' +'3')"),
    ([says("a b c d e f g h i", "1")], "1 b 2 d 3 f 4 h 5", "-'g' +'4', ...)"),
    ([says(LONG, "1")], LONG + "more", f"{LONG[:120]}...' (+'more')"),
    ([says("Hi, you.", "1")], "Hi.", "(-', you')"),
    ([says("a b c d e f g h", "1")], "1 b 2 d 3 f 4 h", "-'g' +'4')"),
    # What is frequent in a long message counts as much.
    ([says("a " * 150, "1")], "b " + "a " * 150, "(+'b ')"),
    ([says("x" * 120, "1")], "y", f"was: '{'x' * 120}' ("),
    ([says("a", "1", instance=0)], "a", "it was recorded for t.py::test on another instance"),
    ([says("a", "1", instance=0)], "b", "the nearest that was: 'a'"),
]


@pytest.mark.parametrize(("turns", "message", "words"), UNKNOWN)
def test_an_unknown_message_is_told_with_the_nearest(
    process: Any, turns: list[dict[str, Any]], message: str, words: str
) -> None:
    with pytest.raises(NotRecordedError) as caught:
        process(*turns).says(message)
    assert words in str(caught.value)
    assert str(caught.value).endswith(f" {TEST}")


def test_a_test_that_was_renamed_is_told_whose_recording_has_its_message(
    process: Any, tmp_path: Path
) -> None:
    one = process(says("a", "1"), of="t.py::before")
    file = one.course.recordings.each[0].file
    words = f"; it was for t.py::before: if that was renamed, change `of` in {file}; to record it: "
    assert one.course.not_on_stage() == []
    one.begin("t.py::after")
    with pytest.raises(NotRecordedError) as known:
        one.says("a")
    assert words not in str(known.value)
    two = Process(tmp_path)
    two.begin("t.py::after")
    with pytest.raises(NotRecordedError) as caught:
        two.says("a")
    assert words in str(caught.value)
    assert two.course.not_on_stage() == ["t.py::before"]


def test_a_message_too_many_is_told(process: Any) -> None:
    one = process(says("a", "1"), says("b", "2"), says("b", "3"))
    for message, times, number in (("b", "2 times", 2), ("a", "once", 1)):
        for _ in range(number):
            one.says(message)
        with pytest.raises(NotRecordedError, match=f"recorded {times} for .* is sent once more"):
            one.says(message)


def test_whoever_is_on_nobodys_stage_is_told(process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = process(says("a", "1"))
    monkeypatch.chdir(one.course.recordings.folder.parent)
    one.player.enter(None, 1, begins=False, test=None)
    folder = one.course.recordings.folder.name
    with pytest.raises(NotRecordedError) as caught:
        one.says("a")
    command = f"pytest --hydra-smoke --hydra-smoke-record {folder}"
    assert str(caught.value).endswith(f"was recorded for no test; to record it: {command}")


def test_a_test_that_is_still_to_come_was_not_renamed(process: Any) -> None:
    one = process(says("a", "1"), of="t.py::later")
    one.course.came.clear()
    one.begin("t.py::new")
    with pytest.raises(NotRecordedError, match=r"; it was for t\.py::later: if that was renamed"):
        one.says("a")
    one.course.collected = frozenset({"t.py::later"})
    with pytest.raises(NotRecordedError) as caught:
        one.says("a")
    assert "renamed" not in str(caught.value)
