"""The page of a history: valid, harmless, and with everything on it."""

from __future__ import annotations

import re

import pytest
from golden import golden
from history_tools import TEST, URL, WEST, a_history, booted, history_of, live, report_of
from html_page import Page
from report_tools import HOSTILE, an_instance, failure

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._history import history_page as html


def shown(*reports: Report) -> Page:
    return Page(html.render(history_of(reports)))


def test_everything_is_on_it_and_what_is_drawn_stands_in_a_table_too() -> None:
    page = Page(html.render(a_history()), URL)
    golden("page-history", page.lines)
    assert [it.get("href") for it in page.all("a")] == [URL, URL]
    drawn = page.all("svg")
    assert drawn
    assert all(it.get("role") == "img" and it.get("aria-label") for it in drawn)
    assert len(page.all("table")) >= len(drawn)
    marks = {it.get("aria-label"): it.tag for it in page.root.iter()}
    assert (marks["g1: passed, commit c"], marks["g0: passed, commit c0"]) == ("a", "span")


@pytest.mark.parametrize("words", HOSTILE[:-1])
def test_what_a_stranger_said_is_text_and_harmless(words: str) -> None:
    spec = WEST.model_copy(update={"region_id": words[:80], "tier_id": words[:80]})
    failed = failure(70.0, words, test=words or TEST)
    hostile = booted(
        40.0, id=words, idempotency_key=words, spec=spec, outcome="leaked", failures=(failed,)
    )
    name = words.strip() or "g"
    of = {"group": name, "commit": words, "branch": words, "url": words}
    report = report_of(0, hostile, outcomes={words: "failed"}, pipeline=of, run_id=name)
    page = shown(report)
    assert page.all("a") == []
    assert "1337" not in page.source
    assert page.source.replace("\n", "").isprintable()


def test_a_chart_is_from_nothing_to_the_slowest() -> None:
    overview = live([report_of(0, booted(20.0)), report_of(1, booted(40.0), booted(80.0, 1))])
    [phase] = overview.phases
    chart = html.chart("ready", [phase], overview)
    assert chart.top == 80.0
    assert {it.name: it.path for it in chart.curves} == {
        "slowest": "M250 75L750 0h0",
        "median": "M250 75L750 25h0",
    }
    limited = html.chart("ready", [phase.model_copy(update={"budget": 100.0})], overview)
    assert (limited.top, limited.curves[0]) == (100.0, html.Curve("budget", "budget", "M0 0H1000"))


def test_a_phase_is_a_chart_with_a_line_for_each_spec() -> None:
    reports = [report_of(it, booted(40.0), booted(9.0, 1, spec=WEST)) for it in range(3)]
    overview = live(reports)
    chart = html.chart("ready", overview.phases, overview)
    names = ["eu-central tier-1 hermes-basic", "us-west tier-1 hermes-basic"]
    assert [(it.style, it.name) for it in chart.curves] == [*zip(["s0", "s1"], names, strict=True)]
    assert len({it.path for it in chart.curves}) == 2
    assert shown(*reports).source.count('<div class="chart">') == 1


def test_a_time_that_stands_alone_is_a_number_and_several_routers_are_named() -> None:
    source = shown(report_of(0, booted(42.0))).source
    assert "<dd>42.0 s</dd>" in source
    assert "<svg" not in source
    assert "Nothing." in shown(report_of(0, an_instance(phases={}, spans=()))).text
    both = [report_of(0, booted(41.0)), report_of(1, booted(47.0), url="https://other.example")]
    assert "eu-central tier-1 hermes-basic https://other.example 1 1" in shown(*both).spaced


def test_the_head_says_what_the_last_ones_came_to() -> None:
    reports = [
        report_of(it, outcomes={TEST: "failed"} if it in (3, 14, 15) else None) for it in range(16)
    ]
    source = shown(*reports[:14]).source
    assert "<h1>Of the last 10, 10 passed</h1>" in source
    source = shown(*reports).source
    assert "<h1>Of the last 10, 8 passed, 2 failed</h1>" in source
    # Each of them has one run, and days are on the axis.
    assert re.search(r"<h2 id=.groups1.>Runs ", source)
    assert '<p class="times"><span>2026-01-02</span><span>2026-01-03</span></p>' in source


def test_what_there_is_too_much_of_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_LINES", "MOST_ROWS", "MOST_LISTED"):
        monkeypatch.setattr(html, name, 1)
    reports = [report_of(it, booted(40.0), booted(9.0, 1, spec=WEST)) for it in range(2)]
    text = shown(*reports, report_of(2, outcomes={"a": "failed", "b": "failed"})).text
    for words in ("1 more specs are in the table", "2 more are in the data", "1 more are in the"):
        assert words in text
