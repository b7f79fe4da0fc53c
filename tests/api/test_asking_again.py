"""How long a call goes on asking, and who is told of each attempt."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from asking import ASK, GOOD, Answered, Recorded, ask
from pydantic import BaseModel
from retry_table import ANSWERS
from scripted_io import (
    HANG,
    ID,
    KEY,
    SPEC,
    START,
    AtDeadline,
    ScriptedIO,
    Took,
    accepted,
    calls_of,
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
    InstanceStatus,
    RouterError,
    TransportError,
)
from pytest_hydrasmoke._api.calls import (
    ATTEMPT_TIMEOUT,
    CALL_TIMEOUT,
    FIRST_CONTACT,
    LAST_CHANCE,
    Calls,
    Tried,
)
from pytest_hydrasmoke._base.errors import TransportTimeoutError
from pytest_hydrasmoke._transport.protocol import Request, drive


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


@pytest.mark.parametrize(
    ("asked", "patience", "deadline", "pause"),
    [
        ("2", 3, 100, 2.0),
        # However long the router says to wait, there is a last attempt.
        ("60", 3, 100, 3 - LAST_CHANCE),
        ("60", 30, 10, 10 - LAST_CHANCE),
    ],
)
def test_a_hurry_cuts_a_pause_that_does_not_fit(
    asked: str, patience: float, deadline: float, pause: float
) -> None:
    io, calls = calls_of(None, status=[reply(503, retry_after=asked), status("up")])
    io.hurried = START + patience
    assert drive(calls.status(ID, deadline=START + deadline)).status == "up"
    assert io.sleeps == [pause]


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


@pytest.mark.parametrize("first", [status("x"), reply(503)], ids=["answer", "refusal"])
def test_a_router_that_was_reached_once_is_asked_until_the_deadline(first: Any) -> None:
    io, calls = calls_of(None, status=[first, refused(), ...])
    if first.status == 200:
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


def test_a_router_that_takes_the_request_and_hangs_was_reached() -> None:
    io, _ = ask("provision", HANG, accepted(), deadline=START + 900)
    assert io.calls_sent() == ["provision"] * 2


# --- who watches -----------------------------------------------------------------------------


PROVISION = Request("provision", "POST", "/provision")


class Watcher:
    def __init__(self) -> None:
        self.attempts: list[Tried] = []
        self.answers: list[tuple[str, int, BaseModel]] = []

    def saw_attempt(self, attempt: Tried) -> None:
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


def test_an_answer_that_is_lost_or_asked_again_may_hide_that_it_was_carried_out() -> None:
    outcomes: dict[int | TransportError, bool] = {
        **dict.fromkeys((200, 201, 400, 404, 422, 499, 501, refused()), False),
        **dict.fromkeys((408, 409, 429, 500, 502, 503, lost(), late()), True),
    }
    for outcome, unknown in outcomes.items():
        assert Tried(PROVISION, 1, 0, 0, outcome).outcome_unknown is unknown


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


def test_a_record_counts_requests_retries_and_unknown_outcomes() -> None:
    it = record()
    _, calls = calls_of(
        it, provision=[lost(), reply(502), refused(), accepted()], poll=[lost(), row()]
    )
    drive(calls.provision(SPEC, KEY))
    drive(calls.poll(KEY))
    assert it.requests == {"provision": 4, "poll": 2}
    assert (it.retries, it.unknown_outcomes) == (4, 2)
