"""The end of a run on a terminal: the table of its instances, and what was odd."""

from __future__ import annotations

import io
import re

import pytest
from golden import golden
from report_tools import (
    BOOT,
    CHATS,
    HOSTILE,
    a_report,
    an_instance,
    bare,
    case,
    markdown,
    several,
    unsure,
)

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._base.columns import width_of
from pytest_hydrasmoke._report import page
from pytest_hydrasmoke._report.junit import run_properties
from pytest_hydrasmoke._report.parts import BreachReport, TokensReport
from pytest_hydrasmoke._report.terminal import show, summary, table


def shown(it: Report, width: int = 80, *, colour: bool = False) -> str:
    """Return what a terminal gets; sequences as `<1>`, so that a file of it can be read."""
    codes = {"bold": 1, "red": 31, "yellow": 33}
    return "\n".join(
        "".join(
            "".join(f"<{codes[word]}>" for word in style.split()) + text + ("<0>" if style else "")
            for text, style in line
        )
        for line in summary(it, width, colour=colour)
    )


def plain(it: Report, width: int = 80) -> str:
    return "\n".join("".join(text for text, _ in line) for line in summary(it, width))


@pytest.mark.parametrize("width", [80, 120])
def test_several_instances(width: int) -> None:
    golden(f"summary-{width}", plain(several(), width))
    golden(f"summary-{width}-colour", shown(several(), width, colour=True))


@pytest.mark.parametrize("width", [80, 120])
def test_very_many_instances(width: int) -> None:
    calm = [bare(n, phases={**BOOT, "ready": 40.0 + n}) for n in range(20)]
    odd = [bare(20, outcome="leaked"), bare(21, failed=True), bare(22, retries=1)]
    golden(f"summary-many-{width}", plain(a_report(*calm, *odd), width))


def test_no_row_begins_with_what_a_runner_would_obey() -> None:
    words = f"unknown: {'::error::boo ' * 12}"
    for width in range(40, 90):
        rows = plain(a_report(bare(notes=(words,), drift=(words,))), width).splitlines()
        assert sum("boo" in row for row in rows) > 4
        assert not [row for row in rows if re.match(r"\s*::", row)]


def test_chats_and_tokens_are_those_of_all_instances() -> None:
    def told(*chats: tuple[int, int, int]) -> str:
        made = tuple(
            bare(
                n, chats=many, untold=untold, tokens=TokensReport(input_tokens=it, output_tokens=0)
            )
            for n, (many, it, untold) in enumerate(chats)
        )
        return plain(a_report(instances=made, tests=(case("test_a"),))).splitlines()[1]

    words = "smoke tests: 1 passed"
    assert told() == words
    words += "; in the report: "
    assert told((1, 0, 1)) == f"{words}1 chat"
    assert told((1, 1234, 0)) == f"{words}1 chat, 1234 tokens"
    assert told((1, 1234, 0), (2, 6, 0)) == f"{words}3 chats, 1240 tokens"
    # A chat that told no tokens may have used some.
    assert told((2, 1234, 0), (1, 0, 1)) == f"{words}3 chats, at least 1234 tokens"


def test_what_is_told_of_an_instance() -> None:
    def told(**facts: object) -> str:
        return plain(a_report(bare(**facts)))

    assert "\n-         deleted " in told(id=None, idempotency_key=None)
    # A worker elsewhere is a run of its own.
    long = told(idempotency_key="a-run-id-of-somebody-else-gw0-0")
    assert "\n...gw0-0  deleted" in long
    assert "(key a-run-id-of-somebody-else-gw0-0)" in long
    many = told(notes=tuple(f"note {n}" for n in range(13)))
    assert "note: note 9\n         note: 3 more, see report.json" in many
    assert "note 10" not in many
    # A phase that took no time has no column, and where none took any there is no table.
    quick = {"provision": 0.04, "row": 0.0, "ready": 0.06}
    head, *_ = table(a_report(bare(phases=quick), bare(1, phases={})), 80, colour=False)
    assert [text for text, _ in head if text.strip()] == ["instance", "outcome", "ready"]
    assert "instance " not in told(phases={"provision": 0.04})


def test_what_there_is_to_tell_is_told_and_no_more() -> None:
    chatted = a_report(bare(phases=CHATS, chats=2), tests=(case("test_a"),))
    assert len(plain(chatted).splitlines()) == 6, "a green run, below its title"
    nothing = "fake router, run night: provisioned 0, deleted 0, kept 0, leaked 0, unsure 0"
    assert summary(a_report(fake=True, instances=())) == [[(nothing, "")]]


def test_an_instance_has_the_worst_of_its_verdicts() -> None:
    cut = {"tests": ("test_a", "test_b")}
    made = {
        "interrupted": bare(0, **cut),
        "ok": bare(1, tests=("test_a",)),
        "failed": bare(2, **cut, failed=True),
        "leaked": bare(3, outcome="leaked", failed=True, conflict="gone before"),
        "over budget": bare(4),
        "conflict": bare(5, **cut, conflict="gone before"),
    }
    breaches = tuple(
        BreachReport(phase="row", limit=1.0, value=2.0, instance=made[it].name)
        for it in ("interrupted", "failed", "over budget", "conflict")
    )
    tests = (case("test_a"), case("test_b", "interrupted"))
    it = a_report(*made.values(), tests=tests, breaches=breaches)
    assert [it.verdict_of(one) for one in it.instances] == [*made]
    assert "night-0): interrupted" in plain(a_report(bare(interrupted="ready")))


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1)])
def test_wide_characters_take_two_columns(text: str, width: int) -> None:
    assert width_of(text) == width


