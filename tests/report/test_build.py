"""The report that a run's instances become, on clocks that are at 100 when it is noon."""

from __future__ import annotations

from pathlib import Path

import pytest
import scripted_io as io
from golden import golden
from report_tools import NOON, case, turn
from scripted_io import ID, KEY, SPEC, attached, instance

import pytest_hydrasmoke._journal.events as events
from pytest_hydrasmoke import ChatError, ChatEvent, PollResult
from pytest_hydrasmoke._api.retry import Tried
from pytest_hydrasmoke._base.run_keys import PLAIN
from pytest_hydrasmoke._core.account import Count
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.stage import Keeper
from pytest_hydrasmoke._journal.chat import Thought, Tokens, ToldCall, Turn, TurnBegan
from pytest_hydrasmoke._journal.codec import decode, encode
from pytest_hydrasmoke._journal.events import Became, Entry, Event, Took
from pytest_hydrasmoke._journal.journal import read
from pytest_hydrasmoke._journal.run_story import fold
from pytest_hydrasmoke._journal.states import HAD_ROW, State
from pytest_hydrasmoke._report.build import (
    breaches,
    events_of,
    instances_of,
    report_of,
    untold_tokens,
    with_tests,
)
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._report.parts import TokensReport
from pytest_hydrasmoke._transport.protocol import Request

WALL = NOON.timestamp() - 100.0
OUTCOMES = {
    State.CLAIMED: "claimed",
    State.UNUSED: "unused",
    State.REFUSED: "refused",
    State.REQUESTED: "unsure",
    State.ABSENT: "absent",
    State.GONE: "deleted",
    State.DELETED: "deleted",
    State.KEPT: "kept",
}
SAID = "so be it"


def frozen(it: Instance) -> InstanceReport:
    return report_of(it.reference or "?", it, WALL)


class Written(Keeper):
    """Writes what a process tells, as a run does, and reads it."""

    def __init__(self, *, replies: bool = True) -> None:
        self._replies = replies
        self.lines: list[bytes] = []

    def note(self, instance: Instance, at: float, event: Event) -> None:
        self.lines.append(encode(Entry(at, instance.reference, event), str, replies=self._replies))

    @property
    def entries(self) -> list[Entry]:
        return [*map(decode, self.lines)]


def told(**processes: Written) -> list[InstanceReport]:
    """Report what several processes have written."""
    written = {name: process.entries for name, process in processes.items()}
    return instances_of(fold(written).instances, WALL)


def life(*steps: tuple[float, Event]) -> Written:
    file, it = Written(), Instance(SPEC, key=KEY)
    for at, event in steps:
        file.note(it, at, event)
    return file


@pytest.mark.parametrize("state", State)
def test_what_is_not_known_to_be_gone_has_leaked(state: State) -> None:
    it, other = instance(state=state), attached()
    assert (frozen(it).outcome, frozen(it).began) == (OUTCOMES.get(state, "leaked"), None)
    it.leak = "it was proved gone, and is there again"
    known = state in HAD_ROW | {State.ACCEPTED}
    assert frozen(it).outcome == ("leaked" if known else "unsure"), "no answer named it"
    it.id = ID
    assert frozen(it).outcome == "leaked"
    other.state = state
    assert frozen(other).outcome == "attached", "it is not this run's"
    never_requested = state in (State.CLAIMED, State.UNUSED, State.REFUSED)
    assert bool(told(main=life((1.0, Became(state))))) != never_requested


def test_what_is_left_has_the_commands_that_end_it() -> None:
    delete, attach = PLAIN.sweep(KEY.rpartition("-")[0]), PLAIN.attach(ID)
    commands = {State.KEPT: (delete, attach), State.READY: (delete, ""), State.DELETED: ("", "")}
    for state, expected in commands.items():
        it = report_of(KEY, instance(state=state, id=ID), WALL, PLAIN)
        assert (it.delete_with, it.attach_with) == expected
        assert frozen(instance(state=state)).delete_with == ""
    assert report_of(ID, attached(), WALL, PLAIN).delete_with == ""


