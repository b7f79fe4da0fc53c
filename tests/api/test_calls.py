"""The six calls: what is sent, what each outcome means, and how long a call goes on asking."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from retry_table import AGAIN, ANSWERS, CODES
from scripted_io import (
    HANG,
    ID,
    KEY,
    NO_ROW,
    NOT_FOUND,
    OTHER_ID,
    SPEC,
    START,
    AtDeadline,
    ScriptedIO,
    Took,
    accepted,
    calls_of,
    deleted,
    events,
    late,
    lost,
    record,
    refused,
    reply,
    row,
    status,
    stream,
)

from pytest_hydrasmoke import (
    ConfigError,
    ContractError,
    HydraSmokeError,
    InstanceStatus,
    LlmEventsError,
    NotFoundError,
    RejectedError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.calls import (
    ATTEMPT_TIMEOUT,
    CALL_TIMEOUT,
    FIRST_CONTACT,
    FIRST_WORDS,
    LAST_CHANCE,
    RECORD_THEM,
    Attempt,
    Calls,
)
from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._api.replayed import AllCounted
from pytest_hydrasmoke._api.retry import RULES, decide
from pytest_hydrasmoke._base.errors import TransportTimeoutError
from pytest_hydrasmoke._transport.protocol import Request, drive

PREFIX = "/internal/v1/smoke"

ASK: dict[str, Callable[..., Awaitable[Any]]] = {
    "provision": lambda calls, **kw: calls.provision(SPEC, KEY, **kw),
    "poll": lambda calls, **kw: calls.poll(KEY, **kw),
    "status": lambda calls, **kw: calls.status(ID, **kw),
    "chat": lambda calls, **kw: calls.chat(ID, "hello", **kw),
    "llm_events": lambda calls, **kw: calls.llm_events(ID, 900, **kw),
    "delete": lambda calls, **kw: calls.delete(ID, **kw),
}
GOOD: dict[str, Callable[[], Any]] = {
    "provision": accepted,
    "poll": row,
    "status": lambda: status("running"),
    "chat": lambda: stream(b"data: hi\n\n"),
    "llm_events": lambda: events(1, "openai"),
    "delete": deleted,
}


def ask(name: str, *steps: Any, deadline: float | None = None) -> tuple[ScriptedIO, Any]:
    """Make one call, and give what came of it: an answer, or the error."""
    io, calls = calls_of(None, **{name: steps})
    try:
        return io, drive(ASK[name](calls, deadline=deadline))
    except HydraSmokeError as error:
        return io, error


# --- what is sent ----------------------------------------------------------------------------

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


@pytest.mark.parametrize("name", ["poll", "status", "chat", "llm_events", "delete"])
def test_an_id_that_no_path_can_name_is_refused_before_anything_is_sent(name: str) -> None:
    io, calls = calls_of()
    more = {"chat": ("hello",), "llm_events": (5,)}.get(name, ())
    with pytest.raises(ConfigError):
        drive(getattr(calls, name)("..", *more))
    assert not io.sent


# --- what each outcome means -----------------------------------------------------------------

KINDS: dict[int, type[HydraSmokeError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    422: RejectedError,
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("code", CODES)
def test_a_call_that_meets_a_status_code(name: str, code: int) -> None:
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


@pytest.mark.parametrize("code", [200, 201, 202])
@pytest.mark.parametrize(("given", "read"), [(ID, ID), (None, None), (..., None)])
def test_provision_may_answer_with_or_without_the_instance(
    code: int, given: object, read: str | None
) -> None:
    _, answer = ask("provision", accepted(given, status=code))
    assert (answer.idempotency_key, answer.instance_id, answer.task_id) == (KEY, read, "task-1")


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


def test_a_key_with_a_row_gives_instance_and_status() -> None:
    _, found = ask("poll", row("Provisioning"))
    assert (found.found, found.instance_id, found.status) == (True, ID, "Provisioning")


@pytest.mark.parametrize("code", [404, 409, 410])
def test_to_delete_what_is_gone_is_to_have_deleted_it(code: int) -> None:
    _, answer = ask("delete", reply(code, b"anything"))
    assert (answer.instance_id, answer.status) == (ID, "deleted")


@pytest.mark.parametrize("code", [200, 202])
def test_a_deletion_is_answered_in_the_routers_words(code: int) -> None:
    _, answer = ask("delete", deleted("Deleting", code))
    assert (answer.instance_id, answer.status) == (ID, "Deleting")


def test_a_deletion_without_a_body_is_against_the_contract() -> None:
    _, error = ask("delete", reply(204))
    assert isinstance(error, ContractError)
    assert error.got == "204"


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


@pytest.mark.parametrize("word", ["", "no-id", "g" * 32, "{}"])
def test_what_is_no_id_is_compared_as_it_stands(word: str) -> None:
    assert plain_id(word) == word
    assert plain_id(word.upper()) == word


def test_events_are_counted_as_the_router_counts_them() -> None:
    _, answer = ask("llm_events", events(3, "openai", "anthropic", "openai"))
    assert (answer.count, answer.providers) == (3, ("openai", "anthropic", "openai"))


UNCOUNTED = "the LLM events of 'hello' were not counted then"


@dataclass(frozen=True)
class Answered:
    """What a recording has answered."""

    refused: bool
    uncounted: str | None = None


@dataclass
class Recorded:
    """A replay as its process asks it."""

    words: str | None = None
    known: AllCounted | None = None
    answer: Answered | None = None

    def last(self, instance_id: str) -> Answered | None:
        assert instance_id == ID
        return self.answer

    def uncounted(self, instance_id: str) -> str | None:
        assert instance_id == ID
        return self.words

    def all_counted(self, instance_id: str) -> AllCounted | None:
        assert instance_id == ID
        return self.known


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
    known = AllCounted("pytest", all_asked=True)
    assert drive(counts(Recorded(known=known)).count_llm_events(ID, 900))[1] == known
    assert drive(counts(None).count_llm_events(ID, 900))[1] is None


def test_what_a_replay_says_of_a_count_is_as_old_as_the_request() -> None:
    replay = Recorded()

    def more(_: Any) -> Any:
        replay.known = AllCounted("pytest", all_asked=True)
        return events(1, "openai")

    calls = Calls(ScriptedIO(llm_events=[more]), replay=replay)
    assert drive(calls.count_llm_events(ID, 900))[1] is None


def test_a_replay_says_whether_the_events_of_the_last_chat_were_counted() -> None:
    assert Calls(ScriptedIO()).uncounted(ID) is None
    for answer in (None, Answered(refused=False), Answered(refused=False, uncounted=UNCOUNTED)):
        words = None if answer is None else answer.uncounted
        assert Calls(ScriptedIO(), replay=Recorded(answer=answer)).uncounted(ID) == words


@pytest.mark.parametrize("name", sorted(set(ANSWERS) - {"chat"}))
def test_a_good_code_with_a_broken_body_is_not_asked_again(name: str) -> None:
    io, error = ask(name, reply(200, b"<html>"))
    assert isinstance(error, ContractError)
    assert len(io.sent) == 1


# --- how long --------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["0", "Wed, 02 Jan 2019 03:04:35 GMT"])
def test_a_router_that_asks_for_no_pause_gets_the_jitter_alone(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    io, _ = ask("status", *[reply(503, retry_after=asked)] * 3, status("up"))
    assert io.sleeps == [0.5, 1.0, 2.0]


def test_pauses_are_drawn_anew_and_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([1.0, 0.5, 0.25, 1.0])
    monkeypatch.setattr("random.random", lambda: next(draws))
    io, _ = ask("status", reply(500), lost(), reply(502), reply(503), status("running"))
    assert io.sleeps == [0.5, 0.5, 0.5, 4.0]


def test_a_transient_answer_without_retry_after_does_not_inherit_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    first = reply(503, retry_after="2")
    io, _ = ask("status", first, reply(503), refused(), reply(503, retry_after="x"), status("x"))
    assert io.sleeps == [2.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call_without_a_deadline_has_30_s(name: str) -> None:
    assert CALL_TIMEOUT == 30
    io, error = ask(name, reply(503), ...)
    assert type(error) is RouterError
    assert CALL_TIMEOUT - LAST_CHANCE <= io.waited < CALL_TIMEOUT
    assert f"({len(io.sent)} attempts)" in error.message
    assert {sent.deadline for sent in io.sent} == {START + CALL_TIMEOUT}


@pytest.mark.parametrize("asked", ["3600", "9" * 400, "Wed, 02 Jan 2999 03:04:35 GMT"])
def test_an_absurd_retry_after_still_leaves_a_last_attempt(asked: str) -> None:
    io, answer = ask("status", reply(503, retry_after=asked), status("up"), deadline=START + 100)
    assert answer.status == "up"
    assert io.sleeps == [100 - LAST_CHANCE]


def test_a_retry_after_that_fits_is_kept_to() -> None:
    io, _ = ask("status", reply(429, retry_after="90"), status("up"), deadline=START + 100)
    assert io.sleeps == [90.0]


def test_after_the_last_attempt_its_outcome_is_told() -> None:
    first = reply(503, retry_after="3600")
    io, error = ask("status", first, reply(500, {"detail": "boom"}), deadline=START + 100)
    assert error.message == "status was refused with 500 (2 attempts; before that: 503 once): boom"
    assert len(io.sent) == 2


def test_a_last_attempt_cut_short_does_not_hide_what_came_before() -> None:
    limited = reply(503, b"<title>503 Slow down</title>", server="nginx", retry_after="30")
    io, error = ask("status", limited, limited, limited, HANG, deadline=START + 95)
    assert len(io.sent) == 4
    assert str(error) == (
        "status: no answer in time (4 attempts; before that: 503 of nginx three times)\n"
        "  next step: a gateway in front of the router has no router behind it, or limits the rate "
        "of requests (nginx: limit_req), and asks to wait 30 s: see its log, or try again later"
    )


def test_attempts_that_went_the_same_way_are_told_once() -> None:
    _, error = ask("status", refused(), refused(), reply(503), ..., deadline=START + 3)
    assert "before that: no connection to https://router.example twice)" in error.message
    assert "503 once" not in error.message


def test_why_there_was_no_connection_is_not_lost_to_a_last_attempt_without_time() -> None:
    expired = TransportError("no connection to https://x (certificate has expired)", reached=False)
    in_time = TransportTimeoutError("no connection to https://x in time", reached=False)
    _, error = ask("status", expired, AtDeadline(in_time), deadline=START + 3)
    assert error.message == (
        "status: no connection to https://x in time "
        "(2 attempts; before that: certificate has expired once)"
    )


@pytest.mark.parametrize(
    ("left", "attempts"), [(LAST_CHANCE, 1), (LAST_CHANCE / 2, 1), (LAST_CHANCE + 0.01, 2)]
)
def test_no_pause_begins_that_leaves_no_time_for_an_attempt(left: float, attempts: int) -> None:
    io, error = ask("status", reply(503, retry_after="60"), ..., deadline=START + left)
    assert type(error) is RouterError
    assert len(io.sent) == attempts


@pytest.mark.parametrize("asked", ["0", "Wed, 02 Jan 2019 03:04:35 GMT"])
def test_a_router_that_asks_for_no_pause_at_all_is_not_flooded(asked: str) -> None:
    io, _ = ask("status", *[reply(503, retry_after=asked)] * 20, status("up"))
    assert min(io.sleeps) > 0


def test_a_router_that_hangs_once_does_not_take_the_whole_deadline() -> None:
    io, calls = calls_of(None, status=[status("x"), HANG, status("up")])
    drive(calls.status(ID))
    answer = drive(calls.status(ID, deadline=io.now() + 900))
    assert answer.status == "up"
    assert io.sent[1].deadline == START + ATTEMPT_TIMEOUT == START + 30
    assert io.waited < ATTEMPT_TIMEOUT + 1


def test_a_chat_that_is_never_repeated_has_the_whole_deadline_for_its_one_attempt() -> None:
    io, (opened, _) = ask("chat", Took(100, stream(b"")), deadline=START + 120)
    assert opened.status == 200
    assert io.sent[0].deadline == START + 120


@pytest.mark.parametrize("name", ASK)
def test_every_call_has_the_deadline_that_it_is_given(name: str) -> None:
    io, _ = ask(name, GOOD[name](), deadline=START + 7)
    assert [sent.deadline for sent in io.sent] == [START + 7]


def test_an_attempt_never_outlasts_its_calls_deadline() -> None:
    io, error = ask("status", HANG, ..., deadline=START + 7)
    assert isinstance(error, TransportError)
    assert error.late
    assert io.waited == 7


# --- in a hurry ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_is_asked_again_beyond_a_signals_patience(name: str) -> None:
    io, calls = calls_of(None, **{name: [reply(503), ...]})
    io.hurried = START + 3
    with pytest.raises(RouterError):
        drive(ASK[name](calls, deadline=START + 100))
    assert len(io.sent) > 1
    assert io.waited == 3 - LAST_CHANCE


@pytest.mark.parametrize("patience", [LAST_CHANCE, 0.1])
def test_where_no_patience_is_left_there_is_one_attempt(patience: float) -> None:
    io, calls = calls_of(None, status=[reply(503), ...])
    io.hurried = START + patience
    with pytest.raises(RouterError, match=r"refused with 503\n"):
        drive(calls.status(ID, deadline=START + 100))
    assert len(io.sent) == 1
    assert io.sleeps == []


def test_a_hurry_does_not_cut_a_pause_that_fits() -> None:
    io, calls = calls_of(None, status=[reply(503, retry_after="2"), status("up")])
    io.hurried = START + 3
    assert drive(calls.status(ID, deadline=START + 100)).status == "up"
    assert io.sleeps == [2.0]


def test_a_hurry_leaves_a_last_attempt_however_long_the_router_says_to_wait() -> None:
    io, calls = calls_of(None, status=[reply(503, retry_after="60"), status("up")])
    io.hurried = START + 3
    assert drive(calls.status(ID, deadline=START + 100)).status == "up"
    assert io.sleeps == [3 - LAST_CHANCE]


def test_a_patience_beyond_the_deadline_changes_nothing() -> None:
    io, calls = calls_of(None, status=[reply(503, retry_after="60"), status("up")])
    io.hurried = START + 30
    assert drive(calls.status(ID, deadline=START + 10)).status == "up"
    assert io.sleeps == [10 - LAST_CHANCE]


def test_a_signal_that_comes_while_a_call_is_under_way_hurries_it() -> None:
    def signalled(_: Any) -> Any:
        io.hurried = io.now() + 3
        return reply(503)

    io, calls = calls_of(None, status=[reply(503), signalled, reply(503), ...])
    with pytest.raises(RouterError):
        drive(calls.status(ID, deadline=START + 100))
    assert io.now() == io.hurried - LAST_CHANCE


# --- the first contact -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERS)
def test_a_router_that_was_never_reached_is_given_up_after_30_s(name: str) -> None:
    io, error = ask(name, refused(), ..., deadline=START + 900)
    assert isinstance(error, TransportError)
    assert not error.reached
    assert FIRST_CONTACT - LAST_CHANCE <= io.waited <= FIRST_CONTACT == 30


def test_a_router_that_was_reached_once_is_asked_until_the_deadline() -> None:
    io, calls = calls_of(None, status=[status("x"), refused(), ...])
    drive(calls.status(ID))
    with pytest.raises(TransportError):
        drive(calls.status(ID, deadline=START + 900))
    assert 900 - LAST_CHANCE <= io.waited <= 900


@pytest.mark.parametrize(
    ("before", "now", "attempts"),
    [
        (None, None, 2),
        (None, Answered(refused=True), 1),
        (None, Answered(refused=False), 2),
        # Trouble of the router's, which came before any recording was asked.
        (Answered(refused=True), None, 2),
        (Answered(refused=True), Answered(refused=True), 1),
    ],
)
def test_a_refused_chat_is_asked_again_unless_a_replay_has_answered_it(
    before: Answered | None, now: Answered | None, attempts: int
) -> None:
    replay = Recorded(answer=before)

    def refuse(_: Any) -> Any:
        replay.answer = now or replay.answer
        return reply(503)

    io = ScriptedIO(chat=[refuse, stream(b"data: x\n\n")])
    with contextlib.suppress(RouterError):
        drive(Calls(io, replay=replay).chat(ID, "hello"))
    assert io.calls_sent() == ["chat"] * attempts


def test_a_refusal_is_contact_too() -> None:
    io, error = ask("status", reply(503), refused(), ..., deadline=START + 900)
    assert isinstance(error, TransportError)
    assert 900 - LAST_CHANCE <= io.waited <= 900


def test_a_router_that_takes_the_request_and_hangs_was_reached() -> None:
    io, _ = ask("provision", HANG, accepted(), deadline=START + 900)
    assert io.calls_sent() == ["provision"] * 2


# --- chat ------------------------------------------------------------------------------------


def test_a_chat_gives_its_stream_open_and_the_time_of_its_request() -> None:
    opened = stream(b"data: hi\n\n")
    _, (given, asked_at) = ask("chat", Took(0.5, opened))
    assert given is opened
    assert opened.closed == 0
    assert asked_at == START


def test_a_chat_that_is_not_accepted_at_once_began_when_it_was() -> None:
    first = reply(409, retry_after="5")
    io, (_, asked_at) = ask("chat", first, stream(b""))
    assert asked_at == START + 5
    assert [it.closed for it in io.opened] == [1, 0], "a refusal's stream is let go of"


def test_a_refused_chat_reads_the_routers_words() -> None:
    io, error = ask("chat", reply(400, {"detail": "no agent"}))
    assert error.message == "chat was refused with 400: no agent"
    assert io.opened[0].closed == 1


def test_a_refusal_whose_words_are_lost_is_a_lost_answer() -> None:
    io, error = ask("chat", stream(lost(), status=503))
    assert isinstance(error, TransportError)
    assert error.reached
    assert io.opened[0].closed == 1


def test_a_refusal_is_read_to_its_end() -> None:
    _, error = ask("chat", stream(b'{"detail": "no', b' agent"}', status=400))
    assert error.detail == "no agent"


@pytest.mark.parametrize(
    "kind",
    ["text/event-stream", "text/event-stream; charset=utf-8", " Text/Event-Stream ;x=y"],
)
def test_a_chat_is_answered_by_an_event_stream(kind: str) -> None:
    _, (opened, _) = ask("chat", stream(b"", kind=kind))
    assert opened.closed == 0


@pytest.mark.parametrize(
    ("kind", "got", "says"),
    [
        ("application/json", "application/json", "x"),
        ("text/html; charset=x", "text/html; charset=x", "x"),
        ("", "(none)", "x"),
        ("text/event-streams", "text/event-streams", "x"),
        ("\x1b##[x]", "\\x1b# #[x]", "x"),
    ],
)
def test_a_chat_answered_by_anything_else_is_against_the_contract(
    kind: str, got: str, says: str
) -> None:
    io, error = ask("chat", stream(b"x", kind=kind))
    assert type(error) is ContractError
    assert str(error) == (
        "chat answered with something other than an event stream\n"
        "  expected:  content-type: text/event-stream\n"
        f"  got:       content-type: {got}, which says: {says}\n"
        "  next step: find out what answers in the agent's place"
    )
    assert io.opened[0].closed == 1


def test_a_chat_answered_without_any_content_type_is_against_the_contract() -> None:
    answer = stream(b"x")
    answer.headers = {}
    _, error = ask("chat", answer)
    assert error.got == "content-type: (none), which says: x"


def test_a_chat_answered_by_a_page_names_its_title_and_its_server() -> None:
    page = b"<html><head><title>Sign in</title></head><body>much more</body></html>"
    answer = stream(page, kind="text/html", server="gate/2", via="1.1 edge")
    io, error = ask("chat", answer)
    assert error.got == (
        "content-type: text/html, which says: Sign in (answered by gate/2, via 1.1 edge)"
    )
    assert io.opened[0].deadlines == [START + FIRST_WORDS]


def test_what_is_no_stream_and_says_nothing_is_not_waited_for() -> None:
    io, error = ask("chat", stream(HANG, kind="text/html"), deadline=START + 50)
    assert error.got == "content-type: text/html"
    assert io.waited == FIRST_WORDS
    io, _ = ask("chat", stream(HANG, kind="text/html"), deadline=START + FIRST_WORDS / 2)
    assert io.waited == FIRST_WORDS / 2


def test_a_chat_in_an_encoding_is_named() -> None:
    io, error = ask("chat", stream(b"\x8b\x02", content_encoding="br", server="edge"))
    assert str(error) == (
        "chat answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: br (answered by edge, text/event-stream, encoded as br)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )
    assert io.opened[0].closed == 1


def test_a_chat_in_a_charset_that_no_event_stream_can_have_is_named() -> None:
    io, error = ask("chat", stream(b"x", kind="text/event-stream; charset=UTF-16"))
    assert type(error) is ContractError
    assert error.expected == "charset=utf-8, or none"
    assert error.got == (
        "content-type: text/event-stream; charset=UTF-16 "
        "(answered by an unnamed server, text/event-stream; charset=UTF-16)"
    )
    assert io.opened[0].closed == 1


# --- who watches -----------------------------------------------------------------------------


PROVISION = Request("provision", "POST", "/provision")


class Watcher:
    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.answers: list[tuple[str, int, BaseModel]] = []

    def saw_attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def saw_answer(self, call: str, code: int, answer: BaseModel) -> None:
        self.answers.append((call, code, answer))


def test_an_observer_sees_every_attempt_with_its_time() -> None:
    fault = lost()
    script = [Took(2, reply(503, retry_after="1")), Took(3, fault), status("up")]
    io, watcher = ScriptedIO(status=script), Watcher()
    drive(Calls(io, watcher).status(ID, deadline=START + 100))
    first, second, third = watcher.attempts
    assert (first.request.call, first.number, first.at, first.seconds) == ("status", 1, START, 2)
    assert (first.outcome, second.outcome, third.outcome) == (503, fault, 200)
    assert (second.number, second.at, second.seconds) == (2, START + 3, 3)
    assert (third.number, third.seconds) == (3, 0)
    [(call, code, answer)] = watcher.answers
    assert (call, code) == ("status", 200)
    assert isinstance(answer, InstanceStatus)


@pytest.mark.parametrize(
    ("outcome", "unknown"),
    [
        *((200, False), (201, False), (400, False), (404, False), (408, True), (409, True)),
        *((422, False), (429, True), (499, False), (500, True), (502, True), (503, True)),
        (501, False),
    ],
)
def test_an_answer_that_is_asked_again_may_hide_that_it_was_carried_out(
    outcome: int, unknown: bool
) -> None:
    assert Attempt(PROVISION, 1, 0, 0, outcome).outcome_unknown is unknown


@pytest.mark.parametrize(
    ("fault", "unknown"), [(refused(), False), (lost(), True), (late(), True)], ids=str
)
def test_a_lost_answer_may_hide_that_it_was_carried_out(
    fault: TransportError, unknown: bool
) -> None:
    assert Attempt(PROVISION, 1, 0, 0, fault).outcome_unknown is unknown


def test_an_observer_hears_of_fields_that_are_unknown() -> None:
    answer = {"found": True, "instance_id": ID, "status": "x", "zone": 1, "age": 2}
    io, watcher = ScriptedIO(poll=[reply(200, answer), row()]), Watcher()
    calls = Calls(io, watcher)
    drive(calls.poll(KEY))
    drive(calls.poll(KEY))
    assert [(call, set(it.model_extra or ())) for call, _, it in watcher.answers] == [
        ("poll", {"age", "zone"}),
        ("poll", set()),
    ]


def test_unknown_fields_need_no_observer() -> None:
    _, answer = ask("poll", reply(200, {"found": False, "zone": 1}))
    assert answer.found is False


def test_a_record_counts_requests_retries_and_unknown_outcomes() -> None:
    it = record()
    _, calls = calls_of(
        it, provision=[lost(), reply(502), refused(), accepted()], poll=[lost(), row()]
    )
    drive(calls.provision(SPEC, KEY))
    drive(calls.poll(KEY))
    assert it.requests == {"provision": 4, "poll": 2}
    assert (it.retries, it.unknown_outcomes) == (4, 2)
