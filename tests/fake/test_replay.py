"""Recordings are played to a run's tests by who is on stage: who gets which turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_tools import SPEC
from recording_tools import says, turn, write
from replay_tools import REFUSED, TEST, Process

from pytest_hydrasmoke.fake.course import Course
from pytest_hydrasmoke.fake.recording_files import read
from pytest_hydrasmoke.fake.replay import Asked, NotRecordedError, Player


def test_a_message_that_is_said_again_gets_the_next_turn(process: Any) -> None:
    one = process(says("a", "1"), says("b", "2"), says("a", "3"))
    assert [one.says(it) for it in "aab"] == ["1", "3", "2"]
    one.begin(TEST)  # It is run again.
    assert one.says("a") == "1"
    assert one.course.unasked() == {}


def test_each_instance_has_turns_of_its_own(process: Any) -> None:
    of_fixture = {"of": "fixture ::agent", "number": 0}
    places = {"shared": "shared", "key-0": 0, "key-1": 1, "theirs": of_fixture, "client": None}
    one = process(*(says("a", key, instance=place) for key, place in places.items()))
    one.player.claim("key-1", (TEST, 1))
    one.player.claim("key-0", (TEST, 0))
    one.player.claim("theirs", ("fixture ::agent", 0))
    assert [one.says("a", key) for key in reversed(places)] == list(reversed(places))


def test_a_shared_instance_is_known_by_its_spec_where_there_are_several(process: Any) -> None:
    specs = [{**SPEC, "tier_id": tier} for tier in ("small", "large")]
    one = process(*(says("a", spec["tier_id"], spec=spec) for spec in specs))
    assert one.says("a", tier_id="large") == "large"
    assert one.says("a", tier_id="small") == "small"
    with pytest.raises(NotRecordedError, match="on another instance"):
        one.says("a", tier_id="other")


def test_clients_with_other_specs_share_what_was_recorded_for_them(process: Any) -> None:
    # A recording does not tell instances from a client apart, and has no spec of theirs.
    one = process(*(says("a", it, instance=None, spec={}) for it in "12"))
    assert [one.says("a", tier, tier_id=tier) for tier in ("small", "large")] == ["1", "2"]
    with pytest.raises(NotRecordedError, match="recorded 2 times"):
        one.says("a", "other", tier_id="other")


SPECS: list[tuple[dict[str, str], dict[str, str], list[tuple[Any, ...]]]] = [
    (SPEC, {}, []),
    (SPEC, {"tier_id": "large"}, [("tier_id", "tier-1", "large")]),
    (SPEC, {"region_id": "of the run"}, []),
    (SPEC, {"tier_id": "of the run"}, [("tier_id", "tier-1", "of the run")]),
    (SPEC, {"agent_name": "Ada"}, [("agent_name", None, "Ada")]),
    ({**SPEC, "agent_name": "Ada"}, {}, []),
    ({**SPEC, "tier_id": ""}, {"tier_id": "large"}, []),
    ({}, {"tier_id": "large"}, []),
    (
        {**SPEC, "manifest_id": "cheap"},
        {"tier_id": "large"},
        [("manifest_id", "cheap", SPEC["manifest_id"]), ("tier_id", "tier-1", "large")],
    ),
]


@pytest.mark.parametrize(("recorded", "asked", "others"), SPECS)
def test_another_spec_than_recorded_is_told(
    process: Any, recorded: dict[str, str], asked: dict[str, str], others: list[Any]
) -> None:
    one = process(says("a", "1", spec=recorded), says("b", "2", spec=recorded))
    assert [one.says(it, **asked) for it in "ab"] == ["1", "2"]
    told = one.course.other_specs({"region_id": "of the run"})
    assert told == ({TEST: others} if others else {})


def test_runs_have_their_own_and_there_are_no_others(process: Any) -> None:
    one = process(says("a", "1"), says("a", "2", run=2), says("b", "2", run=2))
    answers = []
    for run in (1, 2):
        one.begin(TEST, run, begins=False)
        answers.append(one.says("a"))
    assert answers == ["1", "2"]
    assert one.course.unasked() == {TEST: ["b"]}
    one.begin(TEST, 3, begins=False)
    with pytest.raises(NotRecordedError) as caught:
        one.says("a")
    said = f"'a': 2 runs were recorded for {TEST}, and it is sent in run 3; to record it: pytest "
    assert str(caught.value).startswith(said)


def test_of_one_recorded_run_there_is_no_second(process: Any) -> None:
    one = process(says("a", "1"))
    one.begin(TEST, 2)
    with pytest.raises(NotRecordedError, match="'a': one run was recorded for "):
        one.says("a")


def test_a_refusal_answers_every_repeat_of_its_turn(process: Any) -> None:
    one = process(turn("a", refused=REFUSED), says("a", "now"), says("b", "other"))
    assert [one.says("a") for _ in range(3)] == ["busy"] * 3
    one.player.moves_on("shared")
    assert one.says("a") == "now"
    one.begin(TEST)
    assert [one.says(it) for it in "aba"] == ["busy", "other", "now"]
    final = {**REFUSED, "status": 422}
    two = process(turn("a", refused=final), says("a", "now"), of="t.py::other")
    assert [two.says("a") for _ in range(2)] == ["busy", "now"]


def test_a_refusal_answers_nobody_else(process: Any, tmp_path: Path) -> None:
    write(tmp_path, "t.py::other", says("a", "other"))
    one = process(turn("a", refused=REFUSED), says("a", "now"))
    assert one.says("a") == "busy"
    one.begin("t.py::other")
    assert one.says("a") == "other"
    one.begin(TEST)
    assert one.says("a") == "busy"
    one.begin(TEST)  # It is run again.
    assert one.says("a") == "busy"
    one.player.moves_on("shared")
    assert one.says("a") == "now"


def test_a_fixture_goes_on_where_it_was_left(process: Any) -> None:
    one = process(says("a", "set-up"), says("a", "teardown"), of="fixture ::agent")
    assert one.says("a") == "set-up"
    one.begin(TEST)
    one.begin("fixture ::agent", begins=False)
    assert one.says("a") == "teardown"


def test_a_message_after_one_recorded_later_is_late_once(process: Any) -> None:
    one = process(*(says(it, it) for it in "abcdd"))
    for messages, late in (
        ("abcdd", {}),
        ("ac", {}),  # What is left out changes no order.
        ("dcd", {TEST: ["c"]}),
        ("bda", {TEST: ["c", "a"]}),
        ("ba", {TEST: ["c", "a"]}),
    ):
        one.begin(TEST)
        for message in messages:
            one.says(message)
        assert one.course.reordered() == late


def test_a_new_beginning_is_its_owners_alone(process: Any, tmp_path: Path) -> None:
    write(tmp_path, "fixture ::agent", says("a", "1"), says("b", "2"), says("c", "3"))
    one = process(says("a", "4"))
    one.begin("fixture ::agent")
    assert [one.says(it) for it in "ab"] == ["1", "2"]
    one.begin(TEST)
    assert one.says("a") == "4"
    one.begin("fixture ::agent", begins=False)
    assert one.says("c") == "3"
    with pytest.raises(NotRecordedError):
        one.says("a")
    assert one.course.reordered() == {}


@pytest.mark.parametrize(("key", "late"), [("key-0", ["a"]), ("shared", ["c"]), (None, [])])
def test_where_several_threads_ask_there_is_no_order(
    process: Any, key: str | None, late: list[str]
) -> None:
    own = [says(it, it, instance=0) for it in "cd"]
    one = process(says("a", "a"), says("b", "b"), *own)
    one.player.claim("key-0", (TEST, 0))
    for message, place in (("b", "shared"), ("a", "shared"), ("d", "key-0"), ("c", "key-0")):
        one.says(message, place)
    one.course.note("unordered", "t.py::other", None)
    assert one.course.reordered() == {TEST: ["a", "c"]}
    one.course.note("unordered", TEST, key)
    assert one.course.reordered() == ({TEST: late} if late else {})


def test_instances_of_a_client_have_no_order(process: Any) -> None:
    one = process(*(says(it, it, instance=None, spec={}) for it in "ab"))
    assert [one.says(it, "client") for it in "ba"] == ["b", "a"]
    assert one.course.reordered() == {}


def test_what_a_hook_makes_of_a_message_is_looked_up(process: Any) -> None:
    assert process(says("a", "1")).says("a!!!") == "1"


def test_a_hook_is_told_who_asks_in_which_run(tmp_path: Path) -> None:
    write(tmp_path, TEST, says("a", "1", run=2))
    told: list[tuple[str, int, str]] = []

    def edit(*asked: Any) -> str:
        told.append(asked)
        return "a"

    player = Player(Course(read(tmp_path)))
    player.follow(edit)
    with pytest.raises(NotRecordedError, match="nothing was recorded for no test"):
        player.answer(Asked("b", "key-0", SPEC))
    player.enter(TEST, 2, begins=True, test=None)
    player.claim("key-0", "shared")
    assert player.answer(Asked("c", "key-0", SPEC)).message == "a"
    assert told == [("", 1, "b"), (TEST, 2, "c")]


def test_what_came_of_a_replay_in_several_processes_is_one(tmp_path: Path) -> None:
    turns = says("a", "1"), says("b", "2"), says("c", "3")
    write(tmp_path, TEST, *turns)
    write(tmp_path, "t.py::other", *turns)
    ways = ((TEST, "c", "b"), (TEST, "a"), ("t.py::other", "b", "a"))
    one, *others = (Process(tmp_path) for _ in ways)
    for process, (owner, *messages) in zip((one, *others), ways, strict=True):
        process.player.claim("shared", "shared")
        process.begin(owner)
        for message in messages:
            process.says(message, tier_id=f"tier of {owner}")
    others[1].course.note("unordered", "t.py::other", None)
    assert one.course.unasked() == {TEST: ["a"]}
    for process in others * 2:
        one.course.add(json.loads(json.dumps([*process.course.came])))
    assert one.course.unasked() == {"t.py::other": ["c"]}
    assert one.course.reordered() == {TEST: ["b"]}
    assert one.course.not_on_stage() == []
    other = one.course.other_specs(SPEC)
    assert {owner: [asked for _, _, asked in found] for owner, found in other.items()} == {
        owner: [f"tier of {owner}"] for owner in (TEST, "t.py::other")
    }
