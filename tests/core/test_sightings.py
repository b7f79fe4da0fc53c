"""What is kept of a router's answers: their forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scripted_io import lost

from pytest_hydrasmoke import ChatEvent
from pytest_hydrasmoke._api.models import PollResult, ProvisionAccepted
from pytest_hydrasmoke._api.observer import Tried
from pytest_hydrasmoke._api.retry import Outcome
from pytest_hydrasmoke._core.sightings import MOST, Sightings, form_of, kind_of
from pytest_hydrasmoke._journal.events import Answered, Drifted, Heard
from pytest_hydrasmoke._transport.protocol import CallName, Request


def attempt(call: CallName, outcome: Outcome) -> Tried:
    return Tried(Request(call, "GET", "/x"), 1, 0.0, 0.0, outcome)


def event(data: str, name: str = "message") -> ChatEvent:
    return ChatEvent(name, data, "", None, 0.0)


def answers(seen: Sightings) -> list[Answered]:
    return [it for it in seen.seen if isinstance(it, Answered)]


def drift(seen: Sightings) -> list[str]:
    return [it.text for it in seen.seen if isinstance(it, Drifted)]


def test_a_value_has_a_kind() -> None:
    kinds: list[tuple[object, str]] = [
        *((None, "null"), (True, "boolean"), ("x", "string"), (1, "number"), (1.5, "number")),
        *(([], "list"), ((), "list"), ({}, "object")),
    ]
    for value, kind in kinds:
        assert kind_of(value) == kind


def test_an_answers_form_tells_null_from_absent_and_no_value() -> None:
    seen = Sightings()
    answer = {"idempotency_key": "secret-key", "task_id": "secret-task"}
    seen.saw_answer("provision", 202, ProvisionAccepted.model_validate(answer))
    answer |= {"instance_id": None, "zone": ["secret"]}
    seen.saw_answer("provision", 202, ProvisionAccepted.model_validate(answer))
    strings = (("idempotency_key", "string"), ("task_id", "string"))
    assert answers(seen) == [
        Answered("provision", 202, strings),
        Answered(
            "provision", 202, (strings[0], ("instance_id", "null"), strings[1], ("zone", "list"))
        ),
    ]
    assert drift(seen) == ["unknown in the answer to provision: zone"]
    assert "secret" not in repr(seen)


def test_a_code_is_seen_of_what_has_no_answer() -> None:
    seen = Sightings()
    outcomes: list[tuple[CallName, Outcome]] = [
        *(("poll", 404), ("poll", 200), ("chat", 200), ("status", lost()), ("delete", 410)),
    ]
    for call, outcome in outcomes:
        seen.saw_attempt(attempt(call, outcome))
    codes = {(it.call, it.code) for it in answers(seen)}
    assert codes == {("poll", 404), ("chat", 200), ("delete", 410)}
    assert drift(seen) == []


def test_what_the_contract_does_not_know_is_drift_and_told_once() -> None:
    seen = Sightings()
    wrong: list[tuple[CallName, int]] = [
        *(("provision", 206), ("status", 302), ("chat", 418), ("llm_events", 409)),
    ]
    for call, code in wrong * 2:
        seen.saw_attempt(attempt(call, code))
    assert drift(seen) == [
        f"{call} answered with {code}, which its contract does not know" for call, code in wrong
    ]
    seen = Sightings()
    for code in (401, 403, 422, 429, 500, 503, 599):
        seen.saw_attempt(attempt("status", code))
    seen.saw_attempt(attempt("openapi", 418))
    assert drift(seen) == [], "what any call may answer"
    seen.saw_attempt(replace(attempt("status", 200), oddity="as text/plain"))
    assert drift(seen) == ["status answered as text/plain"]


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ("[DONE]", Heard("message", "done")),
        (" [DONE] ", Heard("message", "done")),
        ("some words", Heard("message", "text")),
        ("{broken", Heard("message", "text")),
        ("", Heard("message", "text")),
        ('{"type": "token", "b": 1}', Heard("message", "object", ("b", "type"), "token")),
        ('{"type": 5}', Heard("message", "object", ("type",))),
    ],
)
def test_an_events_form(data: str, form: Heard) -> None:
    assert form_of(event(data)) == form


def test_a_hostile_router_fills_no_memory_and_no_terminal() -> None:
    seen = Sightings()
    for number in range(3 * MOST):
        seen.saw_event(event("x", f"name {number}"))
        seen.saw_answer("poll", 200, PollResult.model_validate({"found": True, f"f{number}": 1}))
    heard = [it for it in seen.seen if isinstance(it, Heard)]
    assert (len(heard), len(answers(seen)), len(drift(seen))) == (MOST, MOST, MOST)
    long = form_of(event('{"\\u001b[31m": 1, "type": "' + "y" * 500 + '"}', "x" * 500))
    assert len(long.event) < 100
    assert len(long.kind or "") < 100
    assert "\x1b" not in repr(long.keys)
