"""The benchmark in small: every row runs, and says what it is to say. No figure is judged."""

from __future__ import annotations

import p2_decode
import p3_chat
import p4_calls
import p5_ready
import p6_many
import p7_fake
import p9_tools
import p10_rule
import p11_history
import p12_recordings
from bench_measure import Turns
from bench_result import Bar, Result


def well_formed(result: Result) -> Result:
    assert result.lines
    assert {len(line) for line in result.lines} == {len(result.columns)}
    assert result.bars
    return result


def test_decoding() -> None:
    result = well_formed(p2_decode.run(scale=0.0005, times=1))
    assert len(result.lines) == 9
    assert "httpx-sse" in result.columns


def test_chats() -> None:
    result = well_formed(p3_chat.run(scale=0.01, times=1))
    assert len(result.lines) == 6


def test_a_turn_with_tools() -> None:
    result = well_formed(p9_tools.run(scale=0.02, times=1))
    assert len(result.lines) == 1


def test_the_rule_of_regressions() -> None:
    result = well_formed(p10_rule.run(tries=50))
    assert len(result.lines) == 12


def test_a_history() -> None:
    one = ["pytest_hydrasmoke/checks/test_chat.py::test_chat_answers"]
    result = well_formed(p11_history.run(few=1, many=2, times=1, checks=one))
    assert [line[0] for line in result.lines] == ["1", "2"]


def test_calls_and_a_lifecycle() -> None:
    result = well_formed(p4_calls.run(calls=2, boot=0.0, times=1))
    assert result.bars[-1].kept  # no request more than the script makes, but for proof


def test_many_at_once() -> None:
    result = well_formed(p6_many.run(numbers=(1, 2), boot=0.0, times=1))
    assert [line[0] for line in result.lines] == ["1", "2"]


def test_the_fake() -> None:
    well_formed(p7_fake.run(count=2, times=1))


def test_recordings() -> None:
    # Sizes and memory depend on no machine.
    assert all(bar.kept for bar in well_formed(p12_recordings.run(long=100)).bars)


def test_noticing() -> None:
    # On a virtual clock nothing depends on the machine.
    result = well_formed(p5_ready.run(boots=3))
    assert all(bar.kept for bar in result.bars)


def test_what_counts_is_the_ratio_within_a_round() -> None:
    turns = Turns({"a": {0: 2.0, 1: 40.0, 2: 3.0}, "b": {0: 1.0, 1: 10.0, 2: 2.0}})
    assert turns.ratio("a", "b") == 2.0
    assert turns.seconds("a") == 3.0


def test_a_result_is_written_with_its_broken_bars_marked() -> None:
    result = Result(["what", "x"], bars=[Bar("time", 2.0, 1.0), Bar("room", 1.0, 1.0, "MB")])
    result.add("this", 1234.5)
    result.remarks.append("Of one kind.")
    made = str(result)
    assert "| this | 1,234 |" in made
    assert "| time | **2** x | 1 x |" in made
    assert "| room | 1 MB | 1 MB |" in made
    assert made.endswith("\n\nOf one kind.")
