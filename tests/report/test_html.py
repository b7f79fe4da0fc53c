"""The page for a person: valid, harmless, and with everything on it."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from html_page import Page
from report_tools import (
    ID,
    REPLY,
    a_failed_report,
    a_long_report,
    a_report,
    an_instance,
    exchange,
    turn,
)

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report.html import page as html
from pytest_hydrasmoke._report.html.lanes import chats_of
from pytest_hydrasmoke._report.model import FailureReport, ThoughtReport, ToolCallReport
from pytest_hydrasmoke._report.parts import CountReport, SpanReport

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><style>*{display:none}</style>",
    '"><img src=https://elsewhere.example onerror=alert(1)>',
    "{{ 7 * 191 }}",
    "::error::x\n::set-output name=a::b",
    "\n##[command]rm",
    "\x1b[31mred\x07\x9b1m\r\x00\x7f",
    "\u202egnp.exe\u2066\u200b\u2028",
    "\ud800 alone",
)


@pytest.mark.parametrize(
    "report",
    [
        a_report(),
        a_report(fake=True),
        a_failed_report(),
        a_report(an_instance(turns=(turn(1.0, message=None, text=None),)), exit_code=130),
        a_report(*[an_instance(idempotency_key=f"n-{slot}") for slot in range(9)]),
        a_report().model_copy(update={"instances": ()}),
    ],
    ids=["passed", "fake", "failed", "without replies", "many", "none"],
)
def test_the_page_is_valid_loads_nothing_and_runs_nothing(report: Report) -> None:
    page = Page(report)
    for element in page.root.iter():
        assert element.tag not in ("script", "iframe", "object", "embed", "form", "img")
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert name != "style", "the page's own policy would not have it"
            if name in ("src", "href"):
                assert value.startswith("#") or value == "data:,"
    assert "url(" not in page.source
    assert "@import" not in page.source
    # Every name is there once, and every link leads to one.
    names = [it.get("id") for it in page.root.iter() if it.get("id")]
    assert len(names) == len(set(names))
    assert {it.get("href", "")[1:] for it in page.all("a")} <= set(names)


def test_the_policy_allows_its_own_sheet_and_nothing_else() -> None:
    page = Page(a_report())
    [policy] = [it for it in page.all("meta") if it.get("http-equiv")]
    [style] = page.all("style")
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    assert policy.get("http-equiv") == "Content-Security-Policy"
    assert policy.get("content") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("words", HOSTILE)
def test_what_a_stranger_said_is_text_and_harmless(words: str) -> None:
    hostile = an_instance(
        id=words,
        hostname=words,
        idempotency_key=words,
        outcome="leaked",
        leak=words,
        notes=(words,),
        drift=(words,),
        exchanges=(exchange("status", 0.0, status=None, error=words),),
        turns=(turn(1.0, message=words, text=words, error=words),),
        usage=(CountReport(at=2.0, count=1, providers=(words,)),),
        failures=(FailureReport(at=3.0, message=words, phase="turn", test=words),),
    )
    plain = Page(a_failed_report())
    page = Page(a_report(hostile, an_instance(), url=f"https://router.example/{words}"))
    kinds = {it.tag for it in plain.root.iter()}
    assert {it.tag for it in page.root.iter()} <= kinds, "no element that the page has not"
    assert page.source.replace("\n", "").isprintable()
    assert not re.search(r"^\s*::", page.source, re.MULTILINE)
    assert "##[" not in page.source
    assert "1337" not in page.source
    page.source.encode()


def test_the_head_says_how_the_run_ended_and_against_what() -> None:
    page = Page(a_report())
    assert page.texts("h1") == ["Passed"]
    assert page.texts("title") == ["Passed: smoke run night"]
    assert "live router https://router.example/api" in page.text
    assert "1 provisioned 1 deleted 0 kept 0 leaked 1 chat 0 requests repeated" in page.text
    fake = Page(a_report(fake=True, exit_code=1))
    assert fake.texts("h1") == ["Failed"]
    assert "FAKE router It proves nothing about a live one." in fake.text
    assert "router.example/api" not in fake.text, "where the fake lived is no matter"
    assert "the reason is in pytest's own output" in fake.text
    assert Page(a_report(exit_code=130)).texts("h1") == ["Interrupted"]
    assert Page(a_report(exit_code=143)).texts("h1") == ["Ended with exit code 143"]


def test_what_went_wrong_comes_first_and_leads_to_its_moment() -> None:
    page = Page(a_failed_report())
    assert page.texts("h2")[:3] == [
        "What went wrong",
        "What the contract does not know",
        "2 instances",
    ]
    name = f"{ID} (key night-0)"
    [troubles] = page.all("ol", "troubles")
    assert [page.text_of(it) for it in troubles] == [
        f"leak may still run and cost money {name}",
        "failure the stream was cut: the answer was lost tests/test_agent.py::test_greeting",
        f"failure AssertionError: 1 == 2 {name}",
        f"budget ready took 59.0 s, the limit is 30.0 s {name}",
    ]
    [ahead] = [it for it in page.all("li") if it.get("id") == "i1-f1"]
    assert page.text_of(ahead) == (
        "1:02.7 Failed in turn tests/test_agent.py::test_greeting "
        "the stream was cut: the answer was lost phase: turn, after 1.7 s"
    )
    assert "hydra-smoke sweep --run-id night" in page.text


def test_the_command_that_deletes_a_leak_is_shown_once() -> None:
    command = "hydra-smoke sweep --run-id night"
    told = f"not confirmed as deleted: it is there\n  phase:     delete\n  next step: {command}"
    failed = FailureReport(at=3.0, message=told, phase="delete", test=None)
    leaked = an_instance(outcome="leaked", leak=told, delete_with=command, failures=(failed,))
    page = Page(a_report(leaked, exit_code=1))
    assert page.text.count(command) == 1
    assert f"To delete it: {command}" in page.text
    assert "it is there phase: delete To delete it" in page.text


def test_a_budget_of_an_instance_that_is_not_told_leads_nowhere() -> None:
    breaches = a_failed_report().breaches
    page = Page(a_report(an_instance(id="another"), exit_code=1, breaches=breaches))
    assert page.texts("ol", "troubles")[0].startswith("budget ready took 59.0 s")
    assert page.all("a") == []


def test_an_instance_is_told_with_every_request_in_order() -> None:
    page = Page(a_failed_report())
    rows = page.texts("span", "what")
    assert rows[:6] == [
        "provision no answer the answer was lost",
        "provision 202 attempt 2",
        "status 200",
        "status is now booting",
        "status 200 29 times show each",
        "status 200",
    ]
    assert rows.count("status 200") == 30, "those that are folded are there too"
    assert "delete 500" in rows
    assert page.texts("div", "lane") == [
        "015 s30 s45 s1 min",
        "status bootingrunning",
        "provision 100 ms",
        "row 1.00 s",
        "ready 59.0 s",
        "first_event 500 ms",
        "turn 1.70 s",
        "delete 2.00 s",
        "requests 8",
        "failure 1:02.7",
    ]
    assert "a chat's stream ended without a terminal event" in page.texts("ul", "notes")[0]
    assert "No request was sent for it." in page.text
    assert "0 LLM events counted" in page.text
    assert "2 LLM events counted: anthropic, openai" in page.text


def test_a_kept_instance_is_told_with_what_to_do_with_it() -> None:
    page = Page(a_report(an_instance(outcome="kept")))
    assert page.texts("pre") == [
        f"pytest --hydra-smoke --hydra-smoke-instance {ID} hydra-smoke sweep --run-id night"
    ]


def test_a_chat_is_a_transcript_with_the_arrival_of_its_events() -> None:
    page = Page(a_report())
    [chat] = page.texts("div", "chat")
    assert chat == (
        f"Test Are you ready? Agent {REPLY} first event after 500 ms longest gap 1.00 s "
        "4 events in 1.70 s"
    )
    [drawing] = page.all("svg", "arrivals")
    [marks] = [it.get("d") for it in drawing.iter() if it.get("d")]
    assert marks == "M294 0v10M353 0v10M941 0v10M1000 0v10"
    [gap] = [it for it in drawing.iter() if it.get("class") == "gap"]
    assert (gap.get("x"), gap.get("width")) == ("35.29%", "58.82%")


def test_a_chat_that_broke_off_shows_the_silence_before() -> None:
    error = "the turn did not end within 10 s"
    failures = (
        FailureReport(at=3.0, message="of another", phase="ready", test=None),
        FailureReport(at=20.0, message=error, phase="turn", test=None),
    )
    late = turn(10.0, error=error, complete=False)
    page = Page(a_report(an_instance(turns=(turn(5.0), late), failures=failures)))
    _, chat = page.texts("div", "chat")
    assert f"It broke off: {error}" in chat
    assert "longest gap 8.30 s" in chat
    assert "broke off after 10.0 s" in chat


def bars(page: Page, phase: str) -> list[tuple[str | None, str | None, str | None]]:
    [lane] = [it for it in page.all("div", "lane") if page.text_of(it).startswith(phase)]
    rects = [it for it in lane.iter() if it.tag.endswith("rect")]
    return [(it.get("class"), it.get("x"), it.get("width")) for it in rects]


def test_the_phase_that_failed_stands_out() -> None:
    failures = (
        FailureReport(at=8.0, message="it hung", phase="ready", test=None),
        FailureReport(at=60.0, message="too late", phase="turn", test=None),
        FailureReport(at=80.0, message="too late", phase="turn", test=None),
    )
    spans = (
        SpanReport(at=0.0, phase="ready", seconds=8.01),
        SpanReport(at=50.0, phase="turn", seconds=2.0),
    )
    silent = turn(70.0, error="too late", events=0, arrivals=(), seconds=None, complete=False)
    page = Page(
        a_report(
            an_instance(
                spans=spans,
                failures=failures,
                exchanges=(exchange("delete", 99.0, seconds=1.0),),
                turns=(turn(50.0, error="too late", seconds=2.0), silent),
            )
        )
    )
    assert bars(page, "ready") == [("broken", "0.00%", "8.01%")]
    assert bars(page, "turn") == [("turn", "50.00%", "2.00%"), ("broken", "52.00%", "8.00%")]
    assert bars(page, "first_event") == [("broken", "70.00%", "10.00%")]
    assert "turn 10.0 s" in page.texts("div", "lane")


def test_a_chat_without_an_end_without_events_or_without_a_moment_is_told_as_far_as_known() -> None:
    endless = turn(5.0, complete=False)
    nothing = turn(6.0, events=0, arrivals=(), seconds=None, text="", error="cut", complete=False)
    one = turn(7.0, events=1, arrivals=(0.5,), seconds=0.5, first_text_after=0.5)
    first, second, third = Page(a_report(an_instance(turns=(endless, nothing, one)))).texts(
        "div", "chat"
    )
    assert "No terminal event came." in first
    assert second.endswith("Agent (no text) It broke off: cut No event came.")
    assert third.endswith("first event after 500 ms, first text after 500 ms 1 event in 500 ms")


def test_a_chat_shows_why_its_model_stopped() -> None:
    page = Page(a_report(an_instance(turns=(turn(5.0, finish_reason="length"), turn(6.0)))))
    first, second = page.texts("div", "chat")
    assert "Agent, finished with length Ready" in first
    assert "finished with" not in second


def test_without_replies_no_word_of_a_chat_is_on_the_page() -> None:
    page = Page(a_report(an_instance(turns=(turn(61.0, message=None, text=None),))))
    [chat] = page.texts("div", "chat")
    assert chat.startswith("What was said is kept out of this report. first event after 500 ms")


def test_of_many_instances_those_in_trouble_are_unfolded() -> None:
    many = [an_instance(idempotency_key=f"n-{slot}", failed=slot == 3) for slot in range(5)]
    page = Page(a_report(*many, exit_code=1))
    opened = [it.get("open") is not None for it in page.all("details", "instance")]
    assert opened == [False, False, False, True, False]


@pytest.mark.parametrize("cured", [False, True])
def test_what_a_rerun_cured_is_told_as_that_and_not_as_what_went_wrong(cured: bool) -> None:
    error = FailureReport(
        at=1.0, message="chat was refused", phase="turn", test="test_a", cured=cured
    )
    page = Page(a_report(an_instance(failures=(error,)), exit_code=1))
    assert ("What went wrong" in page.text) != cured
    assert ("cured by a rerun" in page.text) == cured
    assert "chat was refused" in page.text


def test_a_page_grows_no_faster_than_its_requests() -> None:
    source = html.render(a_long_report(1000))
    assert source.count('<svg class="bar"') == 1000
    assert len(source) < 400_000


def test_a_transcript_has_tools_and_thoughts_where_they_came() -> None:
    call = ToolCallReport(name="look", id=None, arguments=None, result=None, at=0.6, position=3)
    thoughts = tuple(
        ThoughtReport(text=f"thought {at}", at=at, position=at_text)
        for at, at_text in ((0.7, 3), (0.1, 0), (0.9, 5))
    )
    [chat] = chats_of(
        an_instance(turns=(turn(1.0, text="Hi!So", tool_calls=(call,), thoughts=thoughts),))
    )
    assert [
        (step.kind, step.it if isinstance(step.it, str) else step.it.at) for step in chat.steps
    ] == [
        ("thought", 0.1),
        ("text", "Hi!"),
        ("tool", 0.6),
        ("thought", 0.7),
        ("text", "So"),
        ("thought", 0.9),
    ]
    hostile = call.model_copy(
        update={"name": HOSTILE[0], "arguments": HOSTILE[1], "result": HOSTILE[2]}
    )
    thought = thoughts[0].model_copy(update={"text": HOSTILE[0]})
    told = turn(
        1.0, tool_calls=(hostile,), thoughts=(thought,), notes=(HOSTILE[2],), test=HOSTILE[1]
    )
    page = Page(a_report(an_instance(turns=(told,))))
    assert page.all("script") == page.all("img") == []
    assert len(page.all("style")) == 1
    assert HOSTILE[0] in page.text
