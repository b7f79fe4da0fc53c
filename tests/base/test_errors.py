"""The tree of errors, and how an error reads."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest_hydrasmoke
from pytest_hydrasmoke._base import errors
from pytest_hydrasmoke._base.errors import (
    ChatBusyError,
    ChatError,
    ChatTimeoutError,
    ConfigError,
    ContractError,
    HydraSmokeError,
    LeakError,
    LlmEventsError,
    NotFoundError,
    ProvisionError,
    ProvisionTimeoutError,
    RejectedError,
    RouterError,
    ToolCallsError,
    TransportError,
    TransportTimeoutError,
    UnauthorizedError,
    hide_own_frames,
)
from pytest_hydrasmoke._sse.decoder import ChatEvent

TREE: dict[type, tuple[type, ...]] = {
    HydraSmokeError: (Exception,),
    ConfigError: (HydraSmokeError,),
    TransportError: (HydraSmokeError,),
    TransportTimeoutError: (TransportError, TimeoutError),
    RouterError: (HydraSmokeError,),
    UnauthorizedError: (RouterError,),
    NotFoundError: (RouterError,),
    RejectedError: (RouterError,),
    ContractError: (HydraSmokeError,),
    ProvisionError: (HydraSmokeError,),
    ProvisionTimeoutError: (ProvisionError, TimeoutError),
    ChatError: (HydraSmokeError,),
    ChatBusyError: (ChatError,),
    ChatTimeoutError: (ChatError, TimeoutError),
    LlmEventsError: (HydraSmokeError, AssertionError),
    ToolCallsError: (HydraSmokeError, AssertionError),
    LeakError: (HydraSmokeError,),
}


def test_every_error_stands_where_the_tree_shows_it_and_is_public() -> None:
    for kind, bases in TREE.items():
        assert kind.__bases__ == bases
        assert getattr(pytest_hydrasmoke, kind.__name__) is kind
        assert kind.__name__ in str(errors.__doc__)
        assert "Raised when" in str(kind.__doc__)
    found = [it for it in vars(errors).values() if isinstance(it, type)]
    assert {it for it in found if issubclass(it, BaseException)} == set(TREE)


def test_an_error_reads_as_a_bug_report_in_a_fixed_order() -> None:
    error = HydraSmokeError(
        "it broke",
        next_step="mend it",
        got="three",
        expected="two",
        instance="(key night-0)",
        last="status 'booting'",
        seconds=12.345,
        phase="ready",
    )
    assert str(error) == (
        "it broke\n"
        "  phase:     ready, after 12.3 s\n"
        "  instance:  (key night-0)\n"
        "  last seen: status 'booting'\n"
        "  expected:  two\n"
        "  got:       three\n"
        "  next step: mend it"
    )


def test_an_error_says_nothing_of_what_it_does_not_know() -> None:
    error = HydraSmokeError("it broke", phase="row", got="", seconds=None)
    assert str(error) == "it broke\n  phase:     row"
    for silent in (HydraSmokeError("it broke"), HydraSmokeError("it broke", seconds=3.0)):
        assert str(silent) == "it broke"


CONTEXT = {"phase": "row", "seconds": 9.0, "last": "late", "instance": "other", "next_step": "go"}


def test_context_fills_in_what_is_not_known_and_replaces_nothing() -> None:
    error = HydraSmokeError("it broke")
    error.add_context(**CONTEXT)
    assert {name: getattr(error, name) for name in CONTEXT} == CONTEXT
    said = {"phase": "turn", "seconds": 0.0, "last": "first", "instance": "a", "next_step": "stop"}
    error = HydraSmokeError("it broke", **said)  # type: ignore[arg-type]
    error.add_context(**CONTEXT)
    assert {name: getattr(error, name) for name in said} == said


def test_an_error_of_a_call_carries_what_became_of_its_request() -> None:
    lost = TransportError("no", reached=False)
    assert (lost.reached, lost.late) == (False, False)
    late = TransportTimeoutError("no", reached=True, next_step="look")
    assert (late.reached, late.late, late.next_step) == (True, True, "look")
    error = NotFoundError("no", status_code=404, detail="nobody", next_step="look")
    assert (error.status_code, error.detail, error.next_step) == (404, "nobody", "look")


def test_a_chat_error_carries_the_events_before_it() -> None:
    event = ChatEvent("message", "hi", "", None, 0.1)
    error = ChatError("no", events=[event], last="l", expected="e", got="g", next_step="n")
    assert error.events == (event,)
    assert (error.last, error.expected, error.got, error.next_step) == ("l", "e", "g", "n")
    assert ChatBusyError("no").events == ()


def test_frames_are_hidden_of_this_packages_own_errors_only() -> None:
    for error, hidden in ((LeakError("x"), True), (LlmEventsError("x"), True), (KeyError(), False)):
        assert hide_own_frames(SimpleNamespace(value=error)) is hidden
    for name in (
        *("_api.calls", "_api.responses", "_core.chat", "_core.handle", "_core.lifecycle"),
        *("_core.llm_events", "_transport.attempts", "_transport.protocol", "_transport.target"),
    ):
        module = import_module(f"pytest_hydrasmoke.{name}")
        assert module.__tracebackhide__ is hide_own_frames
