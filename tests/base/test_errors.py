"""The tree of errors, and how an error reads."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest_hydrasmoke
from pytest_hydrasmoke._base import errors
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._sse.decoder import ChatEvent

TREE = {
    "HydraSmokeError": "Exception",
    **dict.fromkeys(("ConfigError", "ContractError", "LeakError"), "HydraSmokeError"),
    **dict.fromkeys(("TransportError", "RouterError"), "HydraSmokeError"),
    **dict.fromkeys(("ProvisionError", "ChatError"), "HydraSmokeError"),
    **dict.fromkeys(("UnauthorizedError", "NotFoundError", "RejectedError"), "RouterError"),
    "TransportTimeoutError": "TransportError TimeoutError",
    "ProvisionTimeoutError": "ProvisionError TimeoutError",
    "ChatBusyError": "ChatError",
    "ChatTimeoutError": "ChatError TimeoutError",
    **dict.fromkeys(("LlmEventsError", "ToolCallsError"), "HydraSmokeError AssertionError"),
}
"""Each error's name, and those of its bases."""


def test_every_error_stands_where_the_tree_shows_it_and_is_public() -> None:
    found = {
        name: " ".join(base.__name__ for base in kind.__bases__)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    assert found == TREE
    for name in TREE:
        kind = getattr(errors, name)
        assert getattr(pytest_hydrasmoke, name) is kind
        assert name in str(errors.__doc__)
        assert "Raised when" in str(kind.__doc__)


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
    said = {"phase": "turn", "seconds": 0.0, "last": "first", "instance": "a", "next_step": "stop"}
    for given, left in ({}, CONTEXT), (said, said):
        error = HydraSmokeError("it broke", **given)  # type: ignore[arg-type]
        error.add_context(**CONTEXT)  # type: ignore[arg-type]
        assert {name: getattr(error, name) for name in CONTEXT} == left


def test_an_error_carries_what_became_of_its_request_or_turn() -> None:
    lost = errors.TransportError("no", reached=False)
    assert (lost.reached, lost.late) == (False, False)
    late = errors.TransportTimeoutError("no", reached=True, next_step="look")
    assert (late.reached, late.late, late.next_step) == (True, True, "look")
    missing = errors.NotFoundError("no", status_code=404, detail="nobody", next_step="look")
    assert (missing.status_code, missing.detail, missing.next_step) == (404, "nobody", "look")
    event = ChatEvent("message", "hi", "", None, 0.1)
    chat = errors.ChatError("no", events=[event], last="l", expected="e", got="g", next_step="n")
    assert chat.events == (event,)
    assert (chat.last, chat.expected, chat.got, chat.next_step) == ("l", "e", "g", "n")
    assert errors.ChatBusyError("no").events == ()


def test_frames_of_any_module_are_hidden_of_this_packages_own_errors_only() -> None:
    for name in ("_run.locks", "_core.instance", "client", "instance", "turn", "plugin"):
        hides = import_module(f"pytest_hydrasmoke.{name}")
        for kind, hidden in (
            (errors.LeakError, True),
            (errors.LlmEventsError, True),
            (KeyError, False),
        ):
            error = kind("x")
            assert hides.__tracebackhide__(SimpleNamespace(value=error)) is hidden
    # A check's own frames are its failure.
    assert not hasattr(import_module("pytest_hydrasmoke.checks.test_chat"), "__tracebackhide__")
