"""Points in time on a page, and in words."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._report.html.axis import Axis, clock, moment


def test_a_time_is_written_as_a_person_would_and_a_point_as_a_stopwatch_shows_it() -> None:
    times = {
        0.0: "0 ms",
        0.9994: "999 ms",
        0.9996: "1.00 s",
        9.99: "9.99 s",
        9.996: "10.0 s",
        59.94: "59.9 s",
        59.96: "1 min 00 s",
        3599.4: "59 min 59 s",
        3599.6: "1 h 00 min",
        90_000.0: "25 h 00 min",
    }
    assert {seconds: clock(seconds) for seconds in times} == times
    points = {0.0: "0:00.0", 59.96: "1:00.0", 65.25: "1:05.2", 3605.2: "1:00:05.2"}
    assert {seconds: moment(seconds) for seconds in points} == points


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, ["0"]),
        (0.003, ["0", "1 ms", "2 ms", "3 ms"]),
        (1.7, ["0", "500 ms", "1 s", "1.5 s"]),
        (65.0, ["0", "15 s", "30 s", "45 s", "1 min"]),
        (900.0, ["0", "5 min", "10 min", "15 min"]),
        (9000.0, ["0", "30 min", "1 h", "1.5 h", "2 h", "2.5 h"]),
        (30 * 86400.0, ["0", "120 h", "240 h", "360 h", "480 h", "600 h", "720 h"]),
    ],
)
def test_an_axis_has_a_few_round_points(seconds: float, words: list[str]) -> None:
    assert [word for _, word in Axis(seconds).ticks] == words


def test_a_point_has_its_place_and_none_is_off_the_axis() -> None:
    axis = Axis(8.0)
    assert (axis.x(-1.0), axis.x(2.0), axis.x(9.0)) == ("0.00%", "25.00%", "100.00%")
    assert Axis(0.0).x(3.0) == "0.00%"
    assert axis.marks([4.0, 2.0, 4.0001]) == "M250 0v10M500 0v10", "what is too near is one mark"
