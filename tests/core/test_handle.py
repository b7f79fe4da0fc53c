"""What can be done with one instance: its status, waits, counts, and its end; and with what."""

from __future__ import annotations

import inspect
import json
import uuid
from typing import Any

import pytest
from core_tools import DONE, WORD, fails, handle_of, talking
from scripted_io import (
    HANG,
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    START,
    AtDeadline,
    ScriptedIO,
    Took,
    attached,
    deleted,
    events,
    policy_of,
    reply,
    status,
    stream,
)

from pytest_hydrasmoke import (
    AsyncSmokeClient,
    ChatTurn,
    ConfigError,
    InstanceSpec,
    LeakError,
    LlmEventsError,
    NotFoundError,
    ProvisionError,
    ProvisionTimeoutError,
    RouterError,
    SmokeClient,
    TransportTimeoutError,
)
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core.arguments import timeout_of
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def test_a_status_is_written_down() -> None:
    _, handle = handle_of(status=[status("Running", "box-1"), NOT_FOUND])
    assert (handle.id, handle.instance.key) == (ID, KEY)
    found = drive(handle.status())
    assert (found.id, found.status, found.hostname) == (ID, "Running", "box-1")
    assert (handle.instance.last_state, handle.instance.hostname) == ("status 'Running'", "box-1")
    fails(NotFoundError, handle.status())


