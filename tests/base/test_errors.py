"""The tree of errors, and how an error reads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

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
    LeakError: (HydraSmokeError,),
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_stands_where_the_tree_shows_it_and_is_public(kind: type) -> None:
    assert kind.__bases__ == TREE[kind]
    assert getattr(pytest_hydrasmoke, kind.__name__) is kind
    assert kind.__name__ in str(errors.__doc__)
    assert "Raised when" in str(kind.__doc__)


def test_the_tree_is_complete() -> None:
    kinds = {
        it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, BaseException)
    }
    assert kinds == set(TREE)


def test_an_error_of_nothing_but_a_message_is_that_message() -> None:
    assert str(HydraSmokeError("it broke")) == "it broke"


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
    assert str(HydraSmokeError("it broke", seconds=3.0)) == "it broke"


CONTEXT = {"phase": "row", "seconds": 9.0, "last": "late", "instance": "other", "next_step": "go"}


def test_context_fills_in_what_is_not_known() -> None:
    error = HydraSmokeError("it broke")
    error.add_context(**CONTEXT)
    assert {name: getattr(error, name) for name in CONTEXT} == CONTEXT


def test_context_replaces_nothing_that_was_said() -> None:
    said = {"phase": "turn", "seconds": 0.0, "last": "first", "instance": "a", "next_step": "stop"}
    error = HydraSmokeError("it broke", **said)  # type: ignore[arg-type]
    error.add_context(**CONTEXT)
    assert {name: getattr(error, name) for name in said} == said


def test_a_transport_error_tells_whether_the_request_may_have_arrived() -> None:
    assert not TransportError("no", reached=False).reached
    error = TransportTimeoutError("no", reached=True, next_step="look")
    assert (error.reached, error.next_step) == (True, "look")


def test_a_transport_error_tells_whether_time_ran_out() -> None:
    assert not TransportError("no", reached=True).late
    assert TransportTimeoutError("no", reached=True).late


def test_a_router_error_carries_status_and_words() -> None:
    error = NotFoundError("no", status_code=404, detail="nobody", next_step="look")
    assert (error.status_code, error.detail, error.next_step) == (404, "nobody", "look")


def test_a_chat_error_carries_the_events_before_it() -> None:
    event = ChatEvent("message", "hi", "", None, 0.1)
    error = ChatError("no", events=[event], last="l", expected="e", got="g", next_step="n")
    assert error.events == (event,)
    assert (error.last, error.expected, error.got, error.next_step) == ("l", "e", "g", "n")
    assert ChatBusyError("no").events == ()


@pytest.mark.parametrize(
    ("error", "hidden"),
    [(LeakError("x"), True), (LlmEventsError("x"), True), (KeyError("x"), False)],
    ids=lambda it: type(it).__name__,
)
def test_frames_are_hidden_of_this_packages_own_errors_only(error: Exception, hidden: bool) -> None:
    assert hide_own_frames(SimpleNamespace(value=error)) is hidden


@pytest.mark.parametrize(
    "name",
    [
        "_api.calls",
        "_api.responses",
        "_core.chat",
        "_core.handle",
        "_core.lifecycle",
        "_core.llm_events",
        "_transport.attempts",
        "_transport.protocol",
        "_transport.target",
    ],
)
def test_the_rooms_that_raise_hide_their_frames(name: str) -> None:
    module = __import__(f"pytest_hydrasmoke.{name}", fromlist=["x"])
    assert module.__tracebackhide__ is hide_own_frames
