"""What can be done with one instance: its status, waits, counts, and its end."""

from __future__ import annotations

import json
from typing import Any

import pytest
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
    calls_of,
    deleted,
    events,
    policy_of,
    record,
    reply,
    status,
    stream,
)

from pytest_hydrasmoke import (
    ChatTurn,
    LeakError,
    LlmEventsError,
    NotFoundError,
    ProvisionError,
    ProvisionTimeoutError,
    RouterError,
    TransportError,
)
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

HI = b"data: Hi\n\n"


DONE = b"data: [DONE]\n\n"


def handle_of(
    it: InstanceRecord | None = None, policy: Policy | None = None, **scripts: Any
) -> tuple[ScriptedIO, Handle]:
    it = it or record(state=State.READY, id=ID)
    io, calls = calls_of(it, **scripts)
    return io, Handle(calls, it, policy or Policy(), Reading())


def test_a_status_is_written_down() -> None:
    _, handle = handle_of(status=[status("Running", "box-1"), NOT_FOUND])
    assert (handle.id, handle.record.key) == (ID, KEY)
    found = drive(handle.status())
    assert (found.id, found.status, found.hostname) == (ID, "Running", "box-1")
    assert (handle.record.last_state, handle.record.hostname) == ("status 'Running'", "box-1")
    with pytest.raises(NotFoundError):
        drive(handle.status())


# --- waiting ---------------------------------------------------------------------------------


def test_a_wait_begins_when_it_is_asked_for() -> None:
    io, handle = handle_of(status=[status("a"), status("b")])
    io.time += 500
    found = drive(handle.wait(lambda it: it.status == "b", None, 60))
    assert found.status == "b"
    assert io.sleeps == [0.25]
    assert handle.record.phases == {}, "it is no part of the time that provisioning took"


@pytest.mark.parametrize(("timeout", "limit"), [(None, 20), (8.0, 8)])
def test_a_wait_has_its_own_timeout_or_the_runs(timeout: float | None, limit: int) -> None:
    policy = Policy(ready_timeout=20)
    io, handle = handle_of(policy=policy, status=[AtDeadline(status("a"))])
    with pytest.raises(ProvisionTimeoutError) as caught:
        drive(handle.wait(lambda _: False, None, timeout))
    assert f"within {limit} s" in caught.value.message
    assert (caught.value.phase, io.waited) == ("ready", limit)


def test_a_wait_of_no_time_takes_one_look() -> None:
    io, handle = handle_of(status=[Took(0.4, status("up"))])
    assert drive(handle.wait(lambda _: True, None, 0.0)).status == "up"
    assert io.sent[0].deadline == START + LAST_CHANCE == START + 0.5
    assert io.sleeps == []


@pytest.mark.parametrize("look", [status("a"), Took(0.4, status("a")), AtDeadline(status("a"))])
def test_a_wait_of_no_time_ends_after_its_look(look: Any) -> None:
    io, handle = handle_of(status=[look])
    with pytest.raises(ProvisionTimeoutError) as caught:
        drive(handle.wait(lambda _: False, None, 0.0))
    assert (caught.value.phase, caught.value.last) == ("ready", "status 'a'")
    assert caught.value.message == (
        "the instance was not ready in time: the status never became ready within 0 s"
    )
    assert len(io.sent) == 1


@pytest.mark.parametrize(
    ("look", "kind"), [(HANG, TransportError), (reply(503), RouterError)], ids=["hangs", "503"]
)
def test_a_look_that_brings_no_status_says_why(look: Any, kind: type[Exception]) -> None:
    io, handle = handle_of(status=[look])
    with pytest.raises(kind):
        drive(handle.wait(lambda _: True, None, 0.0))
    assert len(io.sent) == 1


def test_an_attached_instance_is_waited_for_as_any_other() -> None:
    io, handle = handle_of(attached(), status=[status("booting"), status("RUNNING")])
    io.time += 100
    drive(handle.until_ready())
    assert handle.record.state is State.READY
    assert handle.record.phases == {"ready": 0.25}
    assert io.sleeps == [0.25]
    _, handle = handle_of(attached(), status=[status("deleted")])
    with pytest.raises(ProvisionError) as caught:
        drive(handle.until_ready())
    assert (caught.value.phase, caught.value.instance) == ("ready", ID)


# --- LLM events ------------------------------------------------------------------------------


def test_llm_events_are_counted_over_any_window_of_a_turn_and_of_everybody() -> None:
    script = [events(3, "a"), events(0), events(1, "a"), events(1, "a")]
    io, handle = handle_of(llm_events=script, chat=[stream(HI + DONE)])
    assert drive(handle.llm_events(60)).count == 3
    assert io.sent[0].request.path.endswith("?window_seconds=60")
    turn, _ = drive(handle.chat("hello", None))
    assert drive(handle.expect_of_turn(Expected(), turn.account, None)).count == 1
    assert drive(handle.expect_recent(Expected(), None)).count == 1