NO_TIME = "the instance was not ready in time: the status never became ready within {} s"
A, B, C = status("a"), status("b"), status("c", "box-1")
WAITS: dict[str, tuple[list[Any], float | None, type[Exception] | str, str, float]] = {
    # The words, the timeout; what is raised, or the status that is given; a part of the message,
    # and the seconds until then. It waits for "c", and in vain where that is not told.
    "the third": ([A, B, C], 60, "c", "", 0.5),
    "no word is an error": ([status("failed"), status("deleted"), C], None, "c", "", 0.5),
    "an error is": ([A, status("broken")], 60, ProvisionError, "the instance is 'broken'", 0.25),
    "the run's timeout": ([AtDeadline(A)], None, ProvisionTimeoutError, NO_TIME.format(20), 20),
    "its own timeout": ([AtDeadline(A)], 8.0, ProvisionTimeoutError, NO_TIME.format(8), 8),
    # A wait of no time takes one look.
    "at once": ([Took(0.4, C)], 0.0, "c", "", 0.4),
    "not at once": ([Took(0.4, A)], 0.0, ProvisionTimeoutError, NO_TIME.format(0), 0.4),
    "just not at once": ([AtDeadline(A)], 0.0, ProvisionTimeoutError, NO_TIME.format(0), 0.5),
    "a look that hangs": ([HANG], 0.0, TransportTimeoutError, "no answer in time", LAST_CHANCE),
    "a look that fails": ([reply(503)], 0.0, RouterError, "refused with 503", 0),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_begins_when_it_is_asked_for_and_ends(name: str) -> None:
    words, timeout, outcome, message, waited = WAITS[name]
    io, handle = handle_of(policy=Policy(ready_timeout=20), status=words)
    io.time += 500
    error = (lambda it: it.status == "broken") if name == "an error is" else None
    wait = handle.wait(lambda it: it.status == "c", error, timeout)
    if isinstance(outcome, str):
        found = drive(wait)
        assert (found.status, found.hostname) == (outcome, "box-1")
    else:
        failure = fails(outcome, wait)
        assert message in str(failure).splitlines()[0]
        assert "  phase:     ready, after " in str(failure)
    assert io.waited - 500 == pytest.approx(waited)
    assert handle.instance.phases == {}, "it is no part of the time that provisioning took"
    assert handle.instance.state is (State.FAILED if name == "an error is" else State.READY)
    if timeout == 0.0:
        assert len(io.sent) == 1
        assert io.sent[0].deadline == START + 500 + LAST_CHANCE == START + 500.5


def test_whoever_waits_is_asked_first() -> None:
    _, handle = handle_of(status=[A, A])
    found = drive(handle.wait(lambda _: True, lambda _: True, 9))
    assert found.status == "a", "ready comes before an error"
    fails(ZeroDivisionError, handle.wait(lambda _: bool(1 / 0), None, 60))


def test_an_attached_instance_is_waited_for_as_any_other() -> None:
    io, handle = handle_of(attached(), status=[status("booting"), status("RUNNING")])
    io.time += 100
    drive(handle.until_ready())
    assert (handle.instance.state, handle.instance.phases) == (State.READY, {"ready": 0.25})
    assert io.sleeps == [0.25]
    _, handle = handle_of(attached(), status=[status("deleted")])
    error = fails(ProvisionError, handle.until_ready())
    assert (error.phase, error.instance) == ("ready", ID)
    assert handle.instance.state is State.CLAIMED, "it stays whose it is"


def test_llm_events_are_counted_over_any_window_of_a_turn_and_of_everybody() -> None:
    script = [events(3, "a"), events(0), events(1, "a"), events(1, "a"), events(0), ...]
    io, handle = handle_of(
        policy=Policy(llm_events_timeout=12), llm_events=script, chat=[stream(WORD + DONE)]
    )
    assert drive(handle.llm_events(60)).count == 3
    assert io.sent[0].request.path.endswith("?window_seconds=60")
    turn, _ = drive(handle.chat("hello", None))
    assert drive(handle.expect(Expected(), None, turn.account)).count == 1
    assert drive(handle.expect(Expected(), None)).count == 1
    for timeout, limit in ((None, 12), (4.0, 4)):
        before = io.time
        fails(LlmEventsError, handle.expect(Expected(), timeout))
        assert io.time - before == pytest.approx(limit)


def told_of(*frames: bytes) -> str:
    """Return the failure of a turn of these frames, whose LLM events never came."""
    _, handle = talking(stream(*frames))
    turn = ChatTurn(*drive(handle.chat("hello", None)), handle)
    with pytest.raises(LlmEventsError) as caught:
        turn.expect_llm_events(timeout=1)
    [failure] = handle.instance.failures.values()
    assert "look" not in failure.brief, "where replies are kept out, tools are"
    assert "the LLM events are not as expected" in failure.brief
    return str(caught.value)


def test_a_failure_names_the_tools_and_the_tokens_of_its_turn() -> None:
    calls = [{"index": n, "function": {"name": f"look{n % 25}"}} for n in range(30)]
    few, many = (
        b"data: %s\n\n" % json.dumps({"choices": [{"delta": {"tool_calls": it}}]}).encode()
        for it in (calls[:2], calls)
    )
    used = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}\n\n'
    assert "  turn:      called look0, look1, and took 7 + 2 tokens" in told_of(few, used, DONE)
    assert "turn:      called no tool, and reported no tokens" in told_of(WORD, DONE)
    assert "look19 and 5 more, and reported" in told_of(many, DONE)
    cut = told_of(WORD)
    assert cut.startswith("the stream of the turn ended without a terminal event, and the LLM ")
    told = "ended without a terminal event after 'Hi', called no tool, and reported no tokens"
    assert f"  turn:      {told}" in cut
    assert "  next step: see whether its reply is whole: if its runtime sends a terminal" in cut


GONE: dict[str, Any] = {"delete": [deleted()], "status": [status("running"), NOT_FOUND]}
DELETION = ["status", "delete", "status", "poll"]
"""A deletion is looked at before and after it."""


def ending(keep: str, **scripts: Any) -> tuple[ScriptedIO, Handle]:
    return handle_of(policy=policy_of(keep=keep), **{**GONE, "poll": [NO_ROW], **scripts})