def lived(*, replies: bool = True) -> Written:
    """What is written of an instance that has seen everything, from 100 on."""
    file, it = Written(replies=replies), Instance(SPEC, key=KEY)
    it.keeper = file
    it.note(events.Claimed(SPEC.model_dump()), 99.0)
    it.id, it.state = ID, State.READY
    it.note(Became(State.DELETED, ID), 100.0)
    it.note(events.Hosted("box-1"), 100.0)
    it.note(events.Leaked("why"), 100.0)
    it.note(events.Conflict("it was gone before"), 100.0)
    it.note(events.Interrupted("ready"), 100.0)
    it.note(events.Blamed(), 100.0)
    it.saw_attempt(Tried(Request("provision", "POST", "/p"), 1, 100.0, 0.5, io.lost()))
    it.saw_attempt(Tried(Request("provision", "POST", "/p"), 2, 101.0, 0.5, 202))
    it.note(Took("provision", 1.5), 100.0)
    it.saw_status("running", 103.0)
    it.add_remark("odd")
    it.saw_answer("poll", PollResult.model_validate({"found": True, "zone": 1}))
    it.target.open_account(Count(104.0))
    it.target.saw_count(104.0, 0, ())
    it.note(TurnBegan(1, "hello", "test_a"), 104.5)
    chat = Turn(
        *(1, "hello", "test_a"),
        taken=True,
        text=SAID,
        events=2,
        arrivals=(0.25, 0.5),
        seconds=0.5,
        first_text_after=0.25,
        max_gap=0.25,
        finish_reason="error",
        tool_calls=(ToldCall("look", "a", f'{{"city": "{SAID}"}}', SAID, 0.3, 3),),
        thoughts=(Thought(SAID, 0.2, 0),),
        usage=Tokens(7, 2),
        models=("smoke",),
        notes=(SAID,),
        error=f"the agent reported an error: {SAID}",
    )
    it.note(chat, 105.0)
    it.add_remark(f"in a chat, {SAID}", "in a chat")
    failed = ChatError(f"the agent reported: {SAID}")
    failed.phase = "turn"
    it.fails(failed, "ChatError", 105.5)
    it.target.saw_count(106.0, 2, ("b", "a"))
    numbers = [it.event.number for it in file.entries if isinstance(it.event, events.Failed)]
    file.note(it, 106.0, events.FailedTest("test_a", f"failed: {SAID}", "failed", (*numbers,)))
    return file


def test_an_instance_is_reported_in_full() -> None:
    [report] = told(main=lived())
    golden("report-instance", report.model_dump_json(indent=2, exclude_defaults=True))


def test_without_replies_only_how_much_was_said_and_when_is_told() -> None:
    [report], [whole] = told(main=lived(replies=False)), told(main=lived())
    unsaid = dict.fromkeys(("tool_calls", "thoughts", "notes"), ())
    hidden = {"message": None, "text": None, "error": "(kept out of the report)"}
    update = hidden | unsaid | {"finish_reason": None}
    assert report.turns == (whole.turns[0].model_copy(update=update),)
    assert report.notes == ("odd", "in a chat")
    assert [it.message for it in report.failures] == ["ChatError"]


def another(at: float) -> Written:
    """What another process has written of the same instance."""
    file, it = Written(), Instance(SPEC, key=KEY, id=ID, state=State.CREATED)
    it.keeper = file
    it.note(Became(State.READY, ID), at)
    it.saw_status("running", at)
    it.saw_attempt(Tried(Request("delete", "DELETE", "/d"), 1, at + 1, 0.25, 200))
    it.note(Took("delete", 0.25), at + 1)
    return file


def test_one_story_is_made_of_what_several_processes_tell() -> None:
    [story] = told(main=lived(), gw0=another(108.0))
    assert story.began == NOON
    assert [it.word for it in story.statuses] == ["running"], "a word is told once in a row"
    assert [(it.call, it.at) for it in story.exchanges][-1] == ("delete", 9.0)
    assert [(it.phase, it.at) for it in story.spans] == [("provision", 0.0), ("delete", 9.0)]
    assert story.requests == {"provision": 2, "delete": 1}
    assert story.phases == {"provision": 1.5, "delete": 0.25}
    assert (story.chats, story.retries, story.failed) == (1, 1, True)
    [both] = told(main=lived(), gw0=lived())
    assert (both.tokens.total, both.untold, both.waits["gap"]) == (18, 0, 0.25)
    [untold] = told(main=life((1.0, Became(State.READY, ID)), (2.0, Turn(1, "hi", taken=True))))
    assert (untold.tokens.total, untold.untold) == (0, 1)


def test_a_process_on_another_host_has_a_clock_of_its_own(tmp_path: Path) -> None:
    its = another(8.0)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "main.jsonl").write_bytes(b"".join(lived().lines))
    opened = events.Opened("gw0", "night", 1, WALL + 95.0)
    its.lines.insert(0, encode(Entry(0.0, None, opened), str, replies=True))
    entries = read(tmp_path, {"gw0": b"".join(its.lines).decode()}, WALL)
    [story] = instances_of(fold(entries).instances, WALL)
    assert story.began == NOON
    assert [(it.word, it.at) for it in story.statuses] == [("running", 3.0)]


