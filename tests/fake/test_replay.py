"""Recordings are played to a run's tests by who is on stage: who gets which turn, or what words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from fake_tools import SPEC
from recording_tools import says, turn, write
from replay_tools import COUNTED, IDLE, REFUSED, TEST, Process, ordered

from pytest_hydrasmoke.fake.course import Course
from pytest_hydrasmoke.fake.recordings import read
from pytest_hydrasmoke.fake.replay import NotRecordedError, Replay

Turns = list[dict[str, Any]]
OTHER, AGENT = "t.py::other", "fixture ::agent"
AGAIN = [says("a", "1"), says("b", "2"), says("a", "3")]
RUNS = [says("a", "1"), says("a", "2", run=2), says("b", "2", run=2)]
BUSY = [turn("a", refused=REFUSED), says("a", "now"), says("b", "other")]
FINAL = [turn("a", refused={**REFUSED, "status": 422}), says("a", "now")]
ELSEWHERE = [says("a", "1", instance=0)]
CHANGED = "'Are you where?': it was not recorded for t.py::test; the nearest that was: "
LONG = "word " * 100
MANY = [says("a b c d e f g h i", "1")]
# What was recorded of the test, beside `a` of another test; steps, and what is answered to each.
TOLD: list[tuple[Turns, Iterable[str], list[str]]] = [
    (AGAIN, ["a", "a", "b", ">", "a!!!"], ["1", "3", "2", "1"]),
    (RUNS, ["a", "# 2", "a", "b"], ["1", "2", "2"]),
    # A refusal that passes answers every repeat of its turn, and nobody else.
    (BUSY, [*"aaa", "moves on", "a", ">", *"aba"], [*["busy"] * 3, "now", "busy", "other", "now"]),
    (BUSY, ["a", f"> {OTHER}", "a", ">", "a", ">", "a"], ["busy", "theirs", "busy", "busy"]),
    (FINAL, "aa", ["busy", "now"]),
    # Whoever is on stage once more goes on, or begins anew.
    (AGAIN, ["a", f"> {OTHER}", "a", "+", "a", ">", "a"], ["1", "theirs", "3", "1"]),
    # What was not recorded is told with what is near.
    ([], "a", ["'a': nothing was recorded for t.py::test; it was for"]),
    ([], "z", ["'z': nothing was recorded for t.py::test"]),
    (RUNS, ["# 3", "a"], [f"'a': 2 runs were recorded for {TEST}, and it is sent in run 3"]),
    (AGAIN, ["# 2", "a"], [f"'a': one run was recorded for {TEST}, and it is sent in run 2"]),
    (AGAIN, "aaa", ["1", "3", f"'a': it was recorded 2 times for {TEST}, and is sent once more"]),
    (AGAIN, "bb", ["2", f"'b': it was recorded once for {TEST}, and is sent once more"]),
    (ELSEWHERE, "a", [f"'a': it was recorded for {TEST} on another instance"]),
    (
        ELSEWHERE,
        "b",
        [f"'b': it was not recorded for {TEST}; the nearest that was: 'a' (-'a' +'b')"],
    ),
    ([says("a", "1", run=2)], "a", [f"'a': it was not recorded for {TEST}"]),
    (
        [says("a", "1"), says("Are you there?", "1")],
        ["Are you where?"],
        [f"{CHANGED}'Are you there?' (-'there' +'where')"],
    ),
    ([says("Hi.", "1")], ["Hi, you."], ["the nearest that was: 'Hi.' (+', you')"]),
    ([says("Hi, you.", "1")], ["Hi."], ["(-', you')"]),
    ([says("a b c d e f", "1")], ["1 b 2 d 3 f"], ["(-'a' +'1', -'c' +'2', -'e' +'3')"]),
    ([says("a b c d e f g h", "1")], ["1 b 2 d 3 f 4 h"], ["-'e' +'3', -'g' +'4')"]),
    (MANY, ["1 b 2 d 3 f 4 h 5"], ["(-'a' +'1', -'c' +'2', -'e' +'3', -'g' +'4', ...)"]),
    ([says(LONG, "1")], [LONG + "more"], [f"'{LONG[:120]}...' (+'more')"]),
    # What is frequent in a long message counts as much.
    ([says("a " * 150, "1")], ["b " + "a " * 150], ["(+'b ')"]),
    ([says("x" * 120, "1")], ["y"], [f"was: '{'x' * 120}' ("]),
]


@pytest.mark.parametrize(("turns", "steps", "answers"), TOLD)
def test_what_is_answered(
    process: Any, tmp_path: Path, turns: Turns, steps: Iterable[str], answers: list[str]
) -> None:
    write(tmp_path, OTHER, says("a", "theirs"))
    told = process(*turns).play(steps)
    assert len(told) == len(answers)
    for said, expected in zip(told, answers, strict=True):
        # What was not recorded begins with the message; of most such rows, the end is given.
        assert said == expected or (said.startswith("'") and expected in said), told


@pytest.mark.parametrize("owner", [AGENT, "hook pytest_hydra_smoke_instance_ready"])
def test_who_is_there_for_several_tests_says_to_each_what_it_said_to_them(
    process: Any, owner: str
) -> None:
    begins = f"> {owner}"
    steps = [begins, "a", "b", begins, "a", "b", begins, "a", begins, "a"]
    answers = ["1", "2", "3", "2", "4", "1"]
    assert process(*AGAIN, says("a", "4"), of=owner).play(steps) == answers


def test_each_instance_has_turns_of_its_own(process: Any) -> None:
    places = {"shared": "shared", "k0": 0, "k1": 1, "theirs": {"of": AGENT, "number": 0}, "c": None}
    one = process(*(says("a", key, instance=place) for key, place in places.items()))
    for key, owner, number in (("k1", TEST, 1), ("k0", TEST, 0), ("theirs", AGENT, 0)):
        one.replay.claim(key, (owner, number))
    assert one.play(f"a/{key}" for key in reversed(places)) == list(reversed(places))


def test_instances_are_known_by_their_specs_where_there_are_several(process: Any) -> None:
    specs = [{**SPEC, "tier_id": tier} for tier in ("small", "large")]
    one = process(*(says("a", spec["tier_id"], spec=spec) for spec in specs))
    assert [one.says("a", tier_id=it) for it in ("large", "small")] == ["large", "small"]
    assert "on another instance" in one.says("a", tier_id="other")
    # A recording does not tell instances from a client apart, and has no spec of theirs.
    of_client = process(*(says("a", it, instance=None, spec={}) for it in "12"), of="t.py::client")
    assert [of_client.says("a", it, tier_id=it) for it in ("small", "large")] == ["1", "2"]
    assert "recorded 2 times" in of_client.says("a", "other", tier_id="other")


# What came of it


def test_what_came_of_a_replay_in_several_processes_is_one(tmp_path: Path) -> None:
    turns = says("a", "1"), says("b", "2"), says("c", "3")
    write(tmp_path, TEST, *turns)
    write(tmp_path, OTHER, *turns)
    ways = ((TEST, "c", "b"), (TEST, "a"), (OTHER, "b", "a"))
    one, *others = (Process(tmp_path) for _ in ways)
    for process, (owner, *messages) in zip((one, *others), ways, strict=True):
        process.begin(owner)
        for message in messages:
            process.says(message)
        process.replay.missed(f"{messages[-1]}?")
    assert (one.course.unasked(), one.course.not_on_stage()) == ({TEST: ["a"]}, [OTHER])
    for process in others * 2:
        one.course.add(json.loads(json.dumps([*process.course.came])))
    assert (one.course.unasked(), one.course.not_on_stage()) == ({OTHER: ["c"]}, [])
    assert one.course.missed() == {TEST: ["b?", "a?"], OTHER: ["a?"]}


def test_whose_recording_has_the_message_of_a_test_that_was_renamed(
    process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = process(says("a", "1"), of="t.py::before")
    file = one.course.recordings.each[0].file
    words = f"; it was for t.py::before: if that was renamed, change `of` in {file}; to record it: "
    command = f"pytest --hydra-smoke --hydra-smoke-record {tmp_path} {TEST}"
    one.begin("t.py::after")
    assert words not in one.says("a"), "it was on stage"
    two = Process(tmp_path)
    two.begin("t.py::after")
    assert two.says("a") == f"'a': nothing was recorded for t.py::after{words}{command}"
    two.course.collected = frozenset({"t.py::before"})
    assert "renamed" not in two.says("a"), "it is still to come"
    # Whoever is on nobody's stage has no test to run.
    monkeypatch.chdir(tmp_path.parent)
    two.replay.enter(None, 1, begins=False, test=None)
    command = f"pytest --hydra-smoke --hydra-smoke-record {tmp_path.name}"
    assert two.says("a") == f"'a': nothing was recorded for no test; to record it: {command}"


def test_a_hook_is_told_who_asks_in_which_run(tmp_path: Path) -> None:
    write(tmp_path, TEST, says("a", "1", run=2))
    told: list[tuple[str, int, str]] = []

    def edit(*asked: Any) -> str:
        told.append(asked)
        return "a"

    replay = Replay(Course(read(tmp_path)), IDLE)
    replay.follow(edit)
    with pytest.raises(NotRecordedError, match="nothing was recorded for no test"):
        replay.answer("b", ordered("key-0"))
    replay.enter(TEST, 2, begins=True, test=None)
    replay.claim("key-0", "shared")
    assert replay.answer("c", ordered("key-0")).message == "a"
    assert told == [("", 1, "b"), (TEST, 2, "c")]


# By hand: what may have been worked on may have LLM events that nobody counted.
WORKED_ON = {200: True, 400: False, 404: False, 408: True, 409: False, 429: False}
WORKED_ON |= {499: False, 500: True, 502: True, 503: False, 504: True}


def test_a_refusal_that_was_not_counted_may_have_been_worked_on(process: Any) -> None:
    refused = [turn(str(it), refused={**REFUSED, "status": it}) for it in WORKED_ON]
    one = process(*refused, turn("counted", refused=REFUSED, llm_events=COUNTED))
    *turns, counted = one.course.recordings.each[0].turns
    told = [one.replay.played(it).uncounted is not None for it in turns]
    assert told == list(WORKED_ON.values())
    assert one.replay.played(counted).uncounted is None
