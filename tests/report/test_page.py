"""The page for a person: valid, harmless, and with everything on it."""

from __future__ import annotations

import re

import pytest
from golden import golden
from html_page import Page
from report_tools import (
    HOSTILE,
    ID,
    REPLY,
    a_failed_report,
    a_long_report,
    a_report,
    an_instance,
    exchange,
    failure,
    turn,
)

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import page as html
from pytest_hydrasmoke._report.axis import Axis, duration, stopwatch
from pytest_hydrasmoke._report.page import Section
from pytest_hydrasmoke._report.parts import CountReport, SpanReport, ThoughtReport, ToolCallReport


def shown(report: Report) -> Page:
    return Page(html.render(report))


def page_of(exit_code: int = 0, **facts: object) -> Page:
    """Render the report of one instance, or of a plain one as changed."""
    return shown(a_report(an_instance(**facts), exit_code=exit_code))


@pytest.mark.parametrize("words", HOSTILE)
def test_what_a_stranger_said_is_text_and_harmless(words: str) -> None:
    tool = ToolCallReport(name=words, id=None, arguments=words, result=words, at=0.6, position=3)
    thought = ThoughtReport(text=words, at=0.1, position=0)
    told = turn(1.0, message=words, text=words, error=words, notes=(words,), test=words)
    hostile = an_instance(
        id=words,
        hostname=words,
        idempotency_key=words,
        outcome="leaked",
        leak=words,
        notes=(words,),
        drift=(words,),
        exchanges=(exchange("status", 0.0, status=None, error=words),),
        turns=(told, turn(2.0, tool_calls=(tool,), thoughts=(thought,))),
        usage=(CountReport(at=2.0, count=1, providers=(words,)),),
        failures=(failure(3.0, words, "turn", test=words),),
    )

    page = shown(a_report(hostile, an_instance(), url=f"https://router.example/{words}"))
    kinds = {it.tag for it in shown(a_failed_report()).root.iter()}
    assert {it.tag for it in page.root.iter()} <= kinds, "no element that the page has not"
    assert page.source.replace("\n", "").isprintable()
    assert not re.search(r"^\s*::", page.source, re.MULTILINE)
    assert "##[" not in page.source
    assert "1337" not in page.source
    page.source.encode()


def test_the_head_says_how_the_run_ended_and_against_what() -> None:
    for code, head in (
        (0, "Passed"),
        (1, "Failed"),
        (2, "Interrupted"),
        (129, "Hung up"),
        (130, "Interrupted"),
        (143, "Ended with exit code 143"),
    ):
        page = shown(a_report(exit_code=code))
        assert page.texts("h1") == [head]
        assert page.texts("title") == [f"{head}: smoke run night"]
    assert "live router https://router.example/api" in page.text
    assert (
        "1 provisioned 1 deleted 0 kept 0 leaked 0 unsure 1 chat 0 requests repeated" in page.text
    )
    fake = shown(a_report(fake=True, exit_code=1))
    assert "FAKE router It proves nothing about a live one." in fake.text
    assert "the reason is in pytest's own output" in fake.text
    assert "router.example/api" not in fake.text, "where the fake lived is no matter"


def test_a_failed_run_begins_with_what_went_wrong_and_tells_every_request_in_order() -> None:
    page = shown(a_failed_report())
    golden("page-failed", page.lines)
    [ahead] = [it for it in page.all("li") if it.get("id") == "i1-f1"]
    assert page.text_of(ahead).startswith("1:02.7 Failed in turn tests/test_agent.py")


def test_the_command_that_deletes_what_is_left_is_shown_once() -> None:
    command = "hydra-smoke sweep --run-id night"
    told = f"not confirmed as deleted: it is there\n  phase:     delete\n  next step: {command}"
    failed = failure(3.0, told, "delete")
    page = page_of(1, outcome="leaked", leak=told, failures=(failed,))
    assert page.text.count(command) == 1
    assert f"it is there phase: delete To delete it: {command}" in page.text
    attach = f"pytest --hydra-smoke --hydra-smoke-instance {ID}"
    assert page_of(outcome="kept").texts("pre") == [f"{attach} {command}"]


def test_a_chat_is_a_transcript_with_the_arrival_of_its_events() -> None:
    page = page_of()
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


def test_chats_are_told_as_far_as_is_known() -> None:
    said = {
        "No terminal event came.": turn(5.0, complete=False),
        "Agent (no text) It broke off: cut No event came.": turn(
            6.0, events=0, arrivals=(), seconds=None, text="", error="cut", complete=False
        ),
        "first event after 500 ms, first text after 500 ms 1 event in 500 ms": turn(
            7.0, events=1, arrivals=(0.5,), seconds=0.5, first_text_after=0.5
        ),
        "Agent, finished with length Ready": turn(8.0, finish_reason="length"),
        "What was said is kept out of this report. first event after 500 ms": turn(
            9.0, message=None, text=None
        ),
        "It broke off: late": turn(10.0, error="late", complete=False),
    }
    # The failure before it is of another phase.
    failures = (failure(11.0, "of another", "ready"), failure(20.0, "late", "turn"))
    instance = an_instance(turns=tuple(said.values()), failures=failures)
    assert [it.broke_at for it in Section(1, instance).chats] == [*[None] * 5, 10.0]
    chats = shown(a_report(instance)).texts("div", "chat")
    for words, chat in zip(said, chats, strict=True):
        assert words in chat
    assert [number for number, chat in enumerate(chats) if "finished with" in chat] == [3]
    assert chats[4].startswith("What was said")
    assert "longest gap 8.30 s" in chats[5]
    assert "broke off after 10.0 s" in chats[5]