def test_the_last_that_is_known_counts_whoever_tells_it() -> None:
    gone, ready = (9.0, Became(State.GONE, ID)), (3.0, Became(State.READY, ID))
    # A leak is one until it is taken back, whatever is deleted under the same key.
    leaked, back = (5.0, events.Leaked("why")), (9.5, events.Leaked(None))
    known = [
        (told(main=life(ready), gw0=life(gone)), "deleted"),
        (told(main=life(gone), gw0=life(ready)), "deleted"),
        (told(main=life(ready, leaked, gone)), "leaked"),
        (told(gw0=life(ready, leaked), main=life(gone, back)), "deleted"),
        (told(main=life(ready)), "leaked"),
    ]
    assert [[it.outcome for it in reports] for reports, _ in known] == [[it] for _, it in known]
    assert known[-1][0][0].leak is None, "it was lost sight of"


def test_attached_instances_are_told_once_each_by_their_id() -> None:
    files = [Written(), Written()]
    for file in files:
        it = attached()
        it.keeper = file
        it.note(events.Claimed(None, attached=True), 1.0)
    [story] = told(main=files[0], gw0=files[1])
    assert (story.outcome, story.idempotency_key, story.reference) == ("attached", None, ID)


def test_an_instance_names_the_tests_that_used_it() -> None:
    used = {"test_b": (KEY, ID), "test_c": ("other",), "test_d": (KEY,)}
    cases = [case(name, instances=instances) for name, instances in used.items()]
    [chatted] = told(main=lived())
    other = frozen(instance()).model_copy(update={"idempotency_key": "x"})
    known = with_tests([chatted, other, frozen(attached())], cases)
    assert [it.tests for it in known] == [
        ("test_b", "test_d", "test_a"),  # A turn's test may have no report.
        (),
        ("test_b",),  # By its id, as it has no key.
    ]


def test_forms_of_events_are_the_same_in_whatever_order_they_were_seen() -> None:
    files = {"main": Written(), "gw0": Written()}
    for file, names in zip(files.values(), (("b", "a"), ("a", "b", "c")), strict=True):
        it = instance(id=ID)
        it.keeper = file
        for name in names:
            it.target.sightings.saw_event(ChatEvent(name, "x", "", None, 0.0))
    seen = [
        events_of(fold({name: files[name].entries for name in names}).events)
        for names in (("main", "gw0"), ("gw0", "main"))
    ]
    assert seen[0] == seen[1]
    assert [it.event for it in seen[0]] == ["a", "b", "c"]


def test_a_budget_is_broken_by_the_slowest_instance_and_by_all_tokens() -> None:
    def chatted(name: str, gap: float, tokens: int, untold: int = 0) -> InstanceReport:
        facts: dict[str, object] = {
            "phases": {"ready": 2 * gap},
            "waits": {"first_text": 2 * gap, "gap": gap},
            "tokens": TokensReport(input_tokens=tokens, output_tokens=1),
            "untold": untold,
            "chats": 2,
            "turns": (
                turn(1.0, first_text_after=1.0, max_gap=0.5, test="test_a"),
                turn(2.0, first_text_after=2 * gap, max_gap=gap, test="test_b"),
            ),
        }
        return frozen(instance(id=name)).model_copy(update=facts)

    both = [chatted("two", 1.0, 900), chatted("one", 3.0, 100, untold=1)]
    one = f"one (key {KEY})"
    budgets = {"ready": 5.0, "row": 0.1, "first_text": 5.0, "gap": 2.0, "tokens": 1001.0}
    found = [*breaches(both, budgets)]
    assert [(it.phase, it.limit, it.value, it.place) for it in found] == [
        ("ready", 5.0, 6.0, one),
        ("first_text", 5.0, 6.0, f"{one}, in test_b"),
        ("gap", 2.0, 3.0, f"{one}, in test_b"),
        ("tokens", 1001.0, 1002, f"two (key {KEY})"),
    ]
    assert found[-1].words == "the run took 1,002 tokens, the limit is 1,001"
    kept = {"ready": 6.0, "gap": 3.0, "tokens": 1002}
    assert [*breaches(both, kept)] == [], "to take just that much is allowed"
    assert [*breaches([], kept)] == []
    unkept = both[1].model_copy(update={"turns": ()})
    assert [it.test for it in breaches([unkept], {"gap": 2.0})] == [None]
    words = "budgets: tokens of 1 of 4 chats were not reported, and are not counted"
    assert untold_tokens(both, budgets) == words
    assert untold_tokens(both[:1], budgets) is None
    assert untold_tokens(both, {"gap": 3.0}) is None
