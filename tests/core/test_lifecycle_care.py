"""The way to a ready instance beside its answers: interrupts, keys of others, waits and phases."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from scripted_io import (
    ID,
    NO_ROW,
    NOT_FOUND,
    START,
    Listening,
    ScriptedIO,
    accepted,
    attached,
    calls_of,
    policy_of,
    record,
    row,
    status,
)

from pytest_hydrasmoke import (
    ConfigError,
    HydraSmokeError,
    ProvisionError,
)
from pytest_hydrasmoke._core import lifecycle
from pytest_hydrasmoke._core.lifecycle import (
    check_free,
    phase,
    provision,
    until_ready,
    wait,
)
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

POLICY = policy_of()


@pytest.mark.parametrize("call", ["provision", "poll", "status"])
def test_an_interrupt_leaves_the_record_with_what_it_knows(call: str) -> None:
    scripts: dict[str, list[Any]] = {
        "provision": [accepted(None)],
        "poll": [row()],
        "status": [status("running")],
    }
    scripts[call] = [KeyboardInterrupt()]
    it = record()
    _, calls = calls_of(it, **scripts)
    with pytest.raises(KeyboardInterrupt):
        drive(provision(calls, it, POLICY))
    known = {"provision": (State.REQUESTED, None), "poll": (State.ACCEPTED, None)}
    assert (it.state, it.id) == known.get(call, (State.CREATED, ID))
    assert it.interrupted == {"poll": "row", "status": "ready"}.get(call, call)


def _boot_interrupted_at(step: int) -> InstanceRecord | None:
    """Interrupt a boot at the nth line that its module runs; None if it has no more."""
    it = record()
    _, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[status("running")])
    lines = itertools.count()
    began = False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal began
        if frame.f_code.co_filename != lifecycle.__file__:
            return None
        began = began or (frame.f_code is provision.__code__ and event == "line")
        if began and event == "line" and next(lines) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        drive(provision(calls, it, POLICY))
    except KeyboardInterrupt:
        return it
    finally:
        sys.settrace(before)
    return None


def test_an_interrupt_at_any_line_of_a_boot_names_a_phase() -> None:
    seen = []
    for step in itertools.count(3):  # The first lines read the clock, before the boot begins.
        it = _boot_interrupted_at(step)
        if it is None:
            break
        seen.append(it.interrupted)
    assert list(dict.fromkeys(seen)) == ["provision", "row", "ready"]


@pytest.mark.parametrize("before", ["provision", "row"])
def test_an_interrupt_between_two_phases_names_the_one_before(before: str) -> None:
    doing: list[Doing] = []
    it = record()
    it.keeper = Listening(doing=doing.append)
    io, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[status("running")])

    def now() -> float:
        if doing[-1:] == [Doing(None)] and before in it.phases:
            raise KeyboardInterrupt
        return START

    io.now = now  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        drive(provision(calls, it, POLICY))
    assert it.interrupted == before


def test_a_failure_and_a_boot_that_was_seen_through_are_no_interrupts() -> None:
    for answer in (status("failed"), status("running")):
        it = record()
        _, calls = calls_of(it, provision=[accepted(None)], poll=[row()], status=[answer])
        with contextlib.suppress(ProvisionError):
            drive(provision(calls, it, POLICY))
        assert it.interrupted is None


def test_a_key_that_nobody_has_or_that_this_run_has_asked_for_is_free() -> None:
    for answer in (NO_ROW, NOT_FOUND):
        io, calls = calls_of(it := record(), poll=[answer])
        drive(check_free(calls, it, POLICY))
        assert io.calls_sent() == ["poll"]
    for state in sorted(set(State) - {State.CLAIMED}):
        io, calls = calls_of(it := record(state=state))
        drive(check_free(calls, it, POLICY))
        assert not io.sent


def test_a_key_that_somebody_else_has_a_row_for_is_not_provisioned_under() -> None:
    it = record()
    _, calls = calls_of(it, poll=[row()])
    with pytest.raises(ConfigError) as caught:
        drive(check_free(calls, it, POLICY))
    assert str(caught.value) == (
        "the router has an instance for this key already: another run uses this run id, or has "
        "used it\n"
        "  phase:     provision, after 0.0 s\n"
        "  instance:  (key night-0)\n"
        f"  got:       {ID}\n"
        "  next step: give every run an id of its own, such as run, attempt, job and shard"
    )
    assert (it.state, it.id) == (State.CLAIMED, None), "it is not this run's to delete"


def test_a_key_of_a_random_run_id_with_a_row_is_no_other_runs() -> None:
    it = record()
    it.key = "smoke-0123456789ab-0"
    _, calls = calls_of(it, poll=[row()])
    with pytest.raises(ConfigError) as caught:
        drive(check_free(calls, it, POLICY))
    assert caught.value.message.endswith("this run has not requested it, and its run id is random")
    assert caught.value.next_step is not None
    assert "smoke_instance_factory.own" in caught.value.next_step


def test_an_attached_instance_is_not_provisioned() -> None:
    it = attached()
    io, calls = calls_of(it)
    with pytest.raises(ConfigError, match="an attached instance can't be provisioned"):
        drive(provision(calls, it, POLICY))
    assert not io.sent


def word_is(word: str) -> Callable[[Any], bool]:
    return lambda status: bool(status.status == word)


def test_wait_gives_the_status_that_was_waited_for() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("failed"), status("deleted"), status("c", "box-1")])
    found = drive(wait(calls, it, word_is("c"), error=None, start=START, timeout=60))
    assert (found.status, found.hostname) == ("c", "box-1")
    assert it.state is State.READY, "without a predicate no word is an error"
    _, calls = calls_of(it, status=[status("a")])
    both = drive(wait(calls, it, word_is("a"), error=word_is("a"), start=START, timeout=9))
    assert both.status == "a", "ready comes first"
    _, calls = calls_of(it, status=[status("a")])
    with pytest.raises(ZeroDivisionError):
        drive(wait(calls, it, lambda _: bool(1 / 0), error=None, start=START, timeout=60))


def test_wait_fails_once_the_error_predicate_says_so() -> None:
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, status=[status("a"), status("broken")])
    with pytest.raises(ProvisionError, match="the instance is 'broken'"):
        drive(wait(calls, it, word_is("c"), error=word_is("broken"), start=START, timeout=60))
    assert it.state is State.FAILED


def test_an_attached_instance_that_fails_stays_whose_it_is() -> None:
    it = attached()
    _, calls = calls_of(it, status=[status("failed")])
    with pytest.raises(ProvisionError):
        drive(until_ready(calls, it, POLICY, START))
    assert it.state is State.CLAIMED


def test_a_phase_is_timed_even_if_it_fails() -> None:
    it, io = record(id=ID), ScriptedIO()
    it.saw_status("booting", START)

    def work() -> None:
        with phase("ready", io, it):
            drive(io.sleep(4))
            raise HydraSmokeError("no")

    with pytest.raises(HydraSmokeError) as caught:
        work()
    assert it.phases == {"ready": 4.0}
    error = caught.value
    assert (error.phase, error.seconds, error.last) == ("ready", 4.0, "status 'booting'")
    assert error.instance == f"{ID} (key night-0)"


def test_a_phase_tells_a_strangers_error_nothing_but_is_timed() -> None:
    it, io = record(), ScriptedIO()
    with pytest.raises(KeyError), phase("row", io, it):
        raise KeyError("x")
    assert it.phases == {"row": 0.0}


def test_the_usual_policy_is_the_documented_one() -> None:
    assert (
        Policy(
            ready_timeout=900,
            chat_timeout=120,
            llm_events_timeout=30,
            delete_timeout=60,
            row_wait=60,
            keep="never",
            ready=frozenset({"running", "active", "ready", "online"}),
            failed=frozenset({"failed", "error", "provision_failed", "cancelled"}),
            gone=frozenset({"deleted", "deleting", "terminated"}),
            chat_end="auto",
        )
        == Policy()
    )
