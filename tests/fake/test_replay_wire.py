"""Recordings are played on the wire: to anybody by message, each byte and each count as it was."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fake_tools import SOMEBODY_ELSES, Caller, HandClock, events
from plugin_tools import until
from recording_tools import says, turn, write
from replay_tools import COUNTED, REFUSED, TEST, Playing

from pytest_hydrasmoke.fake.replay import Replay
from pytest_hydrasmoke.fake.router import replay_of


def test_anybody_gets_the_first_that_has_the_message_then_the_next(
    playing: Playing, clock: HandClock
) -> None:
    write(playing.folder, "t.py::a", says("hello", "one"), says("bye", "two"))
    caller, one = playing.ready(says("hello", "three"), says("hello", "four"))
    # Each instance goes through all that has the message.
    other = caller.ready(clock, "key-1")
    asked = [("hello", one), ("bye", one), ("hello", one), ("hello", other)]
    asked += [("hello", one)] * 2
    said = [events(caller, it, message)[0] for message, it in asked]
    assert said == ["one", "two", "three", "one", "four", "one"]
    caller.router.reset()
    one = caller.ready(clock)
    refused = caller.chat(one, "hallo")
    assert refused.status_code == 501
    near = (
        "the nearest that was: 'hello' (-'hello' +'hallo'); to record it, send it in a test, and "
    )
    words = f"'hallo' is in no recording; {near}run that: {playing.record}"
    assert refused.json() == {"detail": words}
    # Recordings are in memory: a file that is recorded again meanwhile changes nothing.
    (playing.folder / "0.json").write_text("{}")
    assert events(caller, one, "bye")[0] == "two"


def test_where_nothing_was_recorded_nothing_is_near(playing: Playing) -> None:
    caller, instance_id = playing.ready()
    words = "'hello' is in no recording; to record it, send it in a test, and run that"
    assert caller.chat(instance_id).json() == {"detail": f"{words}: {playing.record}"}


def test_every_byte_is_as_it_was(playing: Playing) -> None:
    chunks = (b"\xef\xbb\xbfdata: \xc3", b"\xa4\r\n", b"\r", b"\n: ping\n", b"\x00\xff", b"data: x")
    caller, instance_id = playing.ready(
        turn("hello", *chunks),
        turn("cut", b"data: a\n\n", end="cut"),
        turn("stalled", b"data: a\n\n", end="stalled"),
        turn("left", b"data: a\n\n", end="left"),
        turn("lost", end="cut", llm_events=COUNTED),
        turn("refused", refused=REFUSED, llm_events=COUNTED),
        turn("uncounted", refused={**REFUSED, "status": 422}),
    )
    answer = caller.chat(instance_id)
    assert answer.content == b"".join(chunks)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    # Nobody knows what came after a reader left.
    for ending in ("cut", "left"):
        assert events(caller, instance_id, ending) == ["a", "RemoteProtocolError"]
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        caller.chat(instance_id, "lost")
    assert caller.chat(instance_id, "uncounted").status_code == 422
    refused = caller.chat(instance_id, "refused")
    assert (refused.status_code, refused.text) == (503, "busy")
    assert refused.headers["content-type"] == "text/plain"
    assert caller.ask("llm_events.count") == [4]
    caller.http.timeout = httpx.Timeout(5, read=0.5)
    assert events(caller, instance_id, "stalled") == ["a", "ReadTimeout"]


def test_a_deleted_instance_refuses_as_it_did(playing: Playing) -> None:
    gone = {"status": 410, "content_type": "text/plain", "body": "gone"}
    caller, instance_id = playing.ready(says("hello", "Moin."), turn("late", refused=gone))
    assert caller.chat(SOMEBODY_ELSES, "late").status_code == 404
    caller.delete(instance_id)
    refused = caller.chat(instance_id, "late")
    assert (refused.status_code, refused.text) == (410, "gone")
    # What was never refused, or never said, is as with any other deleted instance.
    asked = [caller.chat(instance_id, it).json() for it in ("hello", "hallo")]
    assert asked == [{"detail": "Instance not found"}] * 2


# What a process of a run knows of its replay


@pytest.fixture
def staged(playing: Playing) -> Any:
    """What one process of a run has: a router, its replay, and an instance that its test shares."""

    def ready(*turns: dict[str, Any], **scenario: Any) -> tuple[Caller, Replay, str]:
        caller, instance_id = playing.ready(*turns, **scenario)
        replay = replay_of(caller.router, lambda owner, run, message: message)
        replay.enter(TEST, 1, begins=True, test=TEST)
        [instance] = caller.router.instances
        replay.claim(instance.idempotency_key, "shared")
        return caller, replay, instance_id

    return ready


def test_llm_events_are_counted_as_they_were(staged: Any, playing: Playing) -> None:
    turns = (
        says("a", "x", llm_events=COUNTED),
        says("b", "x"),
        says("c", "x", llm_events={**COUNTED, "providers": []}),
        turn("d", refused=REFUSED),
        says("d", "y"),
        turn("late", refused={**REFUSED, "status": 410}),
    )
    caller, replay, instance_id = staged(*turns, providers=("c",))
    assert replay.last(instance_id) is None

    def after(message: str) -> Any:
        """Return which LLM events there are after a chat, and what was the last to answer."""
        before = replay.last(instance_id)
        caller.chat(instance_id, message)
        last = replay.last(instance_id)
        assert last is not before
        seen = [event.provider for event in caller.router.llm_events]
        return seen, last.refused, last.uncounted

    words = (
        f"the LLM events of 'b', recorded for {TEST}, were not counted then; to record them, "
        f"expect them after it (turn.expect_llm_events), and run: {playing.record} {TEST}"
    )
    assert after("a") == (["b", "a"], False, None)
    assert replay.uncounted(instance_id) is None
    assert after("b") == (["b", "a"], False, words)
    assert after("c") == (["b", "a", "c", "c"], False, None)
    assert replay.uncounted(instance_id) == words
    # What is known is of the last chat; of its repeat, too.
    assert after("d") == after("d") == (["b", "a", "c", "c"], True, None)
    # Trouble that came before it was asked, or a reply of a script, is no recording's answer.
    caller.router.fail("chat")
    before = replay.last(instance_id)
    assert caller.chat(instance_id, "d").status_code == 503
    assert replay.last(instance_id) is before
    # The turn of a refusal is over once something else is asked.
    caller.ask("llm_events")
    assert after("d")[1] is False
    caller.router.reply("scripted", "It is.")
    caller.chat(instance_id, "scripted")
    assert replay.last(instance_id) is None
    caller.delete(instance_id)
    assert after("late")[1:] == (True, None)
    assert replay.all_counted(instance_id) is None
    caller.router.reset()
    assert (caller.router.instances, replay.last(instance_id)) == ((), None)


def test_a_count_says_whether_anything_recorded_is_missing(
    staged: Any, playing: Playing, clock: HandClock
) -> None:
    write(playing.folder, "t.py::empty")
    write(playing.folder, "fixture ::agent", *[says("a", "x", llm_events=COUNTED)] * 2)
    caller, replay, instance_id = staged(
        says("a", "x", llm_events=COUNTED), says("b", "x", llm_events=COUNTED), says("c", "x")
    )
    again = f"{playing.record} {TEST}"
    assert replay.all_counted(instance_id) == (again, False)
    for message, all_asked in (("a", False), ("b", False), ("c", True)):
        caller.chat(instance_id, message)
        assert replay.all_counted(instance_id) == (again, all_asked)
    # Where nothing was recorded nothing is missing.
    for owner in (None, "t.py::other", "t.py::empty"):
        replay.enter(owner, 1, begins=True, test=None)
        assert replay.all_counted(instance_id) == (playing.record, True)
    # A fixture's earlier set-ups count.
    for all_asked in (False, True):
        replay.enter("fixture ::agent", 1, begins=True, test=None)
        caller.chat(instance_id, "a")
        assert replay.all_counted(instance_id) == (playing.record, all_asked)
    # What a script says was not recorded.
    caller.router.reply("d", "scripted")
    caller.chat(instance_id, "d")
    clock.pass_by(60)
    assert replay.all_counted(instance_id) is None


def test_who_leaves_early_has_used_what_was_counted(playing: Playing) -> None:
    # More than fits into the buffers of a connection.
    much = [b"b" * 65_536] * 160
    left = turn("hi", b"data: a\n\n", *much, llm_events=COUNTED, end="left")
    caller, instance_id = playing.ready(left)
    with caller.stream(instance_id) as answer:
        next(answer.iter_raw())
        assert not caller.router.llm_events
    until(lambda: bool(caller.router.llm_events))
    assert caller.ask("llm_events.count") == [2]


def test_faults_lie_over_a_recording(playing: Playing) -> None:
    stream = b"data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d"
    caller, instance_id = playing.ready(*(turn("hello", stream[:5], stream[5:]) for _ in range(5)))

    def said() -> bytes:
        return caller.chat(instance_id).content

    caller.router.fail("chat", status=429)
    assert caller.ask("chat") == [429]
    caller.router.break_stream("end", after_events=2)
    assert said() == stream[:20]
    caller.router.break_stream("split", split_at=[3])
    assert said() == stream
    caller.router.break_stream("error", after_events=1)
    assert said().startswith(stream[:9] + b'data: {"error":{"message":"the agent has failed"')
    caller.router.drop("chat", when="after")
    assert caller.ask("chat") == ["lost"]
    assert said() == stream
