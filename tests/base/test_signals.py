"""The resident handler: what the first signal does, what later ones do, and who is let alone."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest
from handlers import as_in_a_terminal

from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._base.signals import CLEANUP_SECONDS, LINGER, STUCK, Interrupts

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class HandTime:
    """Time that a test moves by hand, in the place of `clock`."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandTime:
    clock = HandTime()
    monkeypatch.setattr(signals, "clock", clock)
    return clock


@pytest.fixture
def told() -> list[int]:
    """What `on_first` was told."""
    return []


@pytest.fixture
def interrupts(clock: HandTime, told: list[int]) -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in (INT, TERM, HUP)}
    interrupts = Interrupts(on_first=told.append)
    interrupts.install()
    yield interrupts
    interrupts.restore()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [INT, TERM, HUP])
def test_the_first_signal_interrupts_and_is_told_and_later_ones_wait(
    interrupts: Interrupts, told: list[int], number: signal.Signals
) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    for later in (INT, TERM, HUP, INT):
        signal.raise_signal(later)
    assert interrupts.received == number
    assert told == [number]


def test_what_is_held_is_finished_before_a_signal_counts(interrupts: Interrupts) -> None:
    finished: list[str] = []

    def held() -> None:
        with interrupts.hold():
            with interrupts.hold():
                signal.raise_signal(INT)
                finished.append("inner")
            signal.raise_signal(TERM)
            finished.append("outer")

    with pytest.raises(KeyboardInterrupt):
        held()
    assert finished == ["inner", "outer"]
    assert interrupts.received == INT


def test_clean_up_has_its_time_from_the_signal_and_again_from_its_beginning(
    interrupts: Interrupts, clock: HandTime
) -> None:
    with interrupts.hold():
        pass
    assert interrupts.received is None
    assert interrupts.deadline() == math.inf
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    assert interrupts.deadline() == 100.0 + CLEANUP_SECONDS
    clock.time = 105.0
    signal.raise_signal(TERM)
    assert interrupts.deadline() == 100.0 + CLEANUP_SECONDS
    interrupts.begin_clean_up()
    assert interrupts.deadline() == 105.0 + CLEANUP_SECONDS


def test_no_signal_breaks_clean_up_off(interrupts: Interrupts) -> None:
    interrupts.begin_clean_up()
    with interrupts.hold():
        signal.raise_signal(INT)
    signal.raise_signal(TERM)
    assert interrupts.deadline() < math.inf
    interrupts.end_clean_up()
    with interrupts.hold():
        pass  # The run is ending already: nothing is left to be interrupted.
    assert interrupts.received == INT


