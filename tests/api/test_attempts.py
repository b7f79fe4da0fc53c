"""What an attempt comes to: an answer of bounded length, or how far it got without one."""

from __future__ import annotations

import pytest
from scripted_io import refused, reply

from pytest_hydrasmoke import ContractError, TransportError
from pytest_hydrasmoke._transport.attempts import ANSWER_LIMIT, append, lost_attempt, unwrap
from pytest_hydrasmoke._transport.reasons import Reason
from pytest_hydrasmoke._transport.steps import Reached


def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert ANSWER_LIMIT == 1 << 20
    body = bytearray(ANSWER_LIMIT - 1)
    append(body, b"x")
    assert body.endswith(b"\0x")
    with pytest.raises(ContractError) as caught:
        append(body, b"x")
    assert str(caught.value) == (
        "the response body exceeds the limit\n"
        "  expected:  at most 1,048,576 bytes\n"
        "  got:       more\n"
        "  next step: find out what answers at this URL"
    )


def test_an_attempts_result_is_given_or_raised() -> None:
    answer, fault = reply(200), refused()
    assert unwrap(answer) is answer
    with pytest.raises(TransportError) as caught:
        unwrap(fault)
    assert caught.value is fault


NONE = "no connection to https://router.example"
# How far it got; what is said where it failed then, and where its time was up.
LOST = {
    "CONNECTING": (f"{NONE} (reset)", f"{NONE} in time"),
    "SHAKING_HANDS": (f"{NONE} (reset)", f"{NONE} in time: its TLS handshake did not end"),
    "UNSENT": (f"{NONE} (reset)", "the request to https://router.example was not sent in time"),
    "BEGUN": ("the request was not sent whole (reset)", "the request was not sent whole in time"),
    "SENT": ("the answer was lost (reset)", "no answer in time"),
}


@pytest.mark.parametrize("progress", LOST)
def test_an_attempt_without_an_answer_says_how_far_it_got(progress: str) -> None:
    for late, message in zip((False, True), LOST[progress], strict=True):
        came_to = Reached[progress]
        error = lost_attempt("https://router.example", Reason("reset"), came_to, late=late)
        reached = progress in ("BEGUN", "SENT")
        assert (error.message, error.reached, error.late) == (message, reached, late)
        assert isinstance(error, TimeoutError) is late
        advised = late and progress not in ("CONNECTING", "UNSENT")
        assert ("https://router.example" in (error.next_step or "")) is advised
        assert (error.next_step is not None) is advised
