"""What is kept of a router's answers: their forms."""

from __future__ import annotations

from dataclasses import replace

from scripted_io import lost

from pytest_hydrasmoke import ChatEvent
from pytest_hydrasmoke._api.models import PollResult, ProvisionAccepted
from pytest_hydrasmoke._api.retry import Outcome, Tried
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


def test_an_answers_form_tells_null_from_absent_and_no_value() -> None:
    values = [None, True, "x", 1, 1.5, [], (), {}]
    kinds = ["null", "boolean", "string", "number", "number", "list", "list", "object"]
    assert [*map(kind_of, values)] == kinds
    seen = Sightings()
    answer = {"idempotency_key": "secret-key", "task_id": "secret-task"}
    seen.saw_answer("provision", 202, ProvisionAccepted.model_validate(answer))
    answer |= {"instance_id": None, "zone": ["secret"]}
    seen.saw_answer("provision", 202, ProvisionAccepted.model_validate(answer))
    key, task = ("idempotency_key", "string"), ("task_id", "string")
    whole = (key, ("instance_id", "null"), task, ("zone", "list"))
    assert answers(seen) == [
        Answered("provision", 202, (key, task)),
        Answered("provision", 202, whole),
    ]
    assert drift(seen) == ["unknown in the answer to provision: zone"]
    assert "secret" not in repr(seen)


def test_a_code_is_seen_of_what_has_no_answer() -> None:
    seen = Sightings()
    outcomes: list[tuple[CallName, Outcome]]
    outcomes = [("poll", 404), ("poll", 200), ("chat", 200), ("status", lost()), ("delete", 410)]
    for call, outcome in outcomes:
        seen.saw_attempt(attempt(call, outcome))
    codes = [(it.call, it.code) for it in answers(seen)]
    assert codes == [("poll", 404), ("chat", 200), ("delete", 410)]
    assert drift(seen) == []


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
        seen.saw_answer("poll", 200, PollResult.model_validate({"found": True, f"f{number}": 1}))
    heard = [it for it in seen.seen if isinstance(it, Heard)]
    assert (len(heard), len(answers(seen)), len(drift(seen))) == (MOST, MOST, MOST)
    long = form_of(event('{"\\u001b[31m": 1, "type": "' + "y" * 500 + '"}', "x" * 500))
    assert len(long.event) < 100
    assert len(long.kind or "") < 100
    assert "\x1b" not in repr(long.keys)
    # Of the fields of one answer a few are named.
    seen = Sightings()
    many = {"found": True, **{f"f{number:02}": 1 for number in range(60)}}
    seen.saw_answer("poll", 200, PollResult.model_validate(many))
    assert len(answers(seen)[0].fields or ()) == 41
    assert drift(seen) == [
        f"unknown in the answer to poll: {', '.join(f'f0{it}' for it in range(10))}, and 50 more"
    ]
