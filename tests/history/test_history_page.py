"""The page of a history: valid, harmless, and with everything on it."""

from __future__ import annotations

import re

import pytest
from golden import golden
from history_tools import LEAKED, TEST, URL, WEST, a_history, booted, history_of, report_of
from html_page import Page
from report_tools import HOSTILE, SPEC, an_instance, failure

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._history import views as html
from pytest_hydrasmoke._report.parts import SpanReport


def shown(*reports: Report) -> Page:
    return Page(html.render(history_of(reports)))


def test_everything_is_on_it() -> None:
    page = Page(html.render(a_history()), URL)
    golden("page-history", page.lines)
    assert [it.get("href") for it in page.all("a")] == [URL, URL]
    assert all(it.get("role") == "img" and it.get("aria-label") for it in page.all("figure/svg"))


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


def test_a_chart_has_days_a_limit_and_red_nights_and_leaks() -> None:
    calm = [report_of(24 * it, booted(40.0)) for it in range(11)]
    source = shown(*calm, report_of(264, booted(80.0)), report_of(300, LEAKED, exit_code=1)).source
    [chart] = re.findall(r"<figure>.*?</figure>", source, re.DOTALL)
    dates = re.findall("<span>(2026-[-0-9]+)</span>", chart)
    assert dates == ["2026-01-02", "2026-01-08", "2026-01-15"]
    limit, line = re.findall(r'd="([^"]*)"', chart)
    assert limit == "M0 50H1000"
    assert line.startswith("M20 58L97 58L")
    assert line.endswith("L865 17L980 58h0")
    assert re.findall(r'<g class="(.*?)"><line x1="(.*?)"', chart) == [("leaked", "98.0%")]
    assert "40.0 s, usually 40.0 s, limit 48.0 s" in chart


def test_a_phase_is_a_chart_with_a_named_line_for_each_spec() -> None:
    reports = [report_of(it, booted(40.0), booted(9.0, 1, spec=WEST)) for it in range(3)]
    source = shown(*reports).source
    assert source.count("<figure>") == 1
    assert re.findall(r'<p class="key (s.)">(.*?),', source) == [
        ("s0", "eu-central: 40.0 s"),
        ("s1", "us-west: 9.00 s"),
    ]
    both = [report_of(0, booted(41.0)), report_of(1, booted(47.0), url="https://other.example")]
    assert "https://other.example: 47.0 s" in shown(*both).text


def test_what_has_regressed_is_drawn_first() -> None:
    def night(number: int) -> Report:
        spans = [("ready", 40.0), ("turn", 5.0 if number < 10 else 30.0)]
        its = tuple(SpanReport(at=1.0, phase=phase, seconds=s) for phase, s in spans)
        many = [
            booted(40.0, it, spec=SPEC.model_copy(update={"region_id": f"r{it}"}))
            for it in range(5)
        ]
        return report_of(number, *many, booted(0.0, 9, spec=WEST, spans=its))

    page = shown(*map(night, range(11)))
    source = page.source
    assert re.findall(r"<h3>(.*?)</h3>", source) == ["turn", "ready"]
    assert "<h1>regression: turn of us-west tier-1 hermes-basic took 30.0 s" in source
    assert '<header class="failed">' in source
    assert "2 more specs are in the data" in page.text


def test_a_single_run_is_a_dot_and_nothing_is_said_where_nothing_stands_out() -> None:
    source = shown(report_of(0, booted(42.0))).source
    assert "M500 17h0" in source
    assert '<p class="dates"><span>01-02 12:00</span></p>' in source
    calm = shown(report_of(0, an_instance(phases={}, spans=())))
    assert "Nothing." in calm.text
    assert "<h1>passed: g0</h1>" in calm.source
    assert '<header class="passed">' in calm.source
