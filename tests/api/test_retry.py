"""What an attempt comes to, what that means for its call, and the pause before the next one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from asking import AGAIN, ANSWERS, CODES
from freezegun import freeze_time
from hypothesis import example
from hypothesis import given as for_any
from hypothesis import strategies as st
from scripted_io import reply
from sizes import examples

from pytest_hydrasmoke import ContractError, TransportError
from pytest_hydrasmoke._api.retry import RULES, asked_pause, pause, retry_after
from pytest_hydrasmoke._transport.exchange import ANSWER_LIMIT, append
from pytest_hydrasmoke._transport.failures import Reason, lost_attempt
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


def test_every_outcome_means_what_the_retry_table_says() -> None:
    assert set(RULES) == {*ANSWERS, "missing"}
    for name, rule in RULES.items():
        answers, again = ANSWERS.get(name, ()), AGAIN.get(name, {408, 429, 500, 502, 503, 504})
        for code in CODES:
            wanted = "answer" if code in answers else "again" if code in again else "fail"
            assert rule.decide(code) == wanted, (name, code)
        expired = TransportError("the certificate has expired", reached=False, permanent=True)
        assert rule.decide(expired) == "fail", "no retry can help"
        for reached in (True, False):
            wanted = "fail" if name == "chat" and reached else "again"
            assert rule.decide(TransportError("it was lost", reached=reached)) == wanted


def test_a_pause_is_full_jitter_over_a_doubled_time_and_no_less_than_is_asked_for() -> None:
    for attempt, draw, seconds in (
        *((1, 1, 0.5), (2, 1, 1), (3, 1, 2), (4, 1, 4), (5, 1, 8), (6, 1, 10), (60, 1, 10)),
        *((1, 0, 0), (9, 0, 0), (2, 0.5, 0.5), (6, 0.25, 2.5)),
    ):
        assert pause(attempt, None, draw) == seconds
    assert [pause(3, wanted, 0.9) for wanted in (7.0, 3600.0)] == [7.0, 3600.0]
    for wanted, draw, seconds in (
        *((0.0, 0.5, 5.0), (3.0, 0.5, 5.0), (3.0, 0.25, 3.0), (5.0, 0.5, 5.0), (3.0, 0.0, 3.0)),
    ):
        assert pause(6, wanted, draw) == seconds


NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
PAUSES: dict[str | None, float | None] = {
    **dict.fromkeys((None, "", "  ", "1.5", "-3", "+3", "1e3", "³", "٣", "soon"), None),
    "0": 0.0,
    "7": 7.0,
    " 7 ": 7.0,
    "0120": 120.0,
    "9" * 30: 1e30,
    "Wed, 02 Jan 2030 03:04:35 GMT": 30.0,
    "Wed, 02 Jan 2030 03:04:05 GMT": 0.0,
    "Wed, 02 Jan 2030 03:03:05 GMT": 0.0,
    "Wednesday, 02-Jan-30 03:04:35 GMT": 30.0,
    "Wed Jan  2 03:04:35 2030": 30.0,
    "Wed, 02 Jan 2030 05:04:35 +0200": 30.0,
    "Wed, 42 Jan 2030 03:04:35 GMT": None,
    # Too large for a clock.
    "Wed, 02 Jan 99999999999999999999 00:00:00 GMT": None,
    "Wed, 02 Jan 2030 99999999999:00:00 GMT": None,
    "Wed, 02 Jan 2030 00:00:00 +99999999999999999999999999": None,
}


def test_retry_after_is_seconds_or_a_date() -> None:
    for header, seconds in PAUSES.items():
        assert retry_after(header, NOW) == seconds, header


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone can't be set here")
def test_a_date_without_a_zone_is_not_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    try:
        assert retry_after("Wed, 02 Jan 2030 03:04:35", NOW) == 30.0
        assert retry_after("Wed, 02 Jan 2030 03:04:35 -0000", NOW) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


@examples(30, 5_000)
@for_any(
    st.text() | st.text("0123456789:, +-JanWedGMT", max_size=40),
    *(st.integers(0, 10**6), st.integers(-12, 14)),
)
@example("9" * 5000, 0, 0)
def test_any_retry_after_is_seconds_or_nothing(header: str, seconds: int, hours: int) -> None:
    wanted = retry_after(header, NOW)
    assert wanted is None or wanted >= 0
    when = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    assert retry_after(format_datetime(when), NOW) == seconds


def test_the_pause_that_an_answer_asks_for_counts_from_the_routers_own_time() -> None:
    assert asked_pause(reply(503, retry_after="12")) == 12.0
    assert asked_pause(reply(503)) is None
    until = "Wed, 02 Jan 2030 03:04:35 GMT"
    with freeze_time("2030-01-02 03:04:15"):
        assert asked_pause(reply(503, retry_after=until, date=format_datetime(NOW))) == 30.0
        # Where the router does not tell its time, there is only this machine's.
        assert asked_pause(reply(503, retry_after=until, date="soon")) == 20.0
        assert asked_pause(reply(503, retry_after=until)) == 20.0
    with freeze_time("2030-01-03"):
        assert asked_pause(reply(503, retry_after=until)) == 0.0
