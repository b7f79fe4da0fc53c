"""Recordings are played: by message to anybody, and to a run's tests by who is on stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_tools import SPEC, Caller, HandClock
from plugin_tools import until
from recording_tools import says, turn, write

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.course import Course
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.recording_files import read
from pytest_hydrasmoke.fake.replay import Asked, NotRecordedError, Player
from pytest_hydrasmoke.fake.router import stage_of
from pytest_hydrasmoke.fake.stage import Stage

TEST = "t.py::test"
COUNTED = {"count": 2, "providers": ["b", "a"], "after": 0.8}
REFUSED = {"status": 503, "content_type": "text/plain", "body": "busy"}


# Who gets which turn


class Process:
    """A process of a run, whose player is asked directly."""

    def __init__(self, folder: Path) -> None:
        self.course = Course(read(folder))
        self.player = Player(self.course)
        self.player.follow(lambda owner, run, message: message.rstrip("!"))

    def begin(self, owner: str, run: int = 1, *, begins: bool = True) -> None:
        self.player.enter(owner, run, begins=begins, test=TEST)

    def says(self, message: str, key: str = "shared", **spec: str) -> str:
        recording, turn = self.player.answer(Asked(message, key, {**SPEC, **spec}))
        if turn.refused is not None:
            return turn.refused.body.decode()
        return next(iter(recording.chunks(turn))).decode().removeprefix("data: ").rstrip()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    def make(*turns: dict[str, Any], of: str = TEST) -> Process:
        write(tmp_path, of, *turns)
        process = Process(tmp_path)
        process.player.claim("shared", "shared")
        process.begin(of)
        return process

    return make


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


def test_runs_have_their_own_and_then_the_last_again(process: Any) -> None:
    one = process(says("a", "1"), says("a", "2", run=2), says("b", "2", run=2))
    answers = []
    for run in (1, 2, 3, 4):
        one.begin(TEST, run, begins=False)
        answers.append(one.says("a"))
    assert answers == ["1", "2", "2", "2"]
    assert one.course.unasked() == {TEST: ["b"]}


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
    one.player.has_no_order("t.py::other", None)
    assert one.course.reordered() == {TEST: ["a", "c"]}
    one.player.has_no_order(TEST, key)
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
    assert player.answer(Asked("c", "key-0", SPEC))[1].message == "a"
    assert told == [("", 1, "b"), (TEST, 2, "c")]


def test_a_message_where_nothing_is_near(process: Any, playing: Playing) -> None:
    with pytest.raises(NotRecordedError, match=r"'a': it was not recorded for [^;]*; to"):
        process(says("a", "1", run=2)).says("a")
    caller, instance_id = playing.ready()
    assert caller.chat(instance_id).json() == {
        "detail": f"'hello' is in no recording; {how_to_record(playing)}"
    }


def how_to_record(playing: Playing) -> str:
    command = f"pytest --hydra-smoke --hydra-smoke-record {playing.folder}"
    return f"to record it, send it in a test, and run that: {command}"


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


# On the wire


class Playing:
    """Routers that play a folder, and who calls them."""

    def __init__(self, folder: Path, clock: HandClock, stack: ExitStack) -> None:
        self.folder, self._clock, self._stack = folder, clock, stack

    def ready(self, *turns: dict[str, Any], **scenario: Any) -> tuple[Caller, str]:
        write(self.folder, TEST, *turns)
        recorded = replace(load(str(self.folder)), **scenario)
        router = self._stack.enter_context(FakeRouter(recorded, clock=self._clock))
        caller = Caller(router)
        self._stack.callback(caller.http.close)
        return caller, caller.ready(self._clock)


@pytest.fixture
def playing(tmp_path: Path, clock: HandClock) -> Iterator[Playing]:
    with ExitStack() as stack:
        yield Playing(tmp_path / "recordings", clock, stack)


def test_anybody_gets_the_first_that_has_the_message_then_the_next(playing: Playing) -> None:
    write(playing.folder, "t.py::a", says("hello", "one"), says("bye", "two"))
    caller, instance_id = playing.ready(says("hello", "three"))
    asked = [caller.chat(instance_id, it).text for it in ("hello", "bye", "hello", "hello")]
    assert [it.split()[1] for it in asked] == ["one", "two", "three", "one"]
    caller.router.reset()
    refused = caller.chat(caller.ready(HandClock()), "hallo")
    assert refused.status_code == 501
    near = "the nearest that was: 'hello' (-'hello' +'hallo')"
    assert refused.json() == {
        "detail": f"'hallo' is in no recording; {near}; {how_to_record(playing)}"
    }


def test_each_instance_goes_through_all_that_has_the_message(
    playing: Playing, clock: HandClock
) -> None:
    write(playing.folder, "t.py::a", says("hello", "one"), says("hello", "two"))
    caller, one = playing.ready(says("hello", "three"))
    other = caller.ready(clock, "key-1")
    said = [caller.chat(it).text.split()[1] for it in (one, one, other, one, one)]
    assert said == ["one", "two", "one", "three", "one"]


def test_there_is_a_url_for_a_folder(playing: Playing) -> None:
    write(playing.folder, TEST, says("hello", "Moin."))
    with FakeRouter(str(playing.folder)) as router:
        caller = Caller(router)
        with caller.http:
            instance_id = caller.provision().json()["instance_id"]
            assert caller.status(instance_id).json()["status"] == "running"
            assert "Moin." in caller.chat(instance_id, "hello").text


def test_every_byte_is_as_it_was(playing: Playing) -> None:
    chunks = (b"\xef\xbb\xbfdata: \xc3", b"\xa4\r\n", b"\r", b"\n: ping\n", b"\x00\xff", b"data: x")
    caller, instance_id = playing.ready(turn("hello", *chunks))
    answer = caller.chat(instance_id)
    assert answer.content == b"".join(chunks)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_a_stream_that_was_cut_or_refused_or_never_came(playing: Playing) -> None:
    caller, instance_id = playing.ready(
        turn("cut", b"data: a\n\n", end="cut"),
        turn("lost", end="cut", llm_events=COUNTED),
        turn("refused", refused=REFUSED, llm_events=COUNTED),
        turn("uncounted", refused={**REFUSED, "status": 422}),
    )
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        caller.chat(instance_id, "cut")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        caller.chat(instance_id, "lost")
    assert caller.chat(instance_id, "uncounted").status_code == 422
    refused = caller.chat(instance_id, "refused")
    assert (refused.status_code, refused.text, refused.headers["content-type"]) == (
        *(503, "busy"),
        "text/plain",
    )
    assert caller.llm_events(instance_id).json()["count"] == 4


def test_a_deleted_instance_refuses_as_it_did(playing: Playing) -> None:
    gone = {"status": 410, "content_type": "text/plain", "body": "gone"}
    caller, instance_id = playing.ready(says("hello", "Moin."), turn("late", refused=gone))
    assert caller.chat("5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21", "late").status_code == 404
    caller.delete(instance_id)
    refused = caller.chat(instance_id, "late")
    assert (refused.status_code, refused.text) == (410, "gone")
    # What was never refused, or never said, is as with any other deleted instance.
    asked = [caller.chat(instance_id, it).json() for it in ("hello", "hallo")]
    assert asked == [{"detail": "Instance not found"}] * 2


def test_a_stream_that_stalled_says_no_more(playing: Playing) -> None:
    caller, instance_id = playing.ready(turn("hi", b"data: a\n\n", end="stalled"))
    caller.http.timeout = 0.2
    with caller.stream(instance_id) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"data: a\n\n"
        with pytest.raises(httpx.ReadTimeout):
            next(chunks)


@pytest.fixture
def staged(playing: Playing) -> Any:
    """What one process of a run has: a router, its stage, and an instance that its test shares."""

    def ready(*turns: dict[str, Any], **scenario: Any) -> tuple[Caller, Stage, str]:
        caller, instance_id = playing.ready(*turns, **scenario)
        stage = stage_of(caller.router, lambda owner, run, message: message)
        stage.player.enter(TEST, 1, begins=True, test=TEST)
        [instance] = caller.router.instances
        stage.player.claim(instance.idempotency_key, "shared")
        return caller, stage, instance_id

    return ready


def test_llm_events_are_counted_as_they_were(staged: Any, playing: Playing) -> None:
    turns = (
        says("a", "x", llm_events=COUNTED),
        says("b", "x"),
        says("c", "x", llm_events={**COUNTED, "providers": []}),
    )
    listed: dict[str, Any] = {"providers": ("c",), "providers_listed": "repeated"}
    caller, stage, instance_id = staged(*turns, **listed)

    def counted(message: str) -> Any:
        caller.chat(instance_id, message)
        return caller.llm_events(instance_id).json()["providers"]

    assert counted("a") == ["b", "a"]
    assert stage.uncounted(instance_id) is None
    assert counted("b") == ["b", "a"]
    words = (
        f"the LLM events of 'b', recorded for {TEST}, were not counted then; to record them, "
        "expect them after it (turn.expect_llm_events), and run: "
        f"pytest --hydra-smoke --hydra-smoke-record {playing.folder} {TEST}"
    )
    assert stage.last(instance_id).uncounted == words
    assert counted("c") == ["b", "a", "c", "c"]
    assert (stage.uncounted(instance_id), stage.last(instance_id).uncounted) == (words, None)
    caller.router.reset()
    assert not caller.router.instances
    assert stage.last(instance_id) is None


def test_what_answered_a_chat_is_known_until_the_next(staged: Any) -> None:
    turns = says("a", "x"), turn("b", refused=REFUSED), says("b", "y")
    caller, stage, instance_id = staged(*turns, turn("late", refused={**REFUSED, "status": 410}))
    assert stage.last(instance_id) is None
    for message, refused in (("a", False), ("b", True), ("b", True)):
        before = stage.last(instance_id)
        caller.chat(instance_id, message)
        last = stage.last(instance_id)
        assert last is not before
        assert last.refused is refused
    # Trouble that came before it was asked, or a reply of a script, is no recording's answer.
    caller.router.fail("chat")
    before = stage.last(instance_id)
    assert caller.chat(instance_id, "b").status_code == 503
    assert stage.last(instance_id) is before
    caller.router.reply("scripted", "It is.")
    caller.chat(instance_id, "scripted")
    assert stage.last(instance_id) is None
    caller.delete(instance_id)
    assert caller.chat(instance_id, "late").status_code == 410
    assert (stage.last(instance_id).refused, stage.last(instance_id).uncounted) == (True, None)
    assert stage.all_counted(instance_id) is None


def test_a_count_says_whether_anything_recorded_is_missing(
    staged: Any, playing: Playing, clock: HandClock
) -> None:
    caller, stage, instance_id = staged(
        says("a", "x", llm_events=COUNTED), says("b", "x", llm_events=COUNTED), says("c", "x")
    )
    again = f"pytest --hydra-smoke --hydra-smoke-record {playing.folder} {TEST}"
    assert stage.all_counted(instance_id) == (again, False)
    for message, all_asked in (("a", False), ("b", False), ("c", True)):
        caller.chat(instance_id, message)
        assert stage.all_counted(instance_id) == (again, all_asked)
    # What a script says was not recorded.
    caller.router.reply("d", "scripted")
    caller.chat(instance_id, "d")
    clock.pass_by(60)
    assert stage.all_counted(instance_id) is None


def test_a_count_where_nothing_was_recorded_misses_nothing(staged: Any, playing: Playing) -> None:
    write(playing.folder, "t.py::empty")
    _, stage, instance_id = staged(says("a", "x"))
    record = f"pytest --hydra-smoke --hydra-smoke-record {playing.folder}"
    for owner in (None, "t.py::other", "t.py::empty"):
        stage.player.enter(owner, 1, begins=True, test=None)
        assert stage.all_counted(instance_id) == (record, True)


# By hand: what may have been worked on may have LLM events that nobody counted.
WORKED_ON = {200: True, 400: False, 404: False, 408: True, 409: False, 429: False}
WORKED_ON |= {499: False, 500: True, 502: True, 503: False, 504: True}


@pytest.mark.parametrize("status", WORKED_ON)
def test_a_refusal_that_was_not_counted_may_have_been_worked_on(staged: Any, status: int) -> None:
    caller, stage, instance_id = staged(turn("hello", refused={**REFUSED, "status": status}))
    assert caller.chat(instance_id).status_code == status
    assert (stage.uncounted(instance_id) is not None) == WORKED_ON[status]


def test_who_leaves_early_has_used_what_was_counted(playing: Playing) -> None:
    # More than fits into the buffers of a connection.
    much = [b"b" * 65_536] * 160
    left = turn("hi", b"data: a\n\n", *much, llm_events=COUNTED, end="left")
    caller, instance_id = playing.ready(left)
    with caller.stream(instance_id) as answer:
        next(answer.iter_raw())
        assert not caller.router.llm_events
    until(lambda: bool(caller.router.llm_events))
    assert caller.llm_events(instance_id).json()["count"] == 2


def test_faults_lie_over_a_recording(playing: Playing) -> None:
    stream = b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d"
    caller, instance_id = playing.ready(*(turn("hello", stream[:5], stream[5:]) for _ in range(5)))
    caller.router.fail("chat", status=429)
    assert caller.chat(instance_id).status_code == 429
    caller.router.break_stream("end", after_events=2)
    assert caller.chat(instance_id).content == stream[:20]
    caller.router.break_stream("split", split_at=[3])
    assert caller.chat(instance_id).content == stream
    caller.router.break_stream("error", after_events=1)
    assert b"agent" in caller.chat(instance_id).content
    caller.router.drop("chat", when="after")
    with pytest.raises(httpx.RemoteProtocolError):
        caller.chat(instance_id)
    assert caller.chat(instance_id).content == stream


def test_a_file_puts_trouble_and_replies_over_a_folder(playing: Playing, tmp_path: Path) -> None:
    write(playing.folder, TEST, says("hello", "Moin."))
    file = tmp_path / "busy.toml"
    file.write_text(
        'base = "recordings"\ntrouble = "unavailable"\ntrouble_every = 1\n'
        'trouble_calls = ["poll"]\nruntime = "text"\n'
        '[[replies]]\nmatch = "weather"\ntext = "Cold."\n'
    )
    with FakeRouter(str(file)) as router:
        caller = Caller(router)
        with caller.http:
            instance_id = caller.provision().json()["instance_id"]
            assert caller.poll().status_code == 503
            assert "data: Cold\n" in caller.chat(instance_id, "weather").text
            assert "Moin." in caller.chat(instance_id, "hello").text


def test_a_recording_that_is_made_anew_meanwhile(playing: Playing) -> None:
    caller, instance_id = playing.ready(says("hello", "old"))
    write(playing.folder, "t.py::other")
    (playing.folder / "0.json").write_text("{}")
    refused = caller.chat(instance_id)
    assert refused.status_code == 501
    assert "has changed since it was read" in refused.json()["detail"]


def test_a_single_recording_is_no_scenario_and_its_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    write(folder / "deep", TEST, says("hello", "x"))
    [file] = folder.rglob("*.json")
    expected = re.escape(f"{file}: it is a single recording: give its folder, ")
    with pytest.raises(ValueError, match=f"^{expected}{re.escape(str(file.parent))}$"):
        load(str(file))
    (folder / "router.json").touch()
    with pytest.raises(ValueError, match=f"^{expected}{re.escape(str(folder))}$"):
        load(str(file))


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
    others[1].player.has_no_order("t.py::other", None)
    assert one.course.unasked() == {TEST: ["a"]}
    for process in others * 2:
        one.course.add(json.loads(json.dumps(process.course.to_plain())))
    assert one.course.unasked() == {"t.py::other": ["c"]}
    assert one.course.reordered() == {TEST: ["b"]}
    assert one.course.not_on_stage() == []
    other = one.course.other_specs(SPEC)
    assert {owner: [it.asked for it in found] for owner, found in other.items()} == {
        owner: [f"tier of {owner}"] for owner in (TEST, "t.py::other")
    }


def test_a_test_that_is_still_to_come_was_not_renamed(process: Any) -> None:
    one = process(says("a", "1"), of="t.py::later")
    one.course.begun.clear()
    one.begin("t.py::new")
    with pytest.raises(NotRecordedError, match=r"; it was for t\.py::later: if that was renamed"):
        one.says("a")
    one.course.collected = frozenset({"t.py::later"})
    with pytest.raises(NotRecordedError) as caught:
        one.says("a")
    assert "renamed" not in str(caught.value)
