"""What is kept of what a router sends beside its contract, and of events: names and forms."""

from __future__ import annotations

from dataclasses import replace

from pytest_hydrasmoke import ChatEvent
from pytest_hydrasmoke._api.models import PollResult, ProvisionAccepted
from pytest_hydrasmoke._api.retry import Outcome, Tried
from pytest_hydrasmoke._core.sightings import MOST, Sightings, form_of
from pytest_hydrasmoke._journal.events import Drifted, Heard
from pytest_hydrasmoke._transport.protocol import CallName, Request


def attempt(call: CallName, outcome: Outcome) -> Tried:
    return Tried(Request(call, "GET", "/x"), 1, 0.0, 0.0, outcome)


def event(data: str, name: str = "message") -> ChatEvent:
    return ChatEvent(name, data, "", None, 0.0)


def drift(seen: Sightings) -> list[str]:
    return [it.text for it in seen.seen if isinstance(it, Drifted)]


def test_unknown_fields_of_an_answer_are_named_without_their_values() -> None:
    seen = Sightings()
    answer: dict[str, object] = {"idempotency_key": "secret-key", "task_id": "secret-task"}
    seen.saw_answer("provision", ProvisionAccepted.model_validate(answer))
    answer |= {"instance_id": None, "zone": ["secret"]}
    seen.saw_answer("provision", ProvisionAccepted.model_validate(answer))
    assert drift(seen) == ["unknown in the answer to provision: zone"]
    assert "secret" not in repr(seen)


def test_what_the_contract_does_not_know_is_drift_and_told_once() -> None:
    seen = Sightings()
    wrong: list[tuple[CallName, int]]
    wrong = [("provision", 206), ("status", 302), ("chat", 418), ("llm_events", 409)]
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


def test_an_events_form() -> None:
    forms = {
        "[DONE]": Heard("message", "done"),
        " [DONE] ": Heard("message", "done"),
        "some words": Heard("message", "text"),
        "{broken": Heard("message", "text"),
        "": Heard("message", "text"),
        '{"type": "token", "b": 1}': Heard("message", "object", ("b", "type"), "token"),
        ' {"type": 5}': Heard("message", "object", ("type",)),
    }
    assert {data: form_of(event(data)) for data in forms} == forms


def test_a_hostile_router_fills_no_memory_and_no_terminal() -> None:
    seen = Sightings()
    for number in range(2 * MOST):
        seen.saw_event(event("x", f"name {number}"))
        seen.saw_answer("poll", PollResult.model_validate({"found": True, f"f{number}": 1}))
    heard = [it for it in seen.seen if isinstance(it, Heard)]
    assert (len(heard), len(drift(seen))) == (MOST, MOST)
    long = form_of(event('{"\\u001b[31m": 1, "type": "' + "y" * 500 + '"}', "x" * 500))
    assert len(long.event) < 100
    assert len(long.kind or "") < 100
    assert "\x1b" not in repr(long.keys)
    # Of the fields of one answer a few are named.
    seen = Sightings()
    many = {"found": True, **{f"f{number:02}": 1 for number in range(60)}}
    seen.saw_answer("poll", PollResult.model_validate(many))
    assert drift(seen) == [
        f"unknown in the answer to poll: {', '.join(f'f0{it}' for it in range(10))}, and 50 more"
    ]
