"""The six calls: what is sent, and what each outcome means."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from asking import GOOD, PREFIX, Answered, Recorded, ask
from retry_table import AGAIN, ANSWERS, CODES
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    SPEC,
    START,
    ScriptedIO,
    accepted,
    calls_of,
    events,
    late,
    lost,
    refused,
    reply,
)

from pytest_hydrasmoke import (
    ConfigError,
    ContractError,
    HydraSmokeError,
    LlmEventsError,
    NotFoundError,
    RejectedError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.calls import (
    RECORD_THEM,
    Calls,
)
from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._api.retry import RULES, decide
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake.replay import AllAsked

SENT = {
    "provision": (
        "POST",
        f"{PREFIX}/provision",
        {
            "idempotency_key": KEY,
            "manifest_id": "hermes-basic",
            "region_id": "eu-central",
            "tier_id": "tier-1",
        },
        "application/json",
    ),
    "poll": ("GET", f"{PREFIX}/instances/by-key/{KEY}", None, "application/json"),
    "status": ("GET", f"{PREFIX}/instances/{ID}", None, "application/json"),
    "chat": ("POST", f"{PREFIX}/instances/{ID}/chat", {"message": "hello"}, "text/event-stream"),
    "llm_events": (
        "GET",
        f"{PREFIX}/instances/{ID}/llm-events?window_seconds=900",
        None,
        "application/json",
    ),
    "delete": ("DELETE", f"{PREFIX}/instances/{ID}", None, "application/json"),
}


@pytest.mark.parametrize("name", SENT)
def test_a_call_sends_what_the_routers_page_says(name: str) -> None:
    io, _ = ask(name, GOOD[name]())
    [sent] = io.sent
    request = sent.request
    assert request.call == name
    assert (request.method, request.path, request.body, request.accept) == SENT[name]


def test_an_agents_name_is_sent_only_if_there_is_one() -> None:
    io, calls = calls_of(None, provision=[accepted()])
    drive(calls.provision(SPEC.model_copy(update={"agent_name": "scout"}), KEY))
    assert io.sent[0].request.body == {**SENT["provision"][2], "agent_name": "scout"}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("poll", "/instances/by-key/..%2Fa%3Fb"),
        ("status", "/instances/..%2Fa%3Fb"),
        ("chat", "/instances/..%2Fa%3Fb/chat"),
        ("llm_events", "/instances/..%2Fa%3Fb/llm-events?window_seconds=5"),
        ("delete", "/instances/..%2Fa%3Fb"),
    ],
)
def test_ids_and_keys_stay_in_their_place_in_the_path(name: str, path: str) -> None:
    io, calls = calls_of(None, **{name: [NOT_FOUND]})
    more = {"chat": ("hello",), "llm_events": (5,)}.get(name, ())
    with contextlib.suppress(NotFoundError):
        drive(getattr(calls, name)("../a?b", *more))
    assert io.sent[0].request.path == PREFIX + path
    with pytest.raises(ConfigError):
        drive(getattr(calls, name)("..", *more))
    assert len(io.sent) == 1, "no path can name that"


KINDS: dict[int, type[HydraSmokeError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    422: RejectedError,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call_that_meets_a_status_code(name: str) -> None:
    for code in CODES:
        first = reply(code, {"detail": "no"}, retry_after="3")
        if code in AGAIN[name]:
            io, answer = ask(name, first, GOOD[name]())
            assert len(io.sent) == 2, "it is asked again"
            assert io.sleeps == [3.0]
            assert not isinstance(answer, HydraSmokeError)
        elif code not in ANSWERS[name] and (name, code) != ("poll", 404):
            io, error = ask(name, first)
            assert len(io.sent) == 1, "it is asked once"
            assert io.sleeps == []
            wrong_success = ContractError if code < 300 else RouterError
            assert type(error) is KINDS.get(code, wrong_success)
            assert error.message.startswith(name)


FAULTS = {"refused": refused, "lost": lost, "late": late}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_whose_answer_does_not_come(name: str, fault: str) -> None:
    outcome = FAULTS[fault]()
    if name == "chat" and fault != "refused":
        assert decide(RULES["chat"], outcome) == "fail"
        io, error = ask(name, outcome)
        assert len(io.sent) == 1, "a turn that may have been taken is never asked for again"
        assert isinstance(error, TransportError)
        assert (error.reached, error.late) == (True, fault == "late")
    else:
        assert decide(RULES[name], outcome) == "again"  # type: ignore[index]
        io, answer = ask(name, outcome, GOOD[name]())
        assert len(io.sent) == 2
        assert not isinstance(answer, HydraSmokeError)


def test_a_call_that_is_asked_again_sends_the_very_same_request() -> None:
    io, _ = ask("provision", lost(), reply(503), reply(408), accepted())
    assert len({repr(sent.request) for sent in io.sent}) == 1
    assert io.calls_sent() == ["provision"] * 4


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [NO_ROW, reply(200, {"found": False}), NOT_FOUND, reply(404, b"<html>")],
    ids=["found_false", "without_nulls", "404", "404_of_a_proxy"],
)
def test_a_key_without_a_row_is_not_found_however_that_is_said(answer: Any) -> None:
    _, found = ask("poll", answer)
    assert (found.found, found.instance_id, found.status) == (False, None, None)


def test_whoever_needs_to_know_is_told_that_a_key_is_answered_with_404() -> None:
    _, calls = calls_of(None, poll=[NOT_FOUND, NO_ROW])
    with pytest.raises(NotFoundError) as caught:
        drive(calls.find(KEY))
    assert caught.value.form is not None
    assert caught.value.form.fields == (("detail", "str"),)
    assert drive(calls.find(KEY)).found is False


@pytest.mark.parametrize(("code", "kind"), [(404, NotFoundError), (200, ContractError)])
def test_what_no_router_has_has_no_answer(code: int, kind: type[HydraSmokeError]) -> None:
    io, calls = calls_of(None, missing=[reply(code, {"detail": "Not Found"})])
    with pytest.raises(kind, match=r"^missing "):
        drive(calls.missing("no-such-call", deadline=START + 7))
    [sent] = io.sent
    assert (sent.request.method, sent.request.path, sent.request.body, sent.deadline) == (
        *("GET", f"{PREFIX}/no-such-call", None),
        START + 7,
    )


def test_a_window_that_is_the_routers_own_is_not_sent() -> None:
    io, calls = calls_of(None, llm_events=[events(1, "openai")])
    drive(calls.llm_events(ID, None))
    assert io.sent[0].request.path == f"{PREFIX}/instances/{ID}/llm-events"


def test_a_provider_without_an_llm_event_is_against_the_contract() -> None:
    io, error = ask("llm_events", events(1, "openai", "anthropic", "openai"), ...)
    assert isinstance(error, ContractError)
    assert (error.expected, error.got) == (
        "no more than 1: an LLM event of each",
        "2: anthropic, openai",
    )
    assert len(io.sent) == 2, "its row may have come between the names and the count"


@pytest.mark.parametrize("code", [404, 409, 410])
def test_to_delete_what_is_gone_is_to_have_deleted_it(code: int) -> None:
    _, answer = ask("delete", reply(code, b"anything"))
    assert (answer.instance_id, answer.status) == (ID, "deleted")


ABOUT = {
    "status": {"status": "running", "hostname": None},
    "llm_events": {"count": 0, "providers": [], "window_seconds": 900},
    "delete": {"status": "deleting"},
}


@pytest.mark.parametrize("name", ABOUT)
def test_an_answer_about_another_instance_is_against_the_contract(name: str) -> None:
    answer = {**ABOUT[name], "id": OTHER_ID, "instance_id": OTHER_ID}
    io, error = ask(name, reply(200, answer))
    assert type(error) is ContractError
    assert error.message == f"{name} answered for another instance"
    assert (error.expected, error.got) == (ID, OTHER_ID)
    assert error.next_step == "tell the router's developers: it does not keep its instances apart"
    assert len(io.sent) == 1


@pytest.mark.parametrize("name", ABOUT)
@pytest.mark.parametrize("spelled", [ID.upper(), ID.replace("-", "")])
def test_an_id_is_the_same_one_however_it_is_spelled(name: str, spelled: str) -> None:
    _, answer = ask(name, reply(200, {**ABOUT[name], "id": spelled, "instance_id": spelled}))
    assert not isinstance(answer, HydraSmokeError)


def test_what_is_no_id_is_compared_as_it_stands() -> None:
    for word in ("", "no-id", "g" * 32, "{}"):
        assert plain_id(word) == plain_id(word.upper()) == word


@pytest.mark.parametrize("name", sorted(set(ANSWERS) - {"chat"}))
def test_a_good_code_with_a_broken_body_is_not_asked_again(name: str) -> None:
    io, error = ask(name, reply(200, b"<html>"))
    assert isinstance(error, ContractError)
    assert len(io.sent) == 1


# --- a replay ---------------------------------------------------------------------------------


UNCOUNTED = "the LLM events of 'hello' were not counted then"


def counts(replay: Recorded | None) -> Calls:
    return Calls(ScriptedIO(llm_events=[events(1, "openai")]), replay=replay)


def test_a_replay_counts_no_events_that_are_not_recorded_unless_in_part() -> None:
    unknown = Recorded(words=UNCOUNTED)
    with pytest.raises(LlmEventsError) as caught:
        drive(counts(unknown).llm_events(ID, 900))
    assert (caught.value.message, caught.value.next_step) == (UNCOUNTED, RECORD_THEM)
    in_part = drive(counts(unknown).count_llm_events(ID, 900, in_part=True))
    assert (in_part[0].count, in_part[1]) == (1, None)
    assert drive(counts(None).llm_events(ID, 900)).count == 1


def test_a_replay_alone_says_that_it_will_count_no_more() -> None:
    known = AllAsked("pytest", all_asked=True)
    assert drive(counts(Recorded(known=known)).count_llm_events(ID, 900))[1] == known
    assert drive(counts(None).count_llm_events(ID, 900))[1] is None


def test_what_a_replay_says_of_a_count_is_as_old_as_the_request() -> None:
    replay = Recorded()

    def more(_: Any) -> Any:
        replay.known = AllAsked("pytest", all_asked=True)
        return events(1, "openai")

    calls = Calls(ScriptedIO(llm_events=[more]), replay=replay)
    assert drive(calls.count_llm_events(ID, 900))[1] is None


def test_a_replay_says_whether_the_events_of_the_last_chat_were_counted() -> None:
    assert Calls(ScriptedIO()).uncounted(ID) is None
    for answer in (None, Answered(refused=False), Answered(refused=False, uncounted=UNCOUNTED)):
        words = None if answer is None else answer.uncounted
        assert Calls(ScriptedIO(), replay=Recorded(answer=answer)).uncounted(ID) == words