def test_what_stands_out_is_written_so(pytestconfig: pytest.Config) -> None:
    file = io.StringIO()
    reporter = pytest.TerminalReporter(pytestconfig, file)
    reporter._tw.hasmarkup = True
    show(reporter, [[("slot", "bold"), ("  ", ""), ("leaked", "red bold")], []])
    assert file.getvalue() == "\x1b[1mslot\x1b[0m  \x1b[31m\x1b[1mleaked\x1b[0m\n\n"


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ("skipped passed error passed failed", "2 passed, 1 failed, 1 error, 1 skipped"),
        ("error xpassed interrupted error", "2 errors, 1 xpassed, 1 interrupted"),
    ],
)
def test_every_view_for_a_person_counts_tests_and_tells_what_ended_them(
    outcomes: str, words: str
) -> None:
    tests = tuple(case(str(number), outcome) for number, outcome in enumerate(outcomes.split()))
    report = a_report(tests=tests, ended="pytest.exit: <b>enough</b>", not_run=2, exit_code=1)
    words += ", 2 not run"
    ended, why = "ended before its tests were over", "pytest.exit: &lt;b&gt;enough&lt;/b&gt;"
    assert report.tests_words == words
    lines = plain(report).splitlines()
    assert lines[1] == f"smoke tests: {words}; in the report: 1 chat"
    assert f"{ended}: pytest.exit: <b>enough</b>" in lines
    shown = page.render(report)
    assert f"<dt>Smoke tests</dt><dd>{words}</dd>" in shown
    assert f"<dt>{ended.capitalize()}</dt><dd>{why}</dd>" in shown
    assert "not all smoke tests came to their end" in shown
    summarized = markdown(report)
    assert f"\nSmoke tests: {words}\n" in summarized
    assert f"\n{ended.capitalize()}: `pytest.exit: <b>enough</b>`\n" in summarized


def test_every_view_for_a_person_tells_what_should_not_have_happened() -> None:
    it = bare(conflict="it was gone <b>before</b> this run deleted it.\nSee the router's log of it")
    report = a_report(it, bare(1), bare(2), bare(3), exit_code=1)
    assert f"deleted  {it.name}: conflict" in plain(report).splitlines()
    drawn, safe = page.render(report), "it was gone &lt;b&gt;before&lt;/b&gt; this run deleted it."
    assert f'<span class="badge bad">conflict</span> <a href="#i1">{safe}</a>' in drawn
    assert f'<div class="failure"><p>{safe}\nSee the router&#39;s log of it</p></div>' in drawn
    assert re.findall(r'<details class="instance"( open)?>', drawn) == [" open", "", "", ""]
    told = f"### Conflicts\n\n`{it.name}`:\n\n```text\n{it.conflict}\n```\n"
    assert told in markdown(report)


def test_every_view_tells_of_all_that_is_unsure_in_one_line() -> None:
    lost = unsure(3, None, "the answer was <b>lost</b>")
    report = a_report(bare(0), unsure(1, 501), unsure(2, 501), lost, exit_code=1)
    counted = "provisioned 1, deleted 1, kept 0, leaked 0, unsure 3"
    line = (
        "unsure 3: requested, and no answer ever named them: night-1, night-2 (answered with 501); "
        "night-3 (the answer was <b>lost</b>). To look for them: hydra-smoke sweep --run-id night"
    )
    assert (report.counted, report.unsure) == (counted, line)
    assert [report.verdict_of(it) for it in report.instances] == ["ok", *["unsure"] * 3]
    assert report.verdict_of(lost.model_copy(update={"failed": True})) == "failed", "the cause"
    # The run's own lines come below these.
    assert [it for it in plain(report).splitlines() if "night-" in it] == [
        "deleted  " + bare(0).name
    ]
    assert "### Unsure\n\n```text\n" + line + "\n```\n" in markdown(report)
    assert "| **unsure** |" in markdown(report)
    assert {("hydra_smoke.leaked", "0"), ("hydra_smoke.unsure", "3")} <= {*run_properties(report)}
    drawn, safe = page.render(report), line.replace("<", "&lt;").replace(">", "&gt;")
    assert f'<span class="badge bad">unsure</span> <a href="#i2">{safe}</a>' in drawn
    assert '<li class="bad"><b>3</b> unsure</li>' in drawn
    assert "It was requested (answered with 501), and no answer ever named it." in drawn
    assert a_report().unsure is None


@pytest.mark.parametrize("words", HOSTILE)
def test_a_line_of_what_is_unsure_stays_one_harmless_line(words: str) -> None:
    it = unsure(1, None, words).model_copy(update={"idempotency_key": words})
    line = str(a_report(it).unsure)
    assert line.splitlines() == [line]
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)


def test_what_is_not_known_of_an_answer_is_said() -> None:
    unknown = unsure(1, None).model_copy(update={"exchanges": (), "delete_with": ""})
    told = "unsure 1: requested, and no answer ever named them: night-1 (no answer is known)"
    report = a_report().model_copy(update={"instances": (unknown,), "fake": True})
    assert report.unsure == told
    assert "To look for it" not in page.render(report)


def test_where_there_was_no_test_no_view_speaks_of_them() -> None:
    report = a_report(an_instance())
    assert report.tests_words is None
    assert "moke tests" not in page.render(report) + markdown(report) + plain(report)
