"""How long a call goes on asking, and who is told of each attempt."""

from __future__ import annotations

from typing import Any

import pytest
import scripted_io as io
from asking import ANSWERS, ASK, Answered, Recorded, ask
from pydantic import BaseModel
from scripted_io import HANG, ID, KEY, START, Took, lost, refused, reply, status

from pytest_hydrasmoke import InstanceStatus, RouterError, TransportError
from pytest_hydrasmoke._api import calls as timing
from pytest_hydrasmoke._api.calls import LAST_CHANCE, Calls, Tried
from pytest_hydrasmoke._base.errors import TransportTimeoutError
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._transport.links import Link, Trace
from pytest_hydrasmoke._transport.protocol import Request, drive

BUSY = reply(503)
PAST = "Wed, 02 Jan 2019 03:04:35 GMT"


def busy(retry_after: object, code: int = 503) -> Any:
    return reply(code, retry_after=str(retry_after))


UP = status("up")
ALL_ONES = [1.0] * 4
PAUSES: dict[str, tuple[list[Any], list[float], list[float]]] = {
    # The attempts that fail, what is drawn, and the pauses.
    "they grow": ([reply(500), lost(), reply(502), BUSY], [1, 0.5, 0.25, 1], [0.5, 0.5, 0.5, 4.0]),
    "no pause is asked for": ([busy(0)] * 3, ALL_ONES, [0.5, 1.0, 2.0]),
    "a pause that is over": ([busy(PAST)] * 3, ALL_ONES, [0.5, 1.0, 2.0]),
    "a pause is for once": ([busy(2), BUSY, refused(), busy("x")], ALL_ONES, [2.0, 1.0, 2.0, 4.0]),
    "a pause that fits": ([busy(90, 429)], ALL_ONES, [90.0]),
    # However long the router says to wait, there is a last attempt.
    **{
        f"a pause until {asked[:9]}": ([busy(asked)], ALL_ONES, [100 - LAST_CHANCE])
        for asked in ("3600", "9" * 400, "Wed, 02 Jan 2999 03:04:35 GMT")
    },
}