def bars(page: Page, phase: str) -> list[tuple[str | None, str | None, str | None]]:
    [lane] = [it for it in page.all("div", "lane") if page.text_of(it).startswith(phase)]
    rects = [it for it in lane.iter() if it.tag.endswith("rect")]
    return [(it.get("class"), it.get("x"), it.get("width")) for it in rects]


def test_the_phase_that_failed_stands_out() -> None:
    silent = turn(70.0, error="too late", events=0, arrivals=(), seconds=None, complete=False)
    page = page_of(
        spans=(
            SpanReport(at=0.0, phase="ready", seconds=8.01),
            SpanReport(at=50.0, phase="turn", seconds=2.0),
        ),
        failures=(
            failure(8.0, "it hung", "ready"),
            failure(60.0, "too late", "turn"),
            failure(80.0, "too late", "turn"),
        ),
        exchanges=(exchange("delete", 99.0, seconds=1.0),),
        turns=(turn(50.0, error="too late", seconds=2.0), silent),
    )
    assert bars(page, "ready") == [("broken", "0.00%", "8.01%")]
    assert bars(page, "turn") == [("turn", "50.00%", "2.00%"), ("broken", "52.00%", "8.00%")]
    assert bars(page, "first_event") == [("broken", "70.00%", "10.00%")]
    assert "turn 10.0 s" in page.texts("div", "lane")


def test_of_many_instances_those_in_trouble_are_unfolded() -> None:
    many = [an_instance(idempotency_key=f"n-{slot}", failed=slot == 3) for slot in range(4)]
    cured = failure(1.0, "chat was refused", "turn", test="test_a", cured=True)
    many.append(an_instance(idempotency_key="n-4", failures=(cured,)))
    # A budget of one that is not told leads nowhere.
    page = shown(a_report(*many, exit_code=1, breaches=a_failed_report().breaches))
    [trouble] = page.all("ol", "troubles")
    assert page.text_of(trouble).startswith("budget ready took 59.0 s")
    assert not [it for it in trouble.iter() if it.tag == "a"]
    assert "cured by a rerun" in page.text, "and is no trouble"
    opened = [it.get("open") is not None for it in page.all("details", "instance")]
    assert opened == [False, False, False, True, False]


def test_a_page_grows_no_faster_than_its_requests() -> None:
    source = html.render(a_long_report(1000))
    assert source.count('<svg class="bar"') == 1000
    assert len(source) < 400_000


def test_a_transcript_has_tools_and_thoughts_where_they_came() -> None:
    call = ToolCallReport(name="look", id=None, arguments=None, result=None, at=0.6, position=3)
    thoughts = tuple(
        ThoughtReport(text="hm", at=at, position=at_text)
        for at, at_text in ((0.7, 3), (0.1, 0), (0.9, 5))
    )
    told = turn(1.0, text="Hi!So", tool_calls=(call,), thoughts=thoughts)
    [chat] = Section(1, an_instance(turns=(told,))).chats
    steps = [(it.kind, it.it if isinstance(it.it, str) else it.it.at) for it in chat.steps]
    assert steps == [
        ("thought", 0.1),
        ("text", "Hi!"),
        ("tool", 0.6),
        ("thought", 0.7),
        ("text", "So"),
        ("thought", 0.9),
    ]


# Points in time


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
    assert {seconds: duration(seconds) for seconds in times} == times
    points = {0.0: "0:00.0", 59.96: "1:00.0", 65.25: "1:05.2", 3605.2: "1:00:05.2"}
    assert {seconds: stopwatch(seconds) for seconds in points} == points


def test_an_axis_has_a_few_round_points() -> None:
    axes = {
        0.0: ["0"],
        0.003: ["0", "1 ms", "2 ms", "3 ms"],
        1.7: ["0", "500 ms", "1 s", "1.5 s"],
        65.0: ["0", "15 s", "30 s", "45 s", "1 min"],
        900.0: ["0", "5 min", "10 min", "15 min"],
        9000.0: ["0", "30 min", "1 h", "1.5 h", "2 h", "2.5 h"],
        30 * 86400.0: ["0", "120 h", "240 h", "360 h", "480 h", "600 h", "720 h"],
    }
    assert {it: [word for _, word in Axis(it).ticks] for it in axes} == axes


def test_a_point_has_its_place_and_none_is_off_the_axis() -> None:
    axis = Axis(8.0)
    assert (axis.x(-1.0), axis.x(2.0), axis.x(9.0)) == ("0.00%", "25.00%", "100.00%")
    assert Axis(0.0).x(3.0) == "0.00%"
    assert axis.marks([4.0, 2.0, 4.0001]) == "M250 0v10M500 0v10", "what is too near is one mark"
