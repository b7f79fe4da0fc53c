"""The page of a history: valid, harmless, and with everything on it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
import pytest
from chromium import PROGRAM, Tab
from history_tools import TEST, booted, failure, history_of, live, report_of, runs_of
from report_tools import SPEC, an_instance

from pytest_hydrasmoke._history import page as html
from pytest_hydrasmoke._history.model import History
from pytest_hydrasmoke._report.model import TokensReport

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=https://elsewhere.example onerror=alert(1)>',
    "{{ 7 * 191 }}",
    "\x1b[31mred\x07\u202egnp.exe",
)


def parsed(history: History) -> tuple[str, list[Element]]:
    """Return a page, and its elements as a strict HTML parser sees them."""
    source = html.render(history)
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root: Element = parser.parse(source)
    assert parser.errors == []
    return source, list(root.iter())


def text_of(elements: list[Element]) -> str:
    [body] = [it for it in elements if it.tag == "body"]
    return re.sub(r"\s+", " ", " ".join(body.itertext()))


def everything(folder: Path) -> History:
    """Make a history in which there is something of everything, live and of the fake."""
    same = {"commit": "c", "url": "https://ci.example/1?a=1&b=2"}
    broken = booted(
        44.0,
        outcome="leaked",
        leak="not confirmed",
        tokens=TokensReport(input_tokens=1_000, output_tokens=234),
        failures=(failure("AssertionError: no"),),
    )
    runs = [
        report_of(0, booted(41.0)),
        report_of(1, budgets={"ready": 60.0}, pipeline=same),
        report_of(2, broken, outcomes={TEST: "failed"}, pipeline=same | {"branch": "main"}),
        report_of(3, fake=True),
    ]
    made = history_of(runs_of(folder, runs), fake=True)
    return made.model_copy(update={"skipped": ("old/report.json: damaged",)})


def test_the_page_is_valid_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    source, elements = parsed(everything(tmp_path))
    links: list[str] = []
    for element in elements:
        assert element.tag not in ("script", "iframe", "object", "embed", "form", "img")
        assert not any(name.startswith("on") or name == "style" for name in element.attrib)
        links += [element.attrib[name] for name in ("src", "href") if name in element.attrib]
    assert links == ["data:,", *["https://ci.example/1?a=1&b=2"] * 2]
    assert "url(" not in source
    assert "@import" not in source
    names = [it.get("id") for it in elements if it.get("id")]
    assert len(names) == len(set(names))
    labels = {it.get("aria-labelledby") for it in elements if it.get("aria-labelledby")}
    assert labels <= set(names)
    [policy] = [it for it in elements if it.get("http-equiv")]
    assert (policy.get("content") or "").startswith("default-src 'none'; style-src 'sha256-")


def test_everything_is_on_it(tmp_path: Path) -> None:
    text = text_of(parsed(everything(tmp_path))[1])
    for words in (
        "Of the last 3, 2 passed, 1 leaked live router, runs: 3; of the last 3, 2 passed, 1 leaked",
        "the newest, g2, leaked",
        "FAKE router, runs: 1; the newest, g3, passed",
        "leak: night-0 may still run; hydra-smoke sweep --run-id night",
        "It may take 1 min 00 s.",
        "g2 eu-central tier-1 hermes-basic 1 44.0 s 44.0 s",
        "ready eu-central tier-1 hermes-basic 40.5 s 44.0 s +9% 2",
        "eu-central tier-1 hermes-basic 3 3",
        f"{TEST} AssertionError: no g2 1 2 1 0 0",
        "1,234 main",
        "old/report.json: damaged",
    ):
        assert words in text, words


def test_routers_are_named_where_there_are_several(tmp_path: Path) -> None:
    both = [report_of(0, booted(41.0)), report_of(1, booted(47.0), url="https://other.example")]
    text = text_of(parsed(history_of(runs_of(tmp_path, both)))[1])
    assert "eu-central tier-1 hermes-basic https://other.example 1 1" in text


def test_what_is_drawn_stands_in_a_table_too(tmp_path: Path) -> None:
    _, elements = parsed(everything(tmp_path))
    drawn = [it for it in elements if it.tag.endswith("svg")]
    assert drawn
    assert all(it.get("role") == "img" and it.get("aria-label") for it in drawn)
    tables = [it for it in elements if it.tag == "table"]
    assert len(tables) >= len(drawn)
    marks = [
        it for it in elements if it.get("aria-label") in ("g1: passed, commit c", "g0: passed")
    ]
    assert [it.tag for it in marks] == ["a"]


@pytest.mark.parametrize("words", HOSTILE)
def test_what_a_stranger_said_is_text_and_harmless(tmp_path: Path, words: str) -> None:
    spec = SPEC.model_copy(update={"region_id": words[:80], "tier_id": words[:80]})
    hostile = booted(
        40.0,
        id=words,
        idempotency_key=words,
        spec=spec,
        outcome="leaked",
        failures=(failure(words, words),),
    )
    of = {"group": words, "commit": words, "branch": words, "url": words}
    report = report_of(0, hostile, outcomes={words: "failed"}, pipeline=of, run_id=words)
    source, elements = parsed(history_of(runs_of(tmp_path, [report])))
    assert not [it for it in elements if it.tag in ("script", "img", "a")]
    assert "1337" not in source
    assert not {"\x1b", "\x07", "\u202e"} & set(source)


def test_a_chart_is_from_nothing_to_the_slowest(tmp_path: Path) -> None:
    reports = [report_of(0, booted(20.0)), report_of(1, booted(40.0), booted(80.0, 1))]
    overview = live(runs_of(tmp_path, reports))
    [phase] = overview.phases
    chart = html.chart("ready", [phase], overview)
    assert chart.top == 80.0
    assert {it.name: it.path for it in chart.lines} == {
        "slowest": "M250 75L750 0h0",
        "median": "M250 75L750 25h0",
    }
    limited = html.chart("ready", [phase.model_copy(update={"budget": 100.0})], overview)
    assert (limited.top, limited.lines[0]) == (100.0, html.Line("budget", "budget", "M0 0H1000"))


def test_a_phase_is_a_chart_with_a_line_for_each_spec(tmp_path: Path) -> None:
    west = SPEC.model_copy(update={"region_id": "us-west"})
    reports = [report_of(it, booted(40.0), booted(9.0, 1, spec=west)) for it in range(3)]
    history = history_of(runs_of(tmp_path, reports))
    overview = live(runs_of(tmp_path / "again", reports))
    chart = html.chart("ready", overview.phases, overview)
    assert [it.style for it in chart.lines] == ["s0", "s1"]
    assert len({it.path for it in chart.lines}) == 2
    assert html.render(history).count('<div class="chart">') == 1


def test_a_time_that_stands_alone_is_a_number(tmp_path: Path) -> None:
    history = history_of(runs_of(tmp_path, [report_of(0, booted(42.0))]))
    source = html.render(history)
    assert "<dd>42.0 s</dd>" in source
    assert "<svg" not in source


def test_the_head_says_what_the_last_ones_came_to(tmp_path: Path) -> None:
    reports = [report_of(it, outcomes={"a": "failed" if it == 3 else "passed"}) for it in range(14)]
    source = html.render(history_of(runs_of(tmp_path, reports)))
    assert "<h1>Of the last 10, 10 passed</h1>" in source
    reports += [report_of(it, outcomes={"a": "failed"}) for it in range(14, 16)]
    source = html.render(history_of(runs_of(tmp_path / "more", reports)))
    assert "<h1>Of the last 10, 8 passed, 2 failed</h1>" in source
    # Each of them has one run, and days are on the axis.
    assert re.search(r"<h2 id=.groups1.>Runs ", source)
    assert source.count('<p class="times">') >= 1


def test_a_run_without_instances_has_a_page(tmp_path: Path) -> None:
    report = report_of(0, an_instance(phases={}, spans=(), usage=()), outcomes={"a": "skipped"})
    text = text_of(parsed(history_of(runs_of(tmp_path, [report])))[1])
    assert "Nothing." in text


def test_what_there_is_too_much_of_is_cut_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("MOST_LINES", 1), ("MOST_ROWS", 1), ("MOST_LISTED", 1)):
        monkeypatch.setattr(html, name, most)
    west = SPEC.model_copy(update={"region_id": "us-west"})
    outcomes = {"a": "failed", "b": "failed"}
    reports = [report_of(it, booted(40.0), booted(9.0, 1, spec=west)) for it in range(2)]
    reports.append(report_of(2, booted(40.0), outcomes=outcomes))
    text = text_of(parsed(history_of(runs_of(tmp_path, reports)))[1])
    assert "1 more specs are in the table" in text
    assert "2 more are in the data" in text
    assert "1 more are in the data" in text


@pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here")
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_it_loads_nothing_and_fits(tmp_path: Path, width: int, dark: bool) -> None:
    page = tmp_path / "history.html"
    page.write_text(html.render(everything(tmp_path / "runs")), "utf-8")
    with Tab() as tab:
        tab.open(page, width=width, dark=dark)
        asked = [it["params"] for it in tab.events if it["method"] == "Network.requestWillBeSent"]
        assert [it["request"]["url"] for it in asked] == [page.as_uri()]
        assert tab.value("document.documentElement.scrollWidth") == width
        assert tab.value("document.scripts.length") == 0
