"""What is told of what happens, when, and by whom."""

from __future__ import annotations

import logging
import re
from functools import partial

import pytest
from golden import GOLDEN, golden
from watched import TOKEN, Watched, threads, told_of

from pytest_hydrasmoke._journal.events import Became, Doing, Failed, RunsCounted, Status
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke._report.lines import Lines

# What is worth a line


def test_what_lasts_is_told_and_what_changes(watched: Watched) -> None:
    watched.boot()
    golden("progress-lines", "\n".join(watched.told()))


def test_a_turn_that_lasts_names_the_tool_that_is_called(watched: Watched) -> None:
    it = watched.begins("turn")
    it.begins("turn", tool=f"search_{TOKEN}\n")
    watched.wait(10)
    it.begins("turn")
    watched.wait(30)
    assert [line.partition(": ")[2] for line in watched.told()] == [
        "still chatting, 10 s, calling search_********",
        "still chatting, 40 s",
    ]


def test_what_is_over_at_once_is_its_outcome_alone(watched: Watched) -> None:
    record = watched.instance()
    record.becomes(State.REQUESTED)
    for phase in ("provision", "row", "ready"):
        record.begins(phase)
        record.saw_status(f"in {phase}")
        watched.wait(0.1)
    record.becomes(State.READY)
    record.rests()
    record.begins("delete")
    watched.wait(1.9)
    record.becomes(State.DELETED)
    record.rests()
    assert watched.told() == ["nightly-7-0: ready after 0.3 s"]


@pytest.mark.parametrize("phase", [name for name in PHASES if name != "first_event"])
def test_every_phase_that_lasts_is_told(phase: str, watched: Watched) -> None:
    watched.begins(phase)
    watched.wait(10)
    [line] = watched.told()
    assert re.fullmatch(r"nightly-7-0: still [a-zA-Z ]+ing[a-zA-Z ]*, 10 s", line)


def test_a_deletion_that_takes_long_is_told(watched: Watched) -> None:
    record = watched.begins("delete")
    watched.wait(2, 8, 2)
    record.becomes(State.DELETED)
    record.rests()
    assert watched.told() == [
        "nightly-7-0: deleting, 2 s",
        "nightly-7-0: still deleting, 10 s",
        "nightly-7-0: deleted after 12 s",
    ]


def test_what_was_told_and_then_failed_is_told(watched: Watched) -> None:
    record = watched.begins("delete")
    watched.wait(20)
    record.fails()
    record.rests()
    # Not that of an earlier phase.
    record.fails()
    record.begins("turn")
    watched.wait(10)
    record.rests()
    assert watched.told() == [
        "nightly-7-0: still deleting, 20 s",
        "nightly-7-0: gave up deleting after 20 s",
        "nightly-7-0: still chatting, 10 s",
    ]


def test_a_failure_is_told_once(watched: Watched) -> None:
    record = watched.begins("ready")
    watched.wait(3)
    record.becomes(State.FAILED)
    record.fails()
    record.rests()
    assert watched.told() == ["nightly-7-0: booting, 3 s", "nightly-7-0: failed"]


def test_what_another_process_has_told_is_not_told_again(watched: Watched) -> None:
    # It has joined an instance that is ready by now.
    for record in (watched.joined(State.REQUESTED), watched.joined(State.READY)):
        record.begins("ready")
        record.becomes(State.READY)
        record.rests()
    assert watched.told() == []
    slow = watched.joined(State.REQUESTED)
    slow.begins("ready")
    watched.wait(2)
    slow.becomes(State.READY)
    assert watched.told() == ["nightly-7-2: booting, 2 s", "nightly-7-2: ready"]


def test_what_is_kept_or_gone_is_told_although_no_phase_is_under_way(watched: Watched) -> None:
    watched.instance().becomes(State.KEPT)
    watched.instance().becomes(State.DELETED)  # By somebody else: no deletion took long.
    assert watched.told() == ["nightly-7-0: kept"]


