"""The benchmark in small: every row runs, and says what it is to say.

Only figures that no machine has a part in are judged.
"""

from __future__ import annotations

from collections.abc import Callable

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
import pytest
from bench_measure import Turns
from bench_result import Bar, Result
from sizes import sampled

CHECK = "pytest_hydrasmoke/checks/test_chat.py::test_chat_answers"
# A row in small, how many lines it has (None: any), and which of its bars are judged.
ROWS: dict[str, tuple[Callable[[], Result], int | None, slice]] = {
    "decoding": (lambda: p2_decode.run(scale=0.0005, times=1), 9, slice(0)),
    "chats": (lambda: p3_chat.run(scale=0.01, times=1), 6, slice(0)),
    # No request more than the script makes, but for proof.
    "calls": (lambda: p4_calls.run(calls=2, boot=0.0, times=1), None, slice(-1, None)),
    "noticing, on virtual time": (lambda: p5_ready.run(boots=3), None, slice(None)),
    "many": (lambda: p6_many.run(numbers=(1, 2), boot=0.0, times=1), 2, slice(0)),
    "the fake": (lambda: p7_fake.run(count=2, times=1), None, slice(0)),
    "tools": (lambda: p9_tools.run(scale=0.02, times=1), 1, slice(0)),
    "regressions": (lambda: p10_rule.run(tries=20), 24, slice(0)),
    "a history": (lambda: p11_history.run(few=1, many=2, times=1, checks=[CHECK]), 2, slice(0)),
    # Sizes and memory.
    "recordings": (lambda: p12_recordings.run(long=100), None, slice(None)),
}


@pytest.mark.parametrize("name", sampled("rows", ROWS, ["noticing, on virtual time"]))
def test_a_row_runs(name: str) -> None:
    run, lines, judged = ROWS[name]
    result = run()
    assert {len(line) for line in result.lines} == {len(result.columns)}
    assert lines in (None, len(result.lines))
    assert name != "decoding" or "httpx-sse" in result.columns
    assert result.bars
    assert all(bar.kept for bar in result.bars[judged])


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