def told_of(*frames: bytes) -> LlmEventsError:
    """Return the failure of a turn of these frames, whose LLM events never came."""
    _, handle = handle_of(llm_events=[events(0)] * 99, chat=[stream(*frames, DONE)])
    turn = ChatTurn(handle, *drive(handle.chat("hello", None)))
    with pytest.raises(LlmEventsError) as caught:
        turn.expect_llm_events(timeout=1)
    [failure] = handle.record.failures.values()
    assert "look" not in failure.brief, "where replies are kept out, tools are"
    assert failure.brief.startswith("the LLM events are not as expected")
    return caught.value


def test_a_failure_names_the_tools_and_the_tokens_of_its_turn() -> None:
    calls = [{"index": n, "function": {"name": f"look{n % 25}"}} for n in range(30)]
    delta = json.dumps({"choices": [{"delta": {"tool_calls": calls[:2]}}]}).encode()
    used = b'{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}'
    told = str(told_of(b"data: " + delta + b"\n\n", b"data: " + used + b"\n\n"))
    assert "  turn:      called look0, look1, and took 7 + 2 tokens" in told
    assert "turn:      called no tool, and reported no tokens" in str(told_of(HI))
    many = json.dumps({"choices": [{"delta": {"tool_calls": calls}}]}).encode()
    assert "look19 and 5 more, and reported" in str(told_of(b"data: " + many + b"\n\n"))


@pytest.mark.parametrize(("timeout", "limit"), [(None, 12), (4.0, 4)])
def test_llm_events_have_their_own_timeout_or_the_runs(timeout: float | None, limit: int) -> None:
    policy = Policy(llm_events_timeout=12)
    io, handle = handle_of(policy=policy, llm_events=[events(0), ...])
    with pytest.raises(LlmEventsError):
        drive(handle.expect_recent(Expected(), timeout))
    assert io.waited == pytest.approx(limit)


# --- the end ---------------------------------------------------------------------------------


TO_BE_GONE = {"delete": [deleted()], "status": [status("running"), NOT_FOUND], "poll": [NO_ROW]}


DELETION = ["status", "delete", "status", "poll"]
"""A deletion is looked at before and after it."""


def deleting(keep: str = "never") -> tuple[ScriptedIO, Handle]:
    return handle_of(policy=policy_of(keep=keep), **TO_BE_GONE)


KEEPS = [
    # keep, whether a test failed before, whether this one did, what is left of the instance
    ("never", False, False, State.GONE),
    ("never", True, True, State.GONE),
    ("on-failure", False, False, State.GONE),
    ("on-failure", False, True, State.KEPT),
    ("on-failure", True, False, State.KEPT),
    ("always", False, False, State.KEPT),
    ("always", True, True, State.KEPT),
]


@pytest.mark.parametrize(("keep", "before", "now", "state"), KEEPS)
def test_the_end_of_a_with_deletes_unless_it_is_to_be_kept(
    keep: str, before: bool, now: bool, state: State
) -> None:
    io, handle = deleting(keep)
    handle.record.failed = before
    drive(handle.leave(failed=now))
    assert handle.record.state is state
    assert handle.record.failed is (before or now)
    assert io.calls_sent() == ([] if state is State.KEPT else DELETION)


def test_what_was_deleted_stays_so_and_is_not_kept() -> None:
    io, handle = deleting("always")
    drive(handle.delete())
    drive(handle.delete())
    drive(handle.leave(failed=True))
    assert handle.record.state is State.GONE
    assert io.calls_sent() == DELETION


def test_what_was_asked_to_be_deleted_is_not_kept() -> None:
    _, handle = handle_of(
        policy=policy_of(keep="always"),
        delete=[deleted(), ...],
        status=[status("running"), reply(401), NOT_FOUND],
        poll=[NO_ROW],
    )
    with pytest.raises(LeakError):
        drive(handle.delete())
    drive(handle.leave(failed=True))
    assert handle.record.state is State.GONE


def test_what_was_kept_can_still_be_deleted() -> None:
    scripts = {**TO_BE_GONE, "status": [NOT_FOUND]}
    io, handle = handle_of(policy=policy_of(keep="always"), **scripts)
    drive(handle.leave(failed=False))
    assert handle.record.state is State.KEPT
    drive(handle.delete())
    assert handle.record.state is State.GONE
    assert io.calls_sent() == ["delete", "status", "poll"], "what was kept is not looked at first"
