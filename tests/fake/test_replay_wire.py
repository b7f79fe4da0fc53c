"""Recordings are played on the wire: to anybody by message, each byte and each count as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_tools import Caller, HandClock
from plugin_tools import until
from recording_tools import says, turn, write
from replay_tools import COUNTED, REFUSED, TEST, Playing, how_to_record

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.presets import load
from pytest_hydrasmoke.fake.replay import Replay
from pytest_hydrasmoke.fake.router import replay_of


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
    """What one process of a run has: a router, its replay, and an instance that its test shares."""

    def ready(*turns: dict[str, Any], **scenario: Any) -> tuple[Caller, Replay, str]:
        caller, instance_id = playing.ready(*turns, **scenario)
        replay = replay_of(caller.router, lambda owner, run, message: message)
        replay.player.enter(TEST, 1, begins=True, test=TEST)
        [instance] = caller.router.instances
        replay.player.claim(instance.idempotency_key, "shared")
        return caller, replay, instance_id

    return ready


def test_llm_events_are_counted_as_they_were(staged: Any, playing: Playing) -> None:
    turns = (
        says("a", "x", llm_events=COUNTED),
        says("b", "x"),
        says("c", "x", llm_events={**COUNTED, "providers": []}),
    )
    listed: dict[str, Any] = {"providers": ("c",), "providers_listed": "repeated"}
    caller, replay, instance_id = staged(*turns, **listed)

    def counted(message: str) -> Any:
        caller.chat(instance_id, message)
        return caller.llm_events(instance_id).json()["providers"]

    assert counted("a") == ["b", "a"]
    assert replay.uncounted(instance_id) is None
    assert counted("b") == ["b", "a"]
    words = (
        f"the LLM events of 'b', recorded for {TEST}, were not counted then; to record them, "
        "expect them after it (turn.expect_llm_events), and run: "
        f"pytest --hydra-smoke --hydra-smoke-record {playing.folder} {TEST}"
    )
    assert replay.last(instance_id).uncounted == words
    assert counted("c") == ["b", "a", "c", "c"]
    assert replay.uncounted(instance_id) == words
    assert replay.last(instance_id).uncounted is None
    caller.router.reset()
    assert not caller.router.instances
    assert replay.last(instance_id) is None


def test_what_answered_a_chat_is_known_until_the_next(staged: Any) -> None:
    turns = says("a", "x"), turn("b", refused=REFUSED), says("b", "y")
    caller, replay, instance_id = staged(*turns, turn("late", refused={**REFUSED, "status": 410}))
    assert replay.last(instance_id) is None
    for message, refused in (("a", False), ("b", True), ("b", True)):
        before = replay.last(instance_id)
        caller.chat(instance_id, message)
        last = replay.last(instance_id)
        assert last is not before
        assert last.refused is refused
    # Trouble that came before it was asked, or a reply of a script, is no recording's answer.
    caller.router.fail("chat")
    before = replay.last(instance_id)
    assert caller.chat(instance_id, "b").status_code == 503
    assert replay.last(instance_id) is before
    caller.router.reply("scripted", "It is.")
    caller.chat(instance_id, "scripted")
    assert replay.last(instance_id) is None
    caller.delete(instance_id)
    assert caller.chat(instance_id, "late").status_code == 410
    last = replay.last(instance_id)
    assert (last.refused, last.uncounted) == (True, None)
    assert replay.all_counted(instance_id) is None


def test_a_count_says_whether_anything_recorded_is_missing(
    staged: Any, playing: Playing, clock: HandClock
) -> None:
    caller, replay, instance_id = staged(
        says("a", "x", llm_events=COUNTED), says("b", "x", llm_events=COUNTED), says("c", "x")
    )
    again = f"pytest --hydra-smoke --hydra-smoke-record {playing.folder} {TEST}"
    assert replay.all_counted(instance_id) == (again, False)
    for message, all_asked in (("a", False), ("b", False), ("c", True)):
        caller.chat(instance_id, message)
        assert replay.all_counted(instance_id) == (again, all_asked)
    # What a script says was not recorded.
    caller.router.reply("d", "scripted")
    caller.chat(instance_id, "d")
    clock.pass_by(60)
    assert replay.all_counted(instance_id) is None


def test_a_count_where_nothing_was_recorded_misses_nothing(staged: Any, playing: Playing) -> None:
    write(playing.folder, "t.py::empty")
    _, replay, instance_id = staged(says("a", "x"))
    record = f"pytest --hydra-smoke --hydra-smoke-record {playing.folder}"
    for owner in (None, "t.py::other", "t.py::empty"):
        replay.player.enter(owner, 1, begins=True, test=None)
        assert replay.all_counted(instance_id) == (record, True)


# By hand: what may have been worked on may have LLM events that nobody counted.
WORKED_ON = {200: True, 400: False, 404: False, 408: True, 409: False, 429: False}
WORKED_ON |= {499: False, 500: True, 502: True, 503: False, 504: True}


@pytest.mark.parametrize("status", WORKED_ON)
def test_a_refusal_that_was_not_counted_may_have_been_worked_on(staged: Any, status: int) -> None:
    caller, replay, instance_id = staged(turn("hello", refused={**REFUSED, "status": status}))
    assert caller.chat(instance_id).status_code == status
    assert (replay.uncounted(instance_id) is not None) == WORKED_ON[status]


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
    (folder / "router.json").touch()
    words = f"{file}: it is no scenario: a fake learns of a live router from recordings: give "
    with pytest.raises(ValueError, match=f"^{re.escape(f'{words}their folder, {folder}')}$"):
        load(str(file))
