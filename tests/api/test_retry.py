"""The retry rule: what an outcome means for its call, and the pause before the next attempt."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from freezegun import freeze_time
from hypothesis import example
from hypothesis import given as for_any
from hypothesis import strategies as st
from retry_table import AGAIN, ANSWERS, CODES
from scripted_io import reply

from pytest_hydrasmoke import (
    TransportError,
)
from pytest_hydrasmoke._api.retry import RULES, asked_pause, decide, pause, retry_after


@pytest.mark.parametrize("name", ANSWERS)
def test_every_status_code_means_what_the_retry_table_says(name: str) -> None:
    assert set(RULES) == {*ANSWERS, "missing"}
    for code in CODES:
        wanted = "answer" if code in ANSWERS[name] else "again" if code in AGAIN[name] else "fail"
        assert decide(RULES[name], code) == wanted, code  # type: ignore[index]


@pytest.mark.parametrize("name", ANSWERS)
def test_what_no_retry_can_help_is_a_failure_at_once(name: str) -> None:
    lost = TransportError("the certificate has expired", reached=False, permanent=True)
    assert decide(RULES[name], lost) == "fail"  # type: ignore[index]


@pytest.mark.parametrize(
    ("attempt", "draw", "seconds"),
    [
        *((1, 1, 0.5), (2, 1, 1), (3, 1, 2), (4, 1, 4), (5, 1, 8), (6, 1, 10), (60, 1, 10)),
        *((1, 0, 0), (9, 0, 0), (2, 0.5, 0.5), (6, 0.25, 2.5)),
    ],
)
def test_a_pause_is_full_jitter_over_a_doubled_time(
    attempt: int, draw: float, seconds: float
) -> None:
    assert pause(attempt, None, draw) == seconds


def test_a_routers_pause_is_a_floor_under_the_jitter() -> None:
    assert [pause(3, wanted, 0.9) for wanted in (7.0, 3600.0)] == [7.0, 3600.0]
    for wanted, draw, seconds in (
        *((0.0, 0.5, 5.0), (3.0, 0.5, 5.0), (3.0, 0.25, 3.0), (5.0, 0.5, 5.0), (3.0, 0.0, 3.0)),
    ):
        assert pause(6, wanted, draw) == seconds


# --- Retry-After -----------------------------------------------------------------------------


NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


PAUSES: dict[str | None, float | None] = {
    None: None,
    "": None,
    "  ": None,
    "0": 0.0,
    "7": 7.0,
    " 7 ": 7.0,
    "0120": 120.0,
    "9" * 30: 1e30,
    "1.5": None,
    "-3": None,
    "+3": None,
    "1e3": None,
    "³": None,
    "٣": None,
    "soon": None,
    "Wed, 02 Jan 2030 03:04:35 GMT": 30.0,
    "Wed, 02 Jan 2030 03:04:05 GMT": 0.0,
    "Wed, 02 Jan 2030 03:03:05 GMT": 0.0,
    "Wed, 02 Jan 2030 03:04:35 -0000": 30.0,
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


@for_any(st.integers(0, 10**6), st.integers(-12, 14))
def test_a_date_is_read_in_any_time_zone(seconds: int, hours: int) -> None:
    when = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    assert retry_after(format_datetime(when), NOW) == seconds


@for_any(st.text() | st.text("0123456789:, +-JanWedGMT", max_size=40))
@example("9" * 5000)
def test_any_retry_after_is_seconds_or_nothing(header: str) -> None:
    wanted = retry_after(header, NOW)
    assert wanted is None or wanted >= 0


def test_the_pause_that_an_answer_asks_for_is_in_its_header() -> None:
    assert asked_pause(reply(503, retry_after="12")) == 12.0
    assert asked_pause(reply(503)) is None
    in_the_past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert asked_pause(reply(503, retry_after=in_the_past)) == 0.0


@pytest.mark.parametrize("date", ["Wed, 02 Jan 2030 03:04:05 GMT", "soon", None])
def test_a_date_counts_from_the_routers_own_time(date: str | None) -> None:
    headers = {"retry_after": "Wed, 02 Jan 2030 03:04:35 GMT"} | ({"date": date} if date else {})
    # Where the router does not tell its time, there is only this machine's.
    own = not (date or "").startswith("Wed")
    with freeze_time("2030-01-02 03:04:15" if own else "2020-01-01"):
        assert asked_pause(reply(503, **headers)) == (20.0 if own else 30.0)