@pytest.mark.parametrize("case", PAUSES)
def test_pauses_are_drawn_anew_and_no_less_than_the_router_asks_for(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, drawn, sleeps = PAUSES[case]
    draws = iter(drawn)
    monkeypatch.setattr("random.random", lambda: next(draws))
    asked, answer = ask("status", *steps, UP, deadline=START + 100)
    assert (asked.sleeps, answer.status) == (sleeps, "up")


@pytest.mark.parametrize("asked_for", ["0", PAST])
def test_a_router_that_asks_for_no_pause_at_all_is_not_flooded(asked_for: str) -> None:
    asked, _ = ask("status", *[busy(asked_for)] * 20, UP)
    assert min(asked.sleeps) > 0


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call_without_a_deadline_has_30_s(name: str) -> None:
    asked, error = ask(name, BUSY, ...)
    assert type(error) is RouterError
    assert timing.CALL_TIMEOUT - LAST_CHANCE <= asked.waited < timing.CALL_TIMEOUT == 30
    assert f"({len(asked.sent)} attempts)" in error.message
    assert {sent.deadline for sent in asked.sent} == {START + 30}


def test_a_last_attempt_does_not_hide_what_came_before() -> None:
    first = busy(3600)
    asked, error = ask("status", first, reply(500, {"detail": "boom"}), deadline=START + 100)
    assert error.message == "status was refused with 500 (2 attempts; before that: 503 once): boom"
    assert len(asked.sent) == 2
    limited = reply(503, b"<title>503 Slow down</title>", server="nginx", retry_after="30")
    asked, error = ask("status", limited, limited, limited, HANG, deadline=START + 95)
    assert len(asked.sent) == 4
    assert str(error) == (
        "status: no answer in time (4 attempts; before that: 503 of nginx three times)\n"
        "  next step: a gateway in front of the router has no router behind it, or limits the rate "
        "of requests (nginx: limit_req), and asks to wait 30 s: see its log, or try again later"
    )
    # Attempts that went the same way are told once, and as the last one not at all.
    _, error = ask("status", refused(), refused(), BUSY, ..., deadline=START + 3)
    assert "before that: no connection to https://router.example twice)" in error.message
    codes = [500, 502, 502, 504, 504, 504, 504, 408, 408, 408]
    _, error = ask("status", *map(reply, codes), BUSY, ..., deadline=START + 900)
    assert "; before that: 504 4 times, 408 three times, 502 twice)" in error.message
    # Why there was no connection is not lost to an attempt without time.
    expired = TransportError("no connection to https://x (certificate has expired)", reached=False)
    in_time = TransportTimeoutError("no connection to https://x in time", reached=False)
    _, error = ask("status", expired, io.AtDeadline(in_time), deadline=START + 3)
    assert error.message == (
        "status: no connection to https://x in time "
        "(2 attempts; before that: certificate has expired once)"
    )


def test_an_error_names_the_trace_of_its_requests() -> None:
    asked, calls = io.calls_of(None, status=[io.NOT_FOUND])
    asked.link = Link("https://router.example", None, trace=Trace(ID))
    with pytest.raises(RouterError) as caught:
        drive(calls.status(ID))
    assert caught.value.trace == ID


def test_a_router_that_hangs_once_does_not_take_the_whole_deadline() -> None:
    asked, calls = io.calls_of(None, status=[status("x"), HANG, UP])
    drive(calls.status(ID))
    assert drive(calls.status(ID, deadline=asked.now() + 900)).status == "up"
    assert asked.sent[1].deadline == START + timing.ATTEMPT_TIMEOUT == START + 30
    assert asked.waited < 31
    # Neither does it outlast it.
    asked, error = ask("status", HANG, ..., deadline=START + 7)
    assert isinstance(error, TransportError)
    assert (error.late, asked.waited) == (True, 7)


def test_a_chat_that_is_never_repeated_has_the_whole_deadline_for_its_one_attempt() -> None:
    asked, (opened, _) = ask("chat", Took(100, io.stream(b"")), deadline=START + 120)
    assert (opened.status, asked.sent[0].deadline) == (200, START + 120)


# --- in a hurry ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERS)
def test_nothing_is_asked_again_beyond_a_signals_patience(name: str) -> None:
    asked, calls = io.calls_of(None, **{name: [BUSY, ...]})
    asked.hurried = START + 3
    with pytest.raises(RouterError):
        drive(ASK[name](calls, deadline=START + 100))
    assert len(asked.sent) > 1
    assert asked.waited == 3 - LAST_CHANCE


# What the router asks for, a signal's patience, and the deadline; the pauses.
HURRIES: list[tuple[str, float, float, list[float]]] = [
    ("2", 3, 100, [2.0]),
    ("60", 3, 100, [3 - LAST_CHANCE]),
    ("60", 30, 10, [10 - LAST_CHANCE]),
    # Where no time is left for another attempt there is one.
    *(("60", left, 100, []) for left in (LAST_CHANCE, 0.1)),
    *(("60", 100, left, []) for left in (LAST_CHANCE, LAST_CHANCE / 2)),
    ("60", 100, LAST_CHANCE + 0.5, [0.5]),
]


@pytest.mark.parametrize(("asked_for", "patience", "left", "sleeps"), HURRIES)
def test_a_pause_leaves_time_for_a_last_attempt(
    asked_for: str, patience: float, left: float, sleeps: list[float]
) -> None:
    asked, calls = io.calls_of(None, status=[busy(asked_for), UP])
    asked.hurried = START + patience
    if sleeps:
        assert drive(calls.status(ID, deadline=START + left)).status == "up"
    else:
        with pytest.raises(RouterError, match=r"refused with 503\n"):
            drive(calls.status(ID, deadline=START + left))
    assert asked.sleeps == sleeps


def test_a_signal_that_comes_while_a_call_is_under_way_hurries_it() -> None:
    def signalled(_: Any) -> Any:
        asked.hurried = asked.now() + 3
        return BUSY

    asked, calls = io.calls_of(None, status=[BUSY, signalled, BUSY, ...])
    with pytest.raises(RouterError):
        drive(calls.status(ID, deadline=START + 100))
    assert asked.now() == asked.hurried - LAST_CHANCE


# --- the first contact -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ANSWERS)
def test_a_router_that_was_never_reached_is_given_up_after_30_s(name: str) -> None:
    asked, error = ask(name, refused(), ..., deadline=START + 900)
    assert isinstance(error, TransportError)
    assert not error.reached
    assert timing.FIRST_CONTACT - LAST_CHANCE <= asked.waited <= timing.FIRST_CONTACT == 30


@pytest.mark.parametrize("first", [status("x"), BUSY], ids=["answer", "refusal"])
def test_a_router_that_was_reached_once_is_asked_until_the_deadline(first: Any) -> None:
    asked, calls = io.calls_of(None, status=[first, refused(), ...])
    if first.status == 200:
        drive(calls.status(ID))
    with pytest.raises(TransportError):
        drive(calls.status(ID, deadline=START + 900))
    assert 900 - LAST_CHANCE <= asked.waited <= 900
    # So was one that takes the request and hangs.
    asked, _ = ask("provision", HANG, io.accepted(), deadline=START + 900)
    assert asked.calls_sent() == ["provision"] * 2


# --- who watches -----------------------------------------------------------------------------


class Watcher:
    link = None

    def __init__(self) -> None:
        self.attempts: list[Tried] = []
        self.answers: list[tuple[str, BaseModel]] = []

    def saw_attempt(self, attempt: Tried) -> None:
        self.attempts.append(attempt)

    def saw_answer(self, call: str, answer: BaseModel) -> None:
        self.answers.append((call, answer))


def test_an_observer_sees_every_attempt_with_its_time_and_every_answer() -> None:
    fault = lost()
    odd = reply(200, {"id": ID, "status": "up", "zone": 1, "age": 2})
    script = [Took(2, reply(503, retry_after="1")), Took(3, fault), odd, status("x")]
    asked, watcher = io.ScriptedIO(status=script), Watcher()
    calls = Calls(asked, watcher)
    drive(calls.status(ID, deadline=START + 100))
    drive(calls.status(ID))
    first, second, third, other = watcher.attempts
    request = Request("status", "GET", f"/internal/v1/smoke/instances/{ID}")
    assert first == Tried(request, 1, START, 2, 503)
    assert second == Tried(request, 2, START + 3, 3, fault)
    assert (third.number, third.seconds, third.outcome) == (3, 0, 200)
    assert (other.number, other.request) == (1, request)
    assert [call for call, _ in watcher.answers] == ["status"] * 2
    answers = [it for _, it in watcher.answers]
    assert all(isinstance(it, InstanceStatus) for it in answers)
    assert [set(it.model_extra or ()) for it in answers] == [{"age", "zone"}, set()]
    # It goes with them to another token, as does the replay.
    chats = io.ScriptedIO(chat=[io.stream(kind="text/event-stream; charset=latin-1")])
    calls = Calls(chats, watcher, replay=Recorded(answer=Answered(False, "not counted")))
    other = Link("https://router.example", Token("another-made-up-token"))
    beside = calls.beside(other)
    drive(beside.chat(ID, "hello"))
    assert chats.sent[0].request.link is other
    assert (watcher.attempts[4].oddity or "").startswith("in charset latin-1")
    assert beside.uncounted(ID) == "not counted"


def test_an_answer_that_is_lost_or_asked_again_may_hide_that_it_was_carried_out() -> None:
    outcomes: dict[int | TransportError, bool] = {
        **dict.fromkeys((200, 201, 400, 404, 422, 499, 501, refused()), False),
        **dict.fromkeys((408, 409, 429, 500, 502, 503, lost(), io.late()), True),
    }
    for outcome, unknown in outcomes.items():
        tried = Tried(Request("provision", "POST", "/provision"), 1, 0, 0, outcome)
        assert tried.outcome_unknown is unknown
    it = io.instance()
    _, calls = io.calls_of(
        it, provision=[lost(), reply(502), refused(), io.accepted()], poll=[lost(), io.row()]
    )
    drive(calls.provision(io.SPEC, KEY))
    drive(calls.poll(KEY))
    assert it.requests.times == {"provision": 4, "poll": 2}
    assert (it.requests.retries, it.evidence.unknown_outcomes) == (4, 2)