def test_a_run_is_told_if_the_one_before_it_lasted(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pytest_hydrasmoke"):
        name, long_name = "test_a.py::test_b", f"test_a.py::test_b[\x1b{'a' * 999}]"
        for number, test in ((1, name), (2, name), (3, name), (1, long_name), (2, long_name)):
            watched.run_begins(test, number, number - 1)
            watched.wait(1.9 if number == 1 and test is name else 2.0)
        watched.run_begins(name, 3, 3)  # That is how it went.
        watched.run_begins(name, 1, 0)  # A plugin runs it again.
    [line, long] = watched.told()
    assert line == "test_a.py::test_b: run 3 of 5, 2 passed"
    assert len(long) < 400
    assert long.endswith(": run 2 of 5, 1 passed")
    assert "\x1b" not in long
    assert caplog.messages[:2] == ["test_a.py::test_b: run 2 of 5, 1 passed", line]
    assert len(caplog.messages) == 3


def test_changes_that_a_log_shows_are_not_told_twice() -> None:
    lines = Lines(changes=False)
    tell = partial(told_of, lines)
    assert tell(90.0, RunsCounted("test_a", 1, 0, 3)) == (None, None)
    assert tell(95.0, RunsCounted("test_a", 2, 1, 3)) == ("test_a: run 2 of 3, 1 passed", None)
    assert tell(100.0, Doing("ready")) == ("run-0: ready", None)
    assert tell(100.0, Status("booting")).line is None
    assert lines.due(109.0) == []
    assert lines.due(110.0) == ["run-0: still booting, 10 s, status 'booting'"]
    assert tell(111.0, Status("running")).line is None
    tell(111.0, Failed(1, "it", "it"))
    assert tell(111.0, Became(State.READY, None, 11.0)) == ("run-0: ready after 11 s", None)
    assert tell(111.0, Doing(None)) == (None, None)
    assert not lines.under_way


def test_nothing_is_told_while_somebody_debugs(watched: Watched) -> None:
    watched.begins("ready")
    watched.progress.pytest_enter_pdb()
    watched.instance().becomes(State.KEPT)
    watched.wait(3)
    assert threads() == []
    watched.progress.pytest_leave_pdb()
    assert len(threads()) == 1
    watched.wait(7)
    assert watched.told() == ["nightly-7-0: still booting, 10 s"]


def test_nothing_that_fails_in_it_is_a_matter_of_the_run(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(watched.terminal, "lines")
    watched.instance().becomes(State.KEPT)
    watched.progress.say(["a line"])


def test_the_page_shows_lines_that_there_are() -> None:
    page = (GOLDEN.parent.parent.parent / "docs" / "pipelines" / "reports.md").read_text("utf-8")
    [(name, lines)] = re.findall(r"<!-- shown: (\S+) -->\n\n```text\n(.*?)```", page, re.DOTALL)
    there = (GOLDEN / f"{name}.txt").read_text("utf-8").splitlines()
    assert [line.removeprefix("hydra-smoke: ") for line in lines.splitlines()] == [
        line for line in there if "nightly-7-0" in line
    ]


# The log


def test_changes_are_logged_whoever_sees_them(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pytest_hydrasmoke"):
        watched.boot()
    golden("progress-log", "\n".join(caplog.messages))
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_what_is_logged_while_signals_are_held_comes_afterwards(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    # Of httpcore's, too: whoever deletes waits for no handler of logs.
    record, interrupts = watched.instance(), watched.interrupts
    with caplog.at_level(logging.DEBUG):
        with interrupts.hold():
            record.begins("delete")
            logging.getLogger("httpcore.http11").debug("send_request_headers.started")
            record.becomes(State.DELETED)
            assert caplog.messages == []
        expected = ["nightly-7-0: delete", "send_request_headers.started", "nightly-7-0: deleted"]
        assert caplog.messages == expected
        watched.progress.pytest_unconfigure()
        with interrupts.hold():
            logging.getLogger("httpcore.http11").debug("somebody else's")
            assert caplog.messages == [*expected, "somebody else's"]