def test_where_the_first_got_no_clean_up_going_a_later_one_counts_again(
    interrupts: Interrupts, clock: HandTime
) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    clock.time += STUCK
    signal.raise_signal(INT)
    clock.time += 1.0
    with interrupts.hold():
        signal.raise_signal(INT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(TERM)
    interrupts.begin_clean_up()
    clock.time += STUCK + 1
    signal.raise_signal(INT)
    assert interrupts.received == INT


def test_the_old_handler_of_ctrl_c_is_called(clock: HandTime) -> None:
    called: list[int] = []

    def old(number: int, frame: FrameType | None) -> None:
        called.append(number)

    before = signal.signal(INT, old)
    interrupts = Interrupts()
    interrupts.install()
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(TERM)
        assert called == [INT]
    finally:
        interrupts.restore()
        assert signal.getsignal(INT) is old
        signal.signal(INT, before)


def test_where_the_old_handler_of_ctrl_c_only_returns_a_forked_child_goes_on(
    clock: HandTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []
    before = signal.signal(INT, lambda number, frame: called.append(number))
    interrupts = Interrupts()
    interrupts.install()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            signal.raise_signal(INT)
        assert called == [INT]
        assert interrupts.received is None
    finally:
        interrupts.restore()
        signal.signal(INT, before)


def test_old_handlers_come_back(clock: HandTime, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (INT, TERM, HUP)]
    interrupts = Interrupts()
    interrupts.install()
    assert [signal.getsignal(number) for number in (INT, TERM, HUP)] != before
    interrupts.restore()
    interrupts.restore()
    assert [signal.getsignal(number) for number in (INT, TERM, HUP)] == before
    # A system without it has one signal less.
    monkeypatch.delattr(signal, "SIGHUP")
    interrupts.install()
    assert signal.getsignal(HUP) == before[2]
    interrupts.restore()


def test_a_run_that_no_signal_ended_leaves_old_handlers_and_newer_ones(
    interrupts: Interrupts,
) -> None:
    def newer(number: int, frame: FrameType | None) -> None: ...

    signal.signal(TERM, newer)
    interrupts.leave()
    assert signal.getsignal(TERM) is newer
    assert signal.getsignal(INT) != interrupts._handle


def test_a_run_that_a_signal_ended_takes_more_of_them_while_its_process_ends(
    interrupts: Interrupts, clock: HandTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    interrupts.leave()
    clock.time += LINGER
    for number in (INT, TERM, HUP):
        signal.raise_signal(number)
    [last] = at_exit
    last()
    assert {signal.getsignal(number) for number in (INT, TERM, HUP)} == {signal.SIG_IGN}


def test_a_process_that_outlives_its_run_has_its_old_handlers_again(
    clock: HandTime, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    came: list[int] = []
    with as_in_a_terminal():
        signal.signal(TERM, lambda number, frame: came.append(number))
        interrupts = Interrupts(on_first=told.append)
        interrupts.install()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(INT)
        interrupts.leave()
        clock.time += LINGER + 0.1
        signal.raise_signal(TERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(INT)
        at_exit[0]()
        signal.raise_signal(TERM)
    assert (came, told) == ([TERM, TERM], [INT])


@pytest.mark.parametrize("ignored", [HUP, INT])
def test_ignored_signals_stay_ignored_and_others_interrupt_all_the_same(
    clock: HandTime, ignored: signal.Signals
) -> None:
    before = signal.signal(ignored, signal.SIG_IGN)
    interrupts = Interrupts()
    interrupts.install()
    try:
        signal.raise_signal(ignored)
        assert interrupts.received is None
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(TERM)
    finally:
        interrupts.restore()
        signal.signal(ignored, before)


def test_a_thread_takes_no_signals_over(clock: HandTime) -> None:
    before = signal.getsignal(INT)
    thread = threading.Thread(target=Interrupts().install)
    thread.start()
    thread.join()
    assert signal.getsignal(INT) == before


def test_a_thread_holds_nothing(interrupts: Interrupts) -> None:
    holding, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with interrupts.hold():
            holding.set()
            let_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(10)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    let_go.set()
    thread.join()


FORKED = """
import os, signal
from pytest_hydrasmoke._base.signals import Interrupts
interrupts = Interrupts(on_first=lambda number: print("told", number))
interrupts.install()
for name in ("SIGTERM", "SIGHUP", "SIGINT"):
    if os.fork() == 0:
        try:
            signal.raise_signal(getattr(signal, name))
        except KeyboardInterrupt:
            os._exit(5)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), interrupts.received)
"""


def test_a_forked_child_does_what_it_would_have_done_without_us() -> None:
    command = [sys.executable, "-c", FORKED]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told == f"{-TERM} None\n{-HUP} None\n5 None\n"


# In this process: what a forked child would do, for those who measure coverage.


def test_a_process_that_did_not_install_it_hands_the_signal_on(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The handler that came before is pytest's, or Python's own: Ctrl-C raises.
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(INT)
    assert interrupts.received is None


# What may block


def test_what_may_block_comes_once_nothing_is_held(interrupts: Interrupts) -> None:
    done: list[str] = []
    interrupts.afterwards(lambda: done.append("at once"))
    interrupts.begin_clean_up()
    with interrupts.hold():
        interrupts.afterwards(lambda: done.append("later"))
        interrupts.afterwards(lambda: int("no number"))
        interrupts.afterwards(lambda: done.append("last"))
    assert done == ["at once"]
    interrupts.end_clean_up()
    assert done == ["at once"]
    interrupts.catch_up()
    assert done == ["at once", "later", "last"]
    with interrupts.hold():
        with interrupts.hold():
            interrupts.afterwards(lambda: done.append("once"))
        assert "once" not in done
    assert done[-1] == "once"


def test_a_signal_comes_before_what_may_block(interrupts: Interrupts) -> None:
    done: list[str] = []

    def held() -> None:
        with interrupts.hold():
            interrupts.afterwards(lambda: done.append("once"))
            signal.raise_signal(INT)

    with pytest.raises(KeyboardInterrupt):
        held()
    # Nor does anything block on the way to its clean-up.
    interrupts.afterwards(lambda: done.append("more"))
    assert done == []
    interrupts.begin_clean_up()
    interrupts.end_clean_up()
    interrupts.catch_up()
    assert done == ["once", "more"]
