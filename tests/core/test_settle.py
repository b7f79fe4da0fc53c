"""When an account of LLM events may begin: what decides it, and what waits for it."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_io import (
    START,
    Listening,
    ScriptedIO,
    Took,
    attached,
    calls_of,
    events,
    lost,
    record,
    refused,
    reply,
    stream,
)

from pytest_hydrasmoke import (
    ChatBusyError,
    ChatTimeoutError,
    ConfigError,
    ContractError,
    HydraSmokeError,
    LlmEventsError,
    RejectedError,
    TransportError,
)
from pytest_hydrasmoke._core.account import open_account
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.settle import (
    FINEST,
    LEAST,
    ROWLESS,
    USUAL,
    WATCHED,
    History,
    LastTurn,
    Measured,
    begun,
    hopeless,
    measured,
    next_look,
    over,
    seen,
    settled_from,
    silent,
    too_soon,
)
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._core.turn_account import Baseline, TurnAccount
from pytest_hydrasmoke._core.turn_log import TurnLog, TurnLogs
from pytest_hydrasmoke._transport.protocol import drive

WHOLE = 5.0
KNOWN = Measured(0.2, WATCHED)


def start(count: int | None = 0, at: float = 90.0, history: History | None = None) -> History:
    return begun(history or History(), "test_a", count, at, sure=True)


def ended(how: Any = "ended", **changes: Any) -> History:
    """Return an instance whose first turn ended at 100, with no row yet."""
    history = over(start(), how, 100.0)
    assert history.last is not None
    return replace(history, last=replace(history.last, **changes)) if changes else history


def looked(history: History, *looks: tuple[float, int], known: Measured | None = None) -> History:
    """Look at these times, and see so many each time."""
    for at, count in looks:
        now = known or measured([history], [history])
        history = seen(history, at, at, count, now, WHOLE)
    return history


# --- from when a turn is settled -------------------------------------------------------------


def test_before_the_first_turn_there_is_nothing_to_wait_for() -> None:
    assert settled_from(History(), Measured(), WHOLE) == -math.inf
    assert next_look(History(), Measured(), WHOLE, 7.0) == -math.inf
    assert not too_soon(History(), KNOWN, 0.0)
    assert not silent(History(), Measured())
    assert seen(History(), 1.0, 1.0, 3, KNOWN, WHOLE) == History()
    assert over(History(), "ended", 1.0) == History()


def test_until_two_turns_were_watched_all_of_it_is_waited() -> None:
    for watched in range(WATCHED):
        assert settled_from(looked(ended(), (100.2, 1)), Measured(0.2, watched), WHOLE) == 105
    assert settled_from(looked(ended(), (100.2, 1)), KNOWN, WHOLE) == 101


@pytest.mark.parametrize("how", ["left", "failed", "cut"])
def test_after_a_turn_that_was_broken_off_all_of_it_is_waited(how: str) -> None:
    history = looked(ended(how), (100.2, 1))
    assert settled_from(history, KNOWN, WHOLE) == 105
    assert next_look(history, KNOWN, WHOLE, 100.3) == 105, "there is nothing to be learned"
    assert history.longest == 0.0, "but rows do come"


def test_without_a_row_all_of_it_is_waited() -> None:
    assert settled_from(looked(ended(), (103.0, 0)), KNOWN, WHOLE) == 105


def test_a_turn_under_way_is_never_settled() -> None:
    assert settled_from(start(), KNOWN, WHOLE) == math.inf


@pytest.mark.parametrize(
    ("longest", "settled"), [(0.0, 101.0), (0.4, 101.0), (0.6, 101.2), (2.4, 104.8), (2.6, 105)]
)
def test_a_turn_is_settled_twice_the_longest_time_after_its_end(
    longest: float, settled: float
) -> None:
    history = ended(count=1, rose=100.1)
    assert settled_from(history, Measured(longest, WATCHED), WHOLE) == pytest.approx(settled)
    too_late = pytest.approx(settled) == 105
    assert too_soon(history, Measured(longest, WATCHED), settled) is too_late


def test_a_short_setting_is_the_longest_wait() -> None:
    assert settled_from(ended(count=1, rose=100.0), KNOWN, 0.1) == 100.1


# --- what is measured ------------------------------------------------------------------------


def test_the_longest_time_until_any_row_was_seen_is_measured() -> None:
    history = looked(ended(), (100.05, 0), (100.1, 1), (100.15, 1), (100.2, 2), (105.0, 2))
    assert (history.longest, history.watched) == (pytest.approx(0.2), 1)
    assert looked(history, (106.0, 2)).watched == 1, "a turn counts once"


def test_rows_that_were_there_before_the_end_took_no_time() -> None:
    history = looked(start(), (95.0, 1))
    assert history.longest == 0.0
    history = looked(over(history, "ended", 100.0), (100.05, 1), (100.1, 2), (105.0, 2))
    assert (history.longest, history.watched) == (pytest.approx(0.1), 1)


def test_a_first_look_that_comes_late_measures_nothing() -> None:
    history = looked(ended(), (103.0, 1), (106.0, 1))
    assert (history.longest, history.watched) == (0.0, 0)
    assert settled_from(history, measured([history], [history]), WHOLE) == 105


def test_a_row_that_was_late_by_nobody_knows_how_much_is_watched_for_again() -> None:
    known = Measured(0.2, WATCHED)
    history = replace(ended(), longest=0.2, watched=WATCHED)
    history = looked(history, (100.3, 1), (101.0, 1), (104.0, 2), known=known)
    assert (history.longest, history.watched) == (pytest.approx(1.0), 0)


def test_a_turn_is_watched_to_the_end_of_the_wait_and_no_less() -> None:
    assert not looked(ended(), (100.05, 1), (104.9, 1)).watched
    assert looked(ended(), (100.05, 1), (105.0, 1)).watched
    assert not looked(ended(), (105.0, 0)).watched, "without a row there is nothing to know"
    assert not looked(ended("left"), (100.05, 1), (105.0, 1)).watched


def test_what_was_measured_once_is_not_drawn_out_by_looks_that_are_a_little_late() -> None:
    longest: float | None = 0.2
    for _ in range(50):
        known = Measured(longest, WATCHED)
        history = replace(ended(), longest=longest)
        history = looked(history, (100.01, 0), (100.21, 1), known=known)
        history = looked(history, (settled_from(history, known, WHOLE), 1), known=known)
        longest = history.longest
    assert longest == 0.2


def test_a_row_that_took_longer_than_ever_is_measured() -> None:
    assert looked(ended(), (100.3, 0), (100.5, 1), known=KNOWN).longest == pytest.approx(0.5)


def test_the_longest_counts_run_wide_and_watching_by_spec() -> None:
    mine, other = History(longest=0.1, watched=1), History(longest=0.9, watched=1)
    assert measured([mine, other], [mine]) == Measured(0.9, 1)
    assert measured([mine, other], [mine, other]) == Measured(0.9, 2)
    assert measured([History()], []) == Measured()
    assert not Measured(None, WATCHED).enough


# --- when to look ----------------------------------------------------------------------------


def test_looks_are_close_together_at_first_and_farther_apart_later() -> None:
    history, now, looks = ended(), 100.0, 0
    while now < 105:
        then = next_look(history, Measured(), WHOLE, now)
        assert FINEST - 1e-9 <= then - now <= max(FINEST, (now - 100) / 8) + 1e-9 or then == 105
        now, looks = then, looks + 1
        history = looked(history, (now, 0))
    assert looks < 45


def test_what_is_known_is_not_looked_for_before_it_can_be_there() -> None:
    assert next_look(ended(), KNOWN, WHOLE, 100.01) == 100.2
    assert next_look(ended(), KNOWN, WHOLE, 100.3) == pytest.approx(100.45)
    once = looked(ended(), (100.2, 1), known=KNOWN)
    assert next_look(once, KNOWN, WHOLE, 100.8) == 101, "but not after it is settled"


# --- turns without rows ----------------------------------------------------------------------


def test_three_turns_in_a_row_without_a_row_are_hopeless() -> None:
    history, at = History(), 0.0
    for _ in range(ROWLESS):
        assert not hopeless(history)
        history = over(start(0, at, history), "ended", at + 1)
        at += 10
    assert not hopeless(history), "of the third nobody knows yet"
    history = start(0, at, history)
    assert hopeless(history)
    # One that may hold another's rows says nothing about its own.
    assert start(None, at, history).rowless == history.rowless
    assert seen(history, at, at, 1, Measured(), WHOLE).rowless == 0, "they do come after all"


def test_a_turn_with_rows_begins_the_count_again() -> None:
    history = replace(looked(ended(), (100.1, 1)), rowless=2)
    assert start(1, 200.0, history).rowless == 0


def test_a_turn_without_a_row_is_silent_until_the_run_has_seen_one() -> None:
    assert silent(ended(), Measured())
    assert not silent(ended(), Measured(0.0))
    assert not silent(ended("failed"), Measured()), "it may have come to nothing"
    assert not silent(looked(ended(), (100.1, 1)), Measured())
    assert not silent(over(start(None), "ended", 100.0), Measured()), "nobody has counted before"


# --- the property ----------------------------------------------------------------------------


@given(
    longest=st.floats(0, 2.5),
    shares=st.lists(st.floats(0, 2), min_size=1, max_size=4),
    begins=st.floats(0, 8),
    answer=st.floats(0, 0.4),
)
@example(0.2, [2.0], 0.0, 0.0)
@example(2.5, [0.1, 2.0], 0.0, 0.4)
def test_rows_twice_as_late_as_any_before_are_in_no_other_account(
    longest: float, shares: list[float], begins: float, answer: float
) -> None:
    known = Measured(longest, WATCHED)
    rows = [100 + share * longest for share in shares]
    history, asked = ended(), 100 + begins
    while True:
        # The router counts at some moment while it is asked.
        history = seen(
            history, asked, asked + answer, sum(it <= asked for it in rows), known, WHOLE
        )
        until = settled_from(history, known, WHOLE)
        if asked >= until:
            break
        now = asked + answer
        asked = max(next_look(history, known, WHOLE, now), now)
    assert history.last is not None
    assert history.last.count == len(rows)
    assert asked <= max(100 + WHOLE, 100 + begins) + answer


@given(lag=st.floats(0, 4.5), begins=st.floats(0, 0.05), answer=st.floats(0, 0.05))
def test_watching_a_turn_measures_its_rows_and_hardly_more(
    lag: float, begins: float, answer: float
) -> None:
    history, asked, looks = ended(), 100 + begins, 0
    while not history.watched:
        known = measured([history], [history])
        history = seen(history, asked, asked + answer, int(100 + lag <= asked), known, WHOLE)
        now = asked + answer
        asked = max(next_look(history, measured([history], [history]), WHOLE, now), now)
        looks += 1
    assert history.longest is not None
    assert lag - 1e-9 <= history.longest <= lag * 9 / 8 + FINEST + begins + 2 * answer + 1e-9
    assert looks < 60


def wrong_baselines(due: Callable[[random.Random, float], list[float]], turns: int) -> float:
    """Return the share of baselines that miss rows unseen; `due` gives a turn's, by its end."""
    chance, history, now = random.Random(1), History(), 0.0
    rows: list[float] = []
    wrong = 0
    for _ in range(turns):
        while True:
            count = sum(it <= now for it in rows)
            known = measured([history], [history])
            history = seen(history, now, now, count, known, WHOLE)
            known = measured([history], [history])
            if now >= settled_from(history, known, WHOLE):
                break
            now = next_look(history, known, WHOLE, now)
        sure = not too_soon(history, known, now)
        wrong += sure and count < len(rows)
        history = begun(history, "", count, now, sure=sure)
        now += 4.0 + chance.random()
        history = over(history, "ended", now)
        rows += due(chance, now)
    return wrong / turns


