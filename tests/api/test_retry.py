"""The retry rule: what an outcome means for its call, and the pause before the next attempt."""

from __future__ import annotations

import pytest
from retry_table import AGAIN, ANSWERS, CODES

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._api.retry import RULES, decide, pause


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


@pytest.mark.parametrize("wanted", [7.0, 3600.0])
def test_a_router_that_says_when_to_come_back_is_taken_at_its_word(wanted: float) -> None:
    assert pause(3, wanted, 0.9) == wanted


@pytest.mark.parametrize(
    ("wanted", "draw", "seconds"),
    [(0.0, 0.5, 5.0), (3.0, 0.5, 5.0), (3.0, 0.25, 3.0), (5.0, 0.5, 5.0), (3.0, 0.0, 3.0)],
)
def test_a_routers_pause_is_a_floor_under_the_jitter(
    wanted: float, draw: float, seconds: float
) -> None:
    assert pause(6, wanted, draw) == seconds