@pytest.mark.parametrize(
    ("keep", "before", "now", "state"),
    [
        # keep, whether a test failed before, whether this one did, what is left of the instance
        ("never", True, True, State.GONE),
        ("on-failure", False, False, State.GONE),
        ("on-failure", False, True, State.KEPT),
        ("on-failure", True, False, State.KEPT),
        ("always", False, False, State.KEPT),
    ],
)
def test_the_end_of_a_with_deletes_unless_it_is_to_be_kept(
    keep: str, before: bool, now: bool, state: State
) -> None:
    io, handle = ending(keep)
    handle.instance.failed = before
    drive(handle.leave(failed=now))
    assert handle.instance.state is state
    assert handle.instance.failed is (before or now)
    assert io.calls_sent() == ([] if state is State.KEPT else DELETION)


def test_what_was_deleted_or_was_to_be_is_not_kept_and_what_was_kept_can_be_deleted() -> None:
    io, handle = ending("always")
    drive(handle.delete())
    drive(handle.delete())
    drive(handle.leave(failed=True))
    assert (handle.instance.state, io.calls_sent()) == (State.GONE, DELETION)
    looks = [status("running"), reply(401), NOT_FOUND]
    _, handle = ending("always", delete=[deleted(), ...], status=looks)
    fails(LeakError, handle.delete())
    drive(handle.leave(failed=True))
    assert handle.instance.state is State.GONE
    io, handle = ending("always", status=[NOT_FOUND])
    drive(handle.leave(failed=False))
    assert handle.instance.state is State.KEPT
    drive(handle.delete())
    assert handle.instance.state is State.GONE
    assert io.calls_sent() == DELETION[1:], "what was kept is not looked at first"


QUICK = Scenario(row_after=0.0, statuses=((0.0, "running"),), llm_events_lag=0.0)
WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("status", (17,), "instance_id can't be 17"),
    ("delete", (None,), "instance_id can't be NoneType"),
    ("llm_events", (b"x",), "instance_id can't be bytes"),
    ("llm_events", ("x", "900"), "window_seconds can't be str"),
    ("llm_events", ("x", 1.5), "window_seconds can't be 1.5"),
    ("llm_events", ("x", True), "window_seconds can't be True"),
    ("stream_chat", ("x", None), "message can't be NoneType"),
    ("poll", (3,), "idempotency_key can't be 3"),
    ("provision", ({}, "key"), "spec can't be dict"),
]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["sync", "asyncio"])
async def test_an_id_is_a_text_or_a_uuid_and_a_wrong_type_is_a_clear_error(kind: str) -> None:
    async def result(value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    with FakeRouter(QUICK) as fake:
        client = (SmokeClient if kind == "sync" else AsyncSmokeClient)(fake.url, token=fake.token)
        spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
        one = uuid.UUID((await result(client.provision(spec, "key-0"))).instance_id)
        assert (await result(client.status(one))).id == str(one)
        assert (await result(client.llm_events(one))).instance_id == str(one)
        chat: Any = client.stream_chat(one, "hello")
        if kind == "sync":
            with chat as said:
                assert list(said)
        else:
            async with chat as said:
                assert [event async for event in said]
        assert (await result(client.delete(one))).instance_id == str(one)
        before = len(fake.requests)
        for call, arguments, words in WRONG:
            with pytest.raises(ConfigError) as caught:
                await result(getattr(client, call)(*arguments))
            assert caught.value.message == words
            assert "give " in str(caught.value.next_step)
        assert len(fake.requests) == before
        await result(client.close() if isinstance(client, SmokeClient) else client.aclose())


def test_a_timeout_is_a_number_of_seconds_or_the_settings() -> None:
    for value in ("5", True, -1, float("nan"), float("inf"), [5]):
        with pytest.raises(ConfigError, match="timeout can't be"):
            timeout_of(value, 5.0)
    assert [timeout_of(it, 5.0) for it in (None, 0, 2, 0.5)] == [5.0, 0.0, 2.0, 0.5]