def _calls(end: float) -> tuple[float, ...]:
    return end - 4.0, end - 2.0, end


def flushed(every: float) -> Callable[[random.Random, float], list[float]]:
    return lambda chance, end: [math.ceil(it / every) * every for it in _calls(end)]


@pytest.mark.parametrize(
    ("due", "most"),
    [
        (lambda chance, end: [it + chance.uniform(1.2, 2.0) for it in _calls(end)], 0.0),
        (flushed(2.0), 0.0),
        (flushed(5.0), 0.02),
    ],
    ids=["late", "each 2 s", "each 5 s"],
)
def test_baselines_are_right_with_calls_two_seconds_apart(due: Any, most: float) -> None:
    assert wrong_baselines(due, 2000) <= most


# --- the log ---------------------------------------------------------------------------------


def logs_of(folder: Path, test: str = "test_a") -> TurnLogs:
    return TurnLogs(folder / "turns", lambda: test)


def log_of(folder: Path, name: str = "night-0", spec: str = "spec") -> TurnLog:
    log = TurnLog(logs_of(folder), spec)
    log.share(name)
    return log


def test_a_log_goes_from_one_process_to_the_next(tmp_path: Path) -> None:
    first, second = log_of(tmp_path), log_of(tmp_path)
    first.refresh(80.0)
    assert first.begin(0, 90.0) == 1
    first.end("ended", 100.0)
    first.saw(100.1, 100.1, 1, WHOLE)
    second.refresh(101.0)
    assert second.history == first.history
    assert second.history.last == LastTurn(
        "test_a", 0, 1, 100.1, how="ended", ended=100.0, rose=100.1
    )
    assert second.known == Measured(pytest.approx(0.1), 0)
    assert first.is_own(1)
    assert second.begin(1, 102.0) == 2
    assert not first.is_own(1)
    first.end("left", 103.0)
    assert second.history.last is not None
    assert second.history.last.how == "under way", "it is no longer the first one's"


