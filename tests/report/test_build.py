"""The report that a run's records become."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_tools import WALL, Written, frozen, part, told
from report_tools import NOON, a_report, an_instance
from scripted_io import ID, KEY, SPEC, attached, lost, record

from pytest_hydrasmoke import ChatError, PollResult, Report
from pytest_hydrasmoke._api.observer import Tried
from pytest_hydrasmoke._core.account import open_account
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.turn_account import Count
from pytest_hydrasmoke._journal.chat import Thought, Tokens, Tool, Turn, TurnBegan
from pytest_hydrasmoke._journal.codec import encode
from pytest_hydrasmoke._journal.events import (
    Became,
    Blamed,
    Claimed,
    Entry,
    Event,
    Failed,
    FailedTest,
    Hosted,
    Leaked,
    Opened,
)
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.stories import fail_test, fold, read
from pytest_hydrasmoke._report import github, pytest_html, terminal
from pytest_hydrasmoke._report.build import instances_of, with_tests
from pytest_hydrasmoke._report.html import page
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._report.parts import CaseReport
from pytest_hydrasmoke._transport.protocol import Request

OUTCOMES = {
    State.CLAIMED: "claimed",
    State.UNUSED: "unused",
    State.REFUSED: "refused",
    State.ABSENT: "absent",
    State.GONE: "deleted",
    State.DELETED: "deleted",
    State.REQUESTED: "leaked",
    State.CREATED: "leaked",
    State.READY: "leaked",
    State.FAILED: "leaked",
    State.ACCEPTED: "leaked",
    State.DELETING: "leaked",
    State.KEPT: "kept",
}


@pytest.mark.parametrize("state", State)
def test_whatever_is_not_known_to_be_gone_has_leaked(state: State) -> None:
    assert frozen(record(state=state)).outcome == OUTCOMES[state]


@pytest.mark.parametrize("state", State)
def test_what_came_back_has_leaked_whatever_became_of_it(state: State) -> None:
    it = record(state=state)
    it.leak = "it was proved gone, and is there again"
    assert frozen(it).outcome == "leaked"


@pytest.mark.parametrize("state", State)
def test_an_attached_instance_is_not_this_runs_whatever_its_state(state: State) -> None:
    it = attached()
    it.state = state
    assert frozen(it).outcome == "attached"


def lived(listener: Written | None = None) -> InstanceRecord:
    """A record of an instance that has seen everything, from 100 on."""
    it = InstanceRecord(SPEC, key=KEY)
    it.keeper = listener or Written()
    it.note(Claimed(SPEC.model_dump()), 99.0)
    it.id = ID
    it.note(Became(State.DELETED, ID), 100.0)
    it.note(Hosted("box-1"), 100.0)
    it.note(Leaked("why"), 100.0)
    it.note(Blamed(), 100.0)
    it.saw_attempt(Tried(Request("provision", "POST", "/p"), 1, 100.0, 0.5, lost()))
    it.saw_attempt(Tried(Request("provision", "POST", "/p"), 2, 101.0, 0.5, 202))
    it.took("provision", 100.0, 1.5)
    it.saw_status("running", 103.0)
    it.add_remark("odd")
    it.saw_answer("poll", 200, PollResult.model_validate({"found": True, "zone": 1}))
    open_account(it, Count(104.0))
    it.saw_count(104.0, 0, ())
    it.note(TurnBegan(1, "hello", "test_a"), 104.5)
    turn = Turn(
        *(1, "hello", "test_a"),
        taken=True,
        text="so be it",
        events=2,
        arrivals=(0.25, 0.5),
        seconds=0.5,
        first_text_after=0.25,
        max_gap=0.25,
        finish_reason="error",
        tool_calls=(Tool("look", "a", '{"city": "so be it"}', "so be it", 0.3, 3),),
        thoughts=(Thought("so be it", 0.2, 0),),
        usage=Tokens(7, 2),
        models=("smoke",),
        notes=("so be it",),
        error="the agent reported an error: so be it",
    )
    it.note(turn, 105.0)
    it.add_remark("in a chat, so be it", "in a chat")
    failed = ChatError("the agent reported: so be it")
    failed.phase = "turn"
    it.fails(failed, "ChatError", 105.5)
    caused = FailedTest("test_a", "it failed: so be it", "failed", (failed.failure or 0,))
    fail_test(it, "", 105.6, caused, uses=False)
    it.saw_count(106.0, 2, ("b", "a"))
    return it


PROGRESS_LOG = {
    "id": ID,
    "idempotency_key": KEY,
    "hostname": "box-1",
    "spec": SPEC.model_dump(),
    "outcome": "leaked",
    "leak": "why",
    "conflict": None,
    "delete_with": "",
    "attach_with": "",
    "failed": True,
    "interrupted": None,
    "began": NOON,
    "phases": {"provision": 1.5},
    "waits": {"first_text": 0.25, "gap": 0.25},
    "tokens": {"input_tokens": 7, "output_tokens": 2},
    "models": ("smoke",),
    "untold": 0,
    "chats": 1,
    "requests": {"provision": 2},
    "retries": 1,
    "notes": ("odd", "in a chat, so be it"),
    "drift": ("unknown in the answer to poll: zone",),
    "statuses": ({"at": 3.0, "word": "running"},),
    "spans": ({"at": 0.0, "phase": "provision", "seconds": 1.5},),
    "exchanges": (
        {
            "at": 0.0,
            "call": "provision",
            "method": "POST",
            "path": "/p",
            "attempt": 1,
            "seconds": 0.5,
            "status": None,
            "error": "the answer was lost (reset)",
        },
        {
            "at": 1.0,
            "call": "provision",
            "method": "POST",
            "path": "/p",
            "attempt": 2,
            "seconds": 0.5,
            "status": 202,
            "error": None,
        },
    ),
    "turns": (
        {
            "at": 5.0,
            "message": "hello",
            "text": "so be it",
            "events": 2,
            "arrivals": (0.25, 0.5),
            "seconds": 0.5,
            "first_text_after": 0.25,
            "max_gap": 0.25,
            "complete": False,
            "finish_reason": "error",
            "tool_calls": (
                {
                    "name": "look",
                    "id": "a",
                    "arguments": '{"city": "so be it"}',
                    "result": "so be it",
                    "at": 0.3,
                    "position": 3,
                },
            ),
            "thoughts": ({"text": "so be it", "at": 0.2, "position": 0},),
            "usage": {"input_tokens": 7, "output_tokens": 2},
            "models": ("smoke",),
            "notes": ("so be it",),
            "error": "the agent reported an error: so be it",
            "test": "test_a",
            "run": None,
        },
    ),
    "usage": (
        {"at": 4.0, "count": 0, "providers": ()},
        {"at": 6.0, "count": 2, "providers": ("a", "b")},
    ),
    "failures": (
        {
            "at": 5.5,
            "message": "the agent reported: so be it\n  phase:     turn",
            "phase": "turn",
            "test": "test_a",
            "cured": False,
        },
    ),
    "tests": (),
}


def test_a_record_is_reported_in_full() -> None:
    it = lived()
    report = frozen(it)
    it.took("row", 200.0, 9.0)
    it.requests["poll"] = 9
    it.saw_status("gone", 201.0)
    assert report.model_dump() == PROGRESS_LOG, "and what happens later does not change it"


def written(*, replies: bool) -> InstanceReport:
    """The report of what a process has written, and no other has."""
    file = Written(replies=replies)
    it = lived(file)
    [failed] = [entry.event.number for entry in file.entries if isinstance(entry.event, Failed)]
    failure = FailedTest("test_a", "it failed: so be it", "failed", (failed,))
    file.note(it, 105.6, failure)
    [report] = told(main=file)
    return report


def test_what_a_process_has_written_is_what_it_knows() -> None:
    assert written(replies=True).model_dump() == PROGRESS_LOG


def test_without_replies_no_word_of_a_chat_is_told() -> None:
    report = written(replies=False)
    text = report.model_dump_json()
    assert "so be it" not in text
    assert "hello" not in text
    [turn], [failure] = report.turns, report.failures
    assert (turn.message, turn.text, turn.error) == (None, None, "(kept out of the report)")
    assert turn.finish_reason is None
    assert turn.tool_calls == turn.thoughts == turn.notes == ()
    assert report.notes == ("odd", "in a chat")
    assert turn.usage == report.tokens, "how much is told"
    assert (turn.events, turn.arrivals) == (2, (0.25, 0.5)), "when it came is told"
    assert failure.message == "ChatError"


def test_what_was_never_used_has_no_beginning() -> None:
    assert frozen(record()).began is None


def another(at: float) -> tuple[InstanceRecord, Written]:
    """What another process has of the same instance, at first a status word."""
    file = Written()
    it = InstanceRecord(SPEC, key=KEY, id=ID)
    it.keeper = file
    it.note(Became(State.READY, ID), at)
    it.saw_status("running", at)
    return it, file


def test_one_story_is_made_of_what_several_processes_tell() -> None:
    one, (two, its) = Written(), another(108.0)
    lived(one)
    two.saw_attempt(Tried(Request("delete", "DELETE", "/d"), 1, 109.0, 0.25, 200))
    two.took("delete", 109.0, 0.25)
    [story] = told(main=one, gw0=its)
    assert story.began == NOON
    assert [it.word for it in story.statuses] == ["running"], "a word is told once in a row"
    assert [(it.call, it.at) for it in story.exchanges][-1] == ("delete", 9.0)
    assert [(it.phase, it.at) for it in story.spans] == [("provision", 0.0), ("delete", 9.0)]
    assert story.requests == {"provision": 2, "delete": 1}
    assert story.phases == {"provision": 1.5, "delete": 0.25}
    assert (story.chats, story.retries, story.failed) == (1, 1, True)


def test_a_process_on_another_host_has_a_clock_of_its_own(tmp_path: Path) -> None:
    one, (_, its) = Written(), another(8.0)
    lived(one)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "main.jsonl").write_bytes(b"".join(one.lines))
    opened = Opened("gw0", "night", 1, WALL + 95.0)
    its.lines.insert(0, encode(Entry(0.0, None, opened), str, replies=True))
    entries = read(tmp_path, {"gw0": b"".join(its.lines).decode()}, WALL)
    [story] = instances_of(fold(entries).instances, WALL)
    assert story.began == NOON
    assert [(it.word, it.at) for it in story.statuses] == [("running", 3.0)]


def life(*steps: tuple[float, Event]) -> Written:
    file, it = Written(), InstanceRecord(SPEC, key=KEY)
    for at, event in steps:
        file.note(it, at, event)
    return file


def test_the_last_that_is_known_counts_whoever_tells_it() -> None:
    gone, ready = (9.0, Became(State.GONE, ID)), (3.0, Became(State.READY, ID))
    for one, two in ((life(ready), life(gone)), (life(gone), life(ready))):
        assert [it.outcome for it in told(main=one, gw0=two)] == ["deleted"]
    # A leak is one until it is taken back, whatever is deleted under the same key.
    leaked, back = (5.0, Leaked("why")), (9.5, Leaked(None))
    assert [it.outcome for it in told(main=life(ready, leaked, gone))] == ["leaked"]
    assert [it.outcome for it in told(gw0=life(ready, leaked), main=life(gone, back))] == [
        "deleted"
    ]
    [lost_sight_of] = told(main=life(ready))
    assert (lost_sight_of.outcome, lost_sight_of.leak) == ("leaked", None)


def test_what_was_never_requested_is_not_told() -> None:
    for state in (State.CLAIMED, State.UNUSED, State.REFUSED):
        assert told(main=life((1.0, Became(state)))) == []


def test_attached_instances_are_told_once_each_by_their_id() -> None:
    files = [Written(), Written()]
    for file in files:
        it = attached()
        it.keeper = file
        it.note(Claimed(None, attached=True), 1.0)
    [story] = told(main=files[0], gw0=files[1])
    assert (story.outcome, story.idempotency_key, story.reference) == ("attached", None, ID)


def test_an_instance_names_the_tests_that_used_it() -> None:
    cases = [
        CaseReport(id=name, outcome="passed", seconds=1.0, instances=used)
        for name, used in {"test_b": (KEY, "other"), "test_c": ("other",), "test_d": (KEY,)}.items()
    ]
    [chatted, unused] = with_tests([frozen(lived()), part(idempotency_key="x")], cases)
    assert chatted.tests == ("test_b", "test_d", "test_a"), "a turn's test may have no report"
    assert unused.tests == ()
    [seen] = with_tests([frozen(attached())], [cases[0].model_copy(update={"instances": (ID,)})])
    assert seen.tests == ("test_b",), "by its id, as it has no key"


def test_tokens_of_several_processes_are_counted_together() -> None:
    one, two = Written(), Written()
    lived(one), lived(two)
    [story] = told(main=one, gw0=two)
    assert (story.tokens.total, story.untold, story.waits["gap"]) == (18, 0, 0.25)


def test_a_report_counts_outcomes_and_survives_a_journey() -> None:
    states = (State.DELETED, State.DELETED, State.READY, State.KEPT, State.REFUSED, State.UNUSED)
    records = [*(record(state=state) for state in states), attached(), lived()]
    report = Report(
        run_id="night",
        fake=True,
        url="https://router.example",
        began=NOON,
        seconds=9.5,
        exit_code=1,
        instances=tuple(map(frozen, records)),
    )
    counts = {"deleted": 2, "leaked": 2, "kept": 1, "refused": 1, "unused": 1, "attached": 1}
    assert {outcome: report.count(outcome) for outcome in counts} == counts
    assert report.provisioned == 5, "what was deleted, kept or leaked"
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_smoke_tests_are_counted_by_outcome_in_every_view_for_a_person() -> None:
    outcomes = ("skipped", "passed", "error", "passed", "failed")
    tests = tuple(
        CaseReport(id=str(number), outcome=outcome, seconds=1.0)
        for number, outcome in enumerate(outcomes)
    )
    report = a_report(an_instance(), tests=tests)
    words = "2 passed, 1 failed, 1 error, 1 skipped"
    assert report.tests_words == words
    lines = ["".join(text for text, _ in line) for line in terminal.summary(report)]
    assert lines[1] == f"smoke tests: {words}; in the report: 1 chat"
    assert f"<dt>Smoke tests</dt><dd>{words}</dd>" in page.render(report)
    assert f"\nSmoke tests: {words}\n" in github.markdown(report)
    assert f"<p>smoke tests: {words}</p>" in [*pytest_html.summary(report, None, Path("x.html"))]


def test_a_run_without_tests_says_nothing_of_them() -> None:
    shown = "".join(pytest_html.summary(a_report(an_instance()), None, Path("x.html")))
    assert "provisioned" in shown
    assert "smoke tests" not in shown


def test_what_ended_a_run_is_in_every_view_for_a_person() -> None:
    report = a_report(an_instance(), ended="pytest.exit: <b>enough</b>", not_run=2, exit_code=1)
    before = "ended before its tests were over"
    lines = ["".join(text for text, _ in line) for line in terminal.summary(report)]
    assert lines[1:3] == [
        "smoke tests: 2 not run; in the report: 1 chat",
        f"{before}: pytest.exit: <b>enough</b>",
    ]
    shown = page.render(report)
    shown_as = "pytest.exit: &lt;b&gt;enough&lt;/b&gt;"
    assert f"<dt>{before.capitalize()}</dt><dd>{shown_as}</dd>" in shown
    assert "not all smoke tests came to their end" in shown
    assert f"\n{before.capitalize()}: `pytest.exit: <b>enough</b>`\n" in github.markdown(report)
    assert f"<p>{before}: {shown_as}</p>" in [*pytest_html.summary(report, None, Path("x.html"))]


def test_where_there_was_none_nothing_is_counted() -> None:
    report = a_report(an_instance())
    assert report.tests_words is None
    assert "moke tests" not in page.render(report) + github.markdown(report)
