"""The benchmark in small: every row runs, and says what it is to say. No figure is judged."""

from __future__ import annotations

from pathlib import Path

import bench_page
import p2_decode
import p3_chat
import p4_calls
import p5_ready
import p6_many
import p7_fake
import p8_tests
import p9_tools
import p10_rule
import p11_history
import p12_recordings
import pytest
from bench_measure import Turns
from bench_result import Bar, Result
from inner import without_others


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
    result = well_formed(
        p12_recordings.run(turns=1, events=500, long=100, times=1, paces={2_000: 8})
    )
    # Sizes and memory depend on no machine.
    assert all(bar.kept for bar in result.bars[2:])


def test_the_tests(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n")
    arguments = ["-c", str(tmp_path / "pytest.ini"), str(tmp_path), *without_others()]
    result = well_formed(p8_tests.run(arguments))
    assert result.lines[0][:2] == ["1", "passed"]


def test_noticing() -> None:
    # On a virtual clock nothing depends on the machine.
    result = well_formed(p5_ready.run(boots=3))
    assert all(bar.kept for bar in result.bars)


def test_what_counts_is_the_ratio_within_a_round() -> None:
    turns = Turns({"a": {0: 2.0, 1: 40.0, 2: 3.0}, "b": {0: 1.0, 1: 10.0, 2: 2.0}})
    assert turns.ratio("a", "b") == 2.0
    assert turns.seconds("a") == 3.0


def test_a_row_of_the_page_is_made_anew_and_the_rest_left() -> None:
    result = Result(["what", "x"], bars=[Bar("time", 2.0, 1.0), Bar("room", 1.0, 1.0, "MB")])
    result.add("this", 1234.5)
    page = (
        "# P\n<!-- P1 -->\nold\n<!-- end of P1 -->\ntext\n<!-- P2 -->\nkept\n<!-- end of P2 -->\n"
    )
    made = bench_page.refreshed(page, {"P1": result}, {"P1": "here"}, "")
    assert "old" not in made
    assert "text\n<!-- P2 -->\nkept\n" in made
    assert "| this | 1,234 |" in made
    assert "| time | **2** x | 1 x |" in made
    assert "| room | 1 MB | 1 MB |" in made
    assert made == bench_page.refreshed(made, {"P1": result}, {"P1": "here"}, "")


def test_results_are_kept_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for name in ("P2", "P1"):
        result = Result(["what"], bars=[Bar(name, 1.0, 1.0)])
        result.add("a thing")
        bench_page.save({name: result}, path)
    rows, machines, versions = bench_page.load(path)
    assert list(rows) == list(machines) == ["P1", "P2"]
    assert rows["P1"].bars == [Bar("P1", 1.0, 1.0)]
    assert "pytest " in versions


@pytest.mark.skipif(not bench_page.PAGE.exists(), reason="no documentation here")
def test_the_page_shows_the_results() -> None:
    page = bench_page.PAGE.read_text("utf-8")
    assert bench_page.refreshed(page, *bench_page.load()) == page