def test_a_turn_that_was_none_is_forgotten_by_all(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.begin(0, 90.0)
    log.undo(History())
    heir = log_of(tmp_path)
    heir.refresh(100.0)
    assert heir.history == History(since=100.0)


def test_a_turn_whose_process_died_in_it_was_cut_when_it_is_found(tmp_path: Path) -> None:
    log_of(tmp_path).begin(0, 90.0)
    heir = log_of(tmp_path)
    heir.refresh(200.0)
    again = log_of(tmp_path)
    again.refresh(300.0)
    for log in (heir, again):
        assert log.history.last is not None
        assert (log.history.last.how, log.history.last.ended) == ("cut", 200.0)


def test_a_turn_of_a_process_that_lives_is_under_way_and_no_other_may_begin(tmp_path: Path) -> None:
    alive = {"gw0", "gw1"}

    def of(process: str) -> TurnLog:
        logs = TurnLogs(tmp_path / "turns", process=process, lives=lambda it: it in alive)
        log = TurnLog(logs, "spec")
        log.share("night-0")
        return log

    of("gw0").begin(0, 90.0)
    with pytest.raises(ChatBusyError, match="under way on this instance already, in worker gw0"):
        of("gw1").refresh(100.0)
    alive.remove("gw0")
    heir = of("gw1")
    heir.refresh(200.0)
    assert heir.history.last is not None
    assert (heir.history.last.how, heir.history.last.by) == ("cut", "gw0")


def test_what_was_measured_is_known_to_all_and_watched_by_spec(tmp_path: Path) -> None:
    one, two = log_of(tmp_path, "night-0"), log_of(tmp_path, "night-1", "another")
    one.begin(0, 90.0)
    one.end("ended", 100.0)
    for at in (100.1, 105.0):
        one.saw(at, at, 1, WHOLE)
    assert one.known == (pytest.approx(0.1), 1)
    assert two.known == (pytest.approx(0.1), 0)
    assert TurnLog(logs_of(tmp_path), "spec").known == one.known, "a private one's as well"


@pytest.fixture
def other_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give `other_process(pid)`: what happens next happens in that one."""
    return lambda pid: monkeypatch.setattr(os, "getpid", lambda: pid)


def watch(log: TurnLog, took: float, at: float = 100.0) -> None:
    """Take a turn, and watch its row come."""
    log.begin(0, at - 1)
    log.end("ended", at)
    for look in (took - 0.05, took, WHOLE):
        log.saw(at + look, at + look, int(look >= took), WHOLE)


def test_the_number_is_the_runs_whoever_has_measured_it(
    tmp_path: Path, other_process: Callable[[int], None]
) -> None:
    folder = tmp_path / "turns"
    logs = [TurnLogs(folder), TurnLogs(folder), TurnLogs(folder)]
    for number, took in ((1, 0.2), (2, 1.5)):
        other_process(number)
        watch(TurnLog(logs[number - 1], "spec"), took)
    assert {path.name for path in folder.iterdir()} == {"of-1.json", "of-2.json"}
    assert logs[1].known("spec") == (pytest.approx(1.5), 2)
    other_process(1)
    assert logs[0].known("other spec") == (pytest.approx(1.5), 0)
    other_process(3)
    assert logs[2].known("spec") == (pytest.approx(1.5), 2)
    for text in ("", "[]", '{"own": [[1]]}'):
        (folder / "of-2.json").write_text(text)
        assert logs[2].known("spec") == (pytest.approx(0.2), 1), "it costs others a wait"


def test_what_was_measured_and_can_not_be_written_costs_others_a_wait(tmp_path: Path) -> None:
    (tmp_path / "turns").write_text("not a folder")
    log = TurnLog(logs_of(tmp_path), "spec")
    watch(log, 0.2)
    assert log.known == (pytest.approx(0.2), 1)


def test_what_is_private_is_in_no_file(tmp_path: Path) -> None:
    log = TurnLog(logs_of(tmp_path))
    log.begin(0, 1.0)
    log.end("ended", 2.0)
    assert list(tmp_path.iterdir()) == []


def test_the_files_do_not_grow_with_the_chats(tmp_path: Path) -> None:
    log, sizes = log_of(tmp_path), []
    for number in range(100, 200):
        log.begin(number, 1e6 + number)
        log.end("ended", 1e6 + number + 0.5)
        [file] = (tmp_path / "turns").iterdir()
        assert file.suffix == ".json"
        sizes.append(file.stat().st_size)
    assert max(sizes) - min(sizes) < 10


def test_a_log_that_can_not_be_written_lets_no_turn_begin(tmp_path: Path) -> None:
    (tmp_path / "turns").write_text("not a folder")
    log = log_of(tmp_path)
    with pytest.raises(ConfigError, match="can't be written"):
        log.begin(0, 1.0)


def test_the_end_of_a_turn_that_can_not_be_written_costs_others_a_wait(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.begin(0, 90.0)
    (tmp_path / "turns").rename(tmp_path / "away")
    (tmp_path / "turns").write_text("not a folder")
    log._put(over(log.history, "ended", 100.0))
    (tmp_path / "turns").unlink()
    (tmp_path / "away").rename(tmp_path / "turns")
    heir = log_of(tmp_path)
    heir.refresh(101.0)
    assert heir.history.last is not None
    assert (heir.history.last.how, heir.history.last.ended) == ("cut", 101.0)


@pytest.mark.parametrize("text", ["", "[]", '{"spec": ""}', '{"spec": "", "history": {"a": 1}}'])
def test_a_log_that_can_not_be_read_is_of_a_turn_nobody_saw_the_end_of(
    tmp_path: Path, text: str
) -> None:
    log = log_of(tmp_path)
    log.begin(0, 1.0)
    [file] = (tmp_path / "turns").iterdir()
    file.write_text(text)
    log.refresh(50.0)
    assert settled_from(log.history, log.known, WHOLE) == 55


def test_a_log_that_was_shared_and_never_written_has_no_turn(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.refresh(1.0)
    assert log.history == History(since=1.0)
    assert log.known == Measured()


# --- opening an account ----------------------------------------------------------------------

HI = b"data: Hi\n\n"
DONE = b"data: [DONE]\n\n"


class Rows:
    """A router that counts the rows of a window: `at` are seconds since START."""

    def __init__(self, *at: float, most: float = math.inf) -> None:
        self.at = list(at)
        self.most = most
        """The longest window that it gives."""
        self.io: ScriptedIO

    def __call__(self, request: Any) -> Any:
        window = min(int(request.path.rpartition("=")[2]), self.most)
        ages = [self.io.time - START - it for it in self.at]
        count = sum(-1e-9 <= age <= window for age in ages)
        return events(count, *["a"] * bool(count), window=int(window))


def ready(**changes: Any) -> InstanceRecord:
    it = record(state=State.READY)
    it.id = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
    for name, value in changes.items():
        setattr(it, name, value)
    return it


def chatting(
    rows: Rows,
    *,
    settle: float = 5.0,
    it: InstanceRecord | None = None,
    chats: Sequence[Any] | None = None,
    timeout: float = 120.0,
) -> tuple[ScriptedIO, Handle]:
    """Return a handle on an instance whose router counts these rows."""
    it = it or ready()
    chat = [lambda _: stream(HI + DONE), ...] if chats is None else chats
    rows.io, calls = calls_of(it, llm_events=[rows, ...], chat=chat)
    policy = Policy(usage_settle=settle, chat_timeout=timeout)
    return rows.io, Handle(calls, it, policy, Reading())


def chat(io: ScriptedIO, handle: Handle) -> tuple[TurnAccount, float]:
    """Take a turn; gives its account, and the seconds that it was held up."""
    start = io.time
    return drive(handle.chat("hello", None)).account, io.time - start


def test_a_turn_waits_until_the_one_before_is_settled() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows)
    first, waited = chat(io, handle)
    assert waited == 0.0
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5.0), "nobody has watched a turn before"
    assert (first.before.count, account.before.count) == (0, 1)
    assert first.after == account.before
    with pytest.raises(LlmEventsError):
        drive(handle.expect_of_turn(Expected(), account, 1))


def test_the_wait_is_no_part_of_the_chats_time() -> None:
    io, handle = chatting(
        Rows(), timeout=1.0, chats=[stream(HI + DONE), stream(Took(0.9, HI + DONE))]
    )
    chat(io, handle)
    assert chat(io, handle)[1] == pytest.approx(5.9)
    assert handle.record.phases["turn"] == pytest.approx(0.9)


def test_once_two_turns_were_watched_back_to_back_turns_wait_a_second() -> None:
    rows = Rows()
    io, handle = chatting(rows)
    waits, reads, counts = [], [], []
    for _ in range(20):
        before = len(io.calls_sent("llm_events"))
        account, waited = chat(io, handle)
        waits.append(waited)
        counts.append(account.before.count)
        reads.append(len(io.calls_sent("llm_events")) - before)
        rows.at.append(io.time - START + 0.2)
    assert waits[:3] == [0.0, pytest.approx(5.0), pytest.approx(5.0)]
    assert waits[3:] == [pytest.approx(LEAST)] * 17
    assert max(reads[1:3]) < 45
    assert max(reads[3:]) <= 6
    assert counts == list(range(20))


def test_what_has_passed_since_the_turns_end_counts() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows)
    chat(io, handle)
    io.time += 4
    assert chat(io, handle)[1] == pytest.approx(1.0)
    io.time += 5
    assert chat(io, handle)[1] == 0.0, "a slow test waits for nothing"


def test_what_an_expectation_saw_is_measured_and_settles_a_turn() -> None:
    rows = Rows(0.2)
    io, handle = chatting(rows)
    for _ in range(WATCHED):
        account, waited = chat(io, handle)
        rows.at.append(io.time - START + 0.2)
        drive(handle.expect_of_turn(Expected(), account, None))
        assert handle.record.log.history.longest == pytest.approx(0.2, abs=0.05)
        io.time += 5
        drive(handle.expect_of_turn(Expected(), account, None))
    assert handle.record.log.history.watched == WATCHED
    account, waited = chat(io, handle)
    rows.at.append(io.time - START + 0.2)
    assert waited == 0.0
    drive(handle.expect_of_turn(Expected(1, 1), account, None))
    assert chat(io, handle)[1] == 0.0, "the second look has seen that no more came"


@pytest.mark.parametrize("settle", [5.0, 2.0])
def test_a_turn_left_early_is_waited_for_to_the_end(settle: float) -> None:
    rows = Rows(0.1)
    io, handle = chatting(rows, settle=settle, it=watched())
    turn = handle.turn("hello", None)
    drive(turn.open())
    drive(turn.next())
    drive(turn.close())
    before = len(io.calls_sent("llm_events"))
    assert chat(io, handle)[1] == pytest.approx(settle)
    assert len(io.calls_sent("llm_events")) - before == 2, "one look, a wait, and the count"
    assert handle.record.log.history.last is not None


def watched() -> InstanceRecord:
    it = ready()
    it.log.history = History(watched=WATCHED, longest=0.2)
    return it


@pytest.mark.parametrize(
    "broken",
    [
        reply(500, {"detail": "no"}),
        lost(),
        reply(200, {"no": "stream"}),
        stream(HI, Took(200)),
        stream(HI + b'event: error\ndata: {"error": "no"}\n\n'),
    ],
    ids=["500", "lost", "no stream", "timeout", "error"],
)
def test_after_a_turn_that_failed_all_is_waited(broken: Any) -> None:
    io, handle = chatting(Rows(0.1), it=watched(), chats=[broken, stream(HI + DONE)])
    with pytest.raises(HydraSmokeError):
        chat(io, handle)
    assert handle.record.log.history.last is not None
    assert handle.record.log.history.last.how == "failed"
    assert chat(io, handle)[1] == pytest.approx(5.0)


TOO_LONG = {"detail": [{"loc": ["body", "message"], "msg": "too long", "type": "x"}]}


@pytest.mark.parametrize(
    ("never_taken", "kind"),
    [
        (reply(422, TOO_LONG), RejectedError),
        (reply(503), ChatTimeoutError),
        (refused(), TransportError),
    ],
    ids=["422", "503", "no connection"],
)
def test_a_message_that_was_refused_was_no_turn(never_taken: Any, kind: type[Exception]) -> None:
    io, handle = chatting(
        Rows(0.1), it=watched(), chats=[stream(HI + DONE), never_taken, stream(HI + DONE)]
    )
    chat(io, handle)
    io.time += 1
    with pytest.raises(kind):
        drive(handle.chat("hello", 0.1))
    start = io.time
    chat(io, handle)
    assert io.time == start
    assert handle.record.log.history.number == 2


def test_after_three_turns_without_a_row_nothing_is_waited_for_and_nothing_is_told() -> None:
    rows = Rows()
    io, handle = chatting(rows)
    handle.record.log._logs.test = lambda: "test_a.py::test_x"
    turns = [chat(io, handle) for _ in range(6)]
    assert [waited for _, waited in turns] == [
        0,
        pytest.approx(5),
        pytest.approx(5),
        pytest.approx(5),
        0,
        0,
    ]
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(0, 0), turns[5][0], None))
    assert caught.value.got == (
        "LLM events of the turn before, of test_a.py::test_x, may be among them: "
        "the 4 turns before that one left none, so there was no wait"
    )
    assert caught.value.next_step == "see why the agent's usage is not recorded"
    # As soon as one is seen, there is something to wait for again.
    rows.at.append(io.time - START)
    io.time += 0.1
    assert chat(io, handle)[1] == pytest.approx(4.9)


def test_without_a_wait_an_account_in_doubt_is_an_error_that_names_the_test() -> None:
    rows = Rows(1.5)
    io, handle = chatting(rows, settle=0.0)
    handle.record.log._logs.test = lambda: "test_a.py::test_x"
    turns = [chat(io, handle) for _ in range(2)]
    assert [waited for _, waited in turns] == [0, 0]
    io.time += 2
    for wanted in (Expected(), Expected(0), Expected(1, 1)):
        with pytest.raises(LlmEventsError) as caught:
            drive(handle.expect_of_turn(wanted, turns[1][0], None))
        assert caught.value.got == (
            "LLM events of the turn before, of test_a.py::test_x, may be among them: "
            "there was no wait"
        )
        assert caught.value.next_step == "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(0, 0), turns[0][0], None))
    assert "some may be missing" in (caught.value.got or "")
    # What the default would have waited for has passed by itself.
    io.time += USUAL
    account, _ = chat(io, handle)
    rows.at.append(io.time - START)
    drive(handle.expect_of_turn(Expected(), account, None))


def test_events_known_to_come_later_than_is_waited_are_an_error() -> None:
    rows = Rows(8.0)
    io, handle = chatting(rows)
    account, _ = chat(io, handle)
    drive(handle.expect_of_turn(Expected(), account, None))
    chat(io, handle)
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5)
    with pytest.raises(LlmEventsError, match="not as expected") as caught:
        drive(handle.expect_of_turn(Expected(0), account, None))
    assert "events came up to 8." in (caught.value.got or "")
    assert caught.value.next_step == "raise HYDRA_SMOKE_USAGE_SETTLE to more than twice that"


def test_a_turn_of_another_client_closes_an_account() -> None:
    io, handle = chatting(Rows(0.1))
    account, _ = chat(io, handle)
    handle.record.log.begin(None, io.time)
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(), account, None))
    assert caught.value.got == "another client has chatted since the turn"
    assert "before the next chat" in (caught.value.next_step or "")


def test_events_before_the_first_turn_of_the_run_are_another_runs() -> None:
    io, handle = chatting(Rows(-1.0))
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            chat(io, handle)
        assert str(caught.value) == (
            "the instance had 1 LLM events before this run's first chat: something else has "
            "chatted with it, or its agent calls a model by itself\n"
            f"  instance:  {handle.record.name}\n"
            "  next step: give each shard a HYDRA_SMOKE_RUN_ID of its own, and chat only with this "
            "run's fixtures: it can't know of other clients"
        )
    assert not io.calls_sent("chat"), "nothing was said"
    assert handle.record.chats == 0


def test_no_other_run_has_a_random_run_id() -> None:
    io, handle = chatting(Rows(-1.0))
    handle.record.key = "smoke-0123456789ab-0"
    with pytest.raises(ConfigError) as caught:
        chat(io, handle)
    step = "chat only with this run's fixtures: it can't know of other clients"
    assert caught.value.next_step == step


@pytest.mark.parametrize(("at", "waits"), [(-1.5, 0.0), (-0.5, 1.0), (0.0, 2.0)])
def test_an_attached_instance_may_have_been_used_by_anybody(at: float, waits: float) -> None:
    rows = Rows(-900.0, at)
    io, handle = chatting(rows, it=attached())
    account, waited = chat(io, handle)
    # Windows have whole seconds: at the edge of the first one there must be nothing.
    assert (account.before.count, waited) == (0, waits)
    for rest in (0.1, 0.5, 0.9):
        rows.at.append(io.time - START)
        io.time += 20 + rest
        drive(handle.expect_of_turn(Expected(1, 1), account, None))
        account, _ = chat(io, handle)
    asked = [int(it.request.path.rpartition("=")[2]) for it in io.sent if "=" in it.request.path]
    assert max(asked) < 100, "it asks back to its own start"


def test_an_attached_instance_that_others_use_all_the_time_has_no_account() -> None:
    io, handle = chatting(Rows(*[it / 2 for it in range(-4, 60)]), it=attached())
    account, waited = chat(io, handle)
    assert waited == pytest.approx(5.0)
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(), account, None))
    assert caught.value.got == "LLM events of another client come in all the time"


# --- routers that count wrongly --------------------------------------------------------------


def test_a_window_shorter_than_the_instances_age_is_no_account() -> None:
    rows = Rows(1.0, most=10)
    io, handle = chatting(rows)
    chat(io, handle)
    io.time += 8
    account, _ = chat(io, handle)
    rows.at += [8.5, 8.6]
    io.time += 3.2
    # The first turn's row has left the window: of two rows only one would be counted.
    with pytest.raises(ContractError) as caught:
        drive(handle.expect_of_turn(Expected(1, 1), account, None))
    assert str(caught.value) == (
        "llm_events answered for a shorter window than it was asked for\n"
        "  phase:     llm_events, after 0.0 s\n"
        f"  instance:  {handle.record.name}\n"
        "  expected:  window_seconds of 11 or more, back to the instance's first turn\n"
        "  got:       window_seconds: 10\n"
        "  next step: tell the router's developers: no turn's LLM events can be counted so"
    )
    account, _ = chat(io, handle)
    rows.most = math.inf
    with pytest.raises(LlmEventsError) as missing:
        drive(handle.expect_of_turn(Expected(0), account, None))
    assert "no count to compare with: llm_events answered" in (missing.value.got or "")


def test_an_attached_run_needs_no_more_than_its_own_time() -> None:
    io, handle = chatting(Rows(0.5, most=60), it=attached())
    account, _ = chat(io, handle)
    io.time += 55
    drive(handle.expect_of_turn(Expected(1, 1), account, None))
    io.time += 10
    with pytest.raises(ContractError):
        drive(handle.expect_of_turn(Expected(1, 1), account, None))


@pytest.mark.parametrize(("back", "waits"), [(2.5, 3.0), (60.0, 5.0)])
def test_a_count_that_goes_down_is_no_baseline(back: float, waits: float) -> None:
    class Stale(Rows):
        def __call__(self, request: Any) -> Any:
            if 10 <= self.io.time - START < 10 + back:
                return events(0)
            return super().__call__(request)

    rows = Stale(1.0)
    io, handle = chatting(rows)
    account, _ = chat(io, handle)
    drive(handle.expect_of_turn(Expected(), account, None))
    io.time = START + 10
    account, waited = chat(io, handle)
    assert waited == pytest.approx(waits)
    if waits < 5:
        assert account.before.count == 1
        return
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_of_turn(Expected(0), account, None))
    assert caught.value.got == "the count of LLM events went down, from 1 to 0"


def test_after_a_turn_of_another_client_events_are_nobody_elses_and_waited_for() -> None:
    io, handle = chatting(Rows(0.5))
    handle.record.log.begin(None, io.time)
    handle.record.log.end("ended", io.time)
    io.time += 1
    assert chat(io, handle)[1] == pytest.approx(4)


def test_a_count_that_can_not_be_read_ends_the_wait_and_is_told() -> None:
    it = ready()
    it.log.begin(0, START)
    it.log.end("ended", START)
    io, calls = calls_of(it, llm_events=[events(0), reply(401)])
    baseline = drive(open_account(calls, it, timeout=30, settle=5.0))
    assert baseline == Baseline(io.time, error="llm_events was refused with 401")
    assert it.doing is None


def test_who_watches_is_told_that_it_waits() -> None:
    told: list[Any] = []
    it = ready()
    it.listener = Listening(
        change=lambda it: told.append(it.doing and (it.doing.phase, it.doing.deadline))
    )
    io, handle = chatting(Rows(), it=it)
    chat(io, handle)
    end, told[:] = io.time, []
    chat(io, handle)
    assert told[:2] == [("llm_events", end + 5), None]
    assert "llm_events" not in it.phases, "it is no time that a turn's events took"


class Enough(BaseException):
    """What ends a test."""


def test_a_wait_that_is_interrupted_leaves_everything_as_it_was() -> None:
    class Interrupted(ScriptedIO):
        async def sleep(self, seconds: float) -> None:
            raise Enough

    rows = Rows()
    io, handle = chatting(rows)
    chat(io, handle)
    before = handle.record.log.history
    io.__class__ = Interrupted
    with pytest.raises(Enough):
        chat(io, handle)
    io.__class__ = ScriptedIO
    assert handle.record.log.history.number == before.number
    assert handle.record.doing is None
    assert chat(io, handle)[1] == pytest.approx(5)


# --- a fake that knows -----------------------------------------------------------------------


def asking(rows: Rows, *, says: Callable[[], bool]) -> tuple[ScriptedIO, Handle]:
    it = ready()
    rows.io, calls = calls_of(it, llm_events=[rows, ...], chat=[lambda _: stream(HI + DONE), ...])
    policy = Policy(to_come=lambda instance_id: instance_id == it.id and says())
    return rows.io, Handle(calls, it, policy, Reading())


def test_where_nothing_is_to_come_the_next_chat_begins() -> None:
    rows = Rows()
    io, handle = asking(rows, says=lambda: any(io.time < START + at for at in rows.at))
    for number in range(4):
        account, waited = chat(io, handle)
        assert (account.before.count, account.before.doubt) == (number, None)
        assert waited == pytest.approx(0.2 if number else 0.0, abs=0.02)
        rows.at.append(io.time - START + 0.2)


def test_what_may_come_for_ever_is_waited_for_as_from_any_router() -> None:
    io, handle = asking(Rows(), says=lambda: True)
    chat(io, handle)
    assert chat(io, handle)[1] == pytest.approx(5)


def test_where_nothing_is_to_come_a_count_is_final() -> None:
    rows = Rows(0.2)
    io, handle = asking(rows, says=lambda: io.time < START + 0.2)
    account, _ = chat(io, handle)
    drive(handle.expect_of_turn(Expected(1, 1), account, None))
    assert io.waited == pytest.approx(0.2, abs=0.03), "there is no second look"
    with pytest.raises(LlmEventsError):
        drive(handle.expect_of_turn(Expected(2), account, None))
    drive(handle.expect_recent(Expected(1, 1), None))
    assert io.waited == pytest.approx(0.2, abs=0.03), "what is missing does not come"
    with pytest.raises(LlmEventsError):
        drive(handle.expect_recent(Expected(2), 3))
    assert io.waited == pytest.approx(3.2, abs=0.03), "but another thread may chat"


# --- nobody else -----------------------------------------------------------------------------


def of_turn(wanted: Expected, it: InstanceRecord, *script: Any) -> tuple[ScriptedIO, Any]:
    io, calls = calls_of(it, llm_events=script)
    try:
        assert it.account is not None
        handle = Handle(calls, it, Policy(), Reading())
        return io, drive(handle.expect_of_turn(wanted, it.account, 5))
    except LlmEventsError as error:
        return io, error


def before(count: int, names: str, after: Baseline | None = None) -> InstanceRecord:
    return ready(account=TurnAccount(Baseline(START, count, frozenset(names)), after))


ONLY_A = Expected(providers=frozenset("a"), only=True)


def test_only_is_looked_at_twice() -> None:
    io, answer = of_turn(ONLY_A, before(0, ""), events(1, "a"), events(1, "a"))
    assert (answer.count, io.sleeps) == (1, [2.0])


@pytest.mark.parametrize("script", [[events(2, "a", "b")], [events(1, "a"), events(2, "a", "b")]])
def test_a_stranger_is_told_at_once_and_no_wait_mends_it(script: list[Any]) -> None:
    _, error = of_turn(ONLY_A, before(0, ""), *script)
    assert error.got == "2 (0 before the turn, 2 now), from a, b"
    assert error.expected == "at least 1 LLM event, from a and no other"
    assert error.next_step == "see the agent's log of this turn: a longer wait does not help"


def test_a_stranger_known_before_is_looked_for_since_the_turn_began() -> None:
    def answer(request: Any) -> Any:
        return events(6, "a", "b") if "=9" in request.path else events(1, *since)

    since = "a"
    _, fine = of_turn(ONLY_A, before(5, "ab"), answer, ...)
    assert fine.count == 6
    since = "b"
    _, error = of_turn(ONLY_A, before(5, "ab"), answer, ...)
    assert error.got == "1 (5 before the turn, 6 now), from b"


@pytest.mark.parametrize("wanted", [ONLY_A, Expected(providers=frozenset("a"))], ids=str)
def test_who_it_was_can_not_be_told_once_the_next_turn_has_begun(wanted: Expected) -> None:
    after = Baseline(START + 9, 6, frozenset("ab"))
    io, error = of_turn(wanted, before(5, "ab", after), events(9, "a", "b"))
    assert error.got == (
        "1 (5 before the turn, 6 at the next turn), from no provider, and perhaps from "
        + ("a, b" if wanted.only else "a")
    )
    assert error.next_step == "expect a turn's LLM events before the next chat on its instance"
    assert len(io.sent) == 1, "what came since would be the next turn's as well"


def test_none_of_the_last_900_s_may_be_a_strangers() -> None:
    io, calls = calls_of(ready(), llm_events=[events(2, "a", "b"), ...])
    handle = Handle(calls, ready(), Policy(), Reading())
    with pytest.raises(LlmEventsError) as caught:
        drive(handle.expect_recent(ONLY_A, None))
    assert caught.value.next_step == (
        "count a turn's own (its expect_llm_events): a longer wait does not help"
    )
    assert io.waited == 0
