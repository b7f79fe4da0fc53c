"""The resident handler: what the first signal does, what later ones do, and who is let alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, SimpleNamespace

import pytest
from handlers import as_in_a_terminal

from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._base.signals import Interrupts

INT, TERM, HUP = ALL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


class HandTime(SimpleNamespace):
    """Time that a test moves by hand, in the place of `clock`."""

    time = 100.0

    def now(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> HandTime:
    monkeypatch.setattr(signals, "clock", clock := HandTime())
    return clock


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in ALL]


@contextmanager
def installed(told: list[int] | None = None, **old: object) -> Iterator[Interrupts]:
    """Install it where a command of a terminal has these handlers, by their names' ends."""
    with as_in_a_terminal():
        for name, handler in old.items():
            signal.signal(getattr(signal, f"SIG{name}"), handler)  # type: ignore[arg-type]
        interrupts = Interrupts([].append if told is None else told.append)
        interrupts.install()
        yield interrupts
        interrupts.restore()


def interrupted(number: signal.Signals = INT) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


STORIES = {
    "the first interrupts, and later ones wait": "INT! INT TERM HUP INT",
    "any may be the first": "TERM! INT TERM HUP",
    "another may, too": "HUP! INT TERM HUP",
    "what is held is finished first": "hold release hold hold INT release TERM release!",
    "clean-up has its time, and again as it begins": "by:inf INT! by:103 +5 TERM by:103 "
    "begin_clean_up by:108 answered by:112",
    "no signal breaks clean-up off": "begin_clean_up hold INT release TERM by:103 "
    # The run is ending already: nothing is left to be interrupted.
    "end_clean_up hold release",
    "where the first got none going, a later one counts again": "INT! +5 INT +1 hold INT release "
    "TERM! begin_clean_up +6 INT",
    "counted from where clean-up began": "INT! +4 begin_clean_up end_clean_up +2 INT +4 TERM!",
    "a run that one ended takes more while its process ends": "INT! leave +2 INT TERM HUP exit "
    "ignores INT TERM HUP came:0",
    "a process that outlives its run has its old handlers": "INT! leave +2.1 TERM came:1 INT! exit "
    "TERM came:2",
    "what may block comes once nothing is held": "work:a did:a begin_clean_up hold work:b fail "
    "work:c release did:a end_clean_up did:a catch_up did:abc "
    "hold hold work:d release did:abc release did:abcd",
    "a signal comes before what may block, and its clean-up too": "hold work:a INT release! "
    "work:b did: begin_clean_up end_clean_up catch_up did:ab",
}
"""Signals, `!` where one interrupts; steps of the run, seconds, and what is to be seen then."""


@pytest.mark.parametrize("story", STORIES)
def test_a_story_of_signals(story: str, clock: HandTime, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    came: list[int] = []
    done: list[str] = []
    at_exit: list[Callable[[], object]] = []
    held: list[AbstractContextManager[None]] = []

    def take(step: str) -> None:
        verb, _, what = step.partition(":")
        if verb in ("INT", "TERM", "HUP"):
            signal.raise_signal(getattr(signal, f"SIG{verb}"))
        elif verb == "hold":
            held.append(interrupts.hold())
            held[-1].__enter__()
        elif verb == "release":
            held.pop().__exit__(None, None, None)
        elif verb in ("work", "fail"):
            interrupts.afterwards(lambda: done.append(what) if what else int("no number"))
        elif verb == "did":
            assert "".join(done) == what
        elif verb == "by":
            assert interrupts.deadline() == float(what)
        elif verb == "came":
            assert len(came) == int(what)
        elif verb == "exit":
            at_exit.pop()()
        elif verb == "ignores":
            assert handlers() == [signal.SIG_IGN] * 3
        elif verb.startswith("+"):
            clock.time += float(verb)
        else:
            getattr(interrupts, verb)()

    monkeypatch.setattr("atexit.register", at_exit.append)
    with installed(told, TERM=lambda number, frame: came.append(number)) as interrupts:
        for step in STORIES[story].split():
            if step.endswith("!"):
                with pytest.raises(KeyboardInterrupt):
                    take(step[:-1])
            else:
                take(step)
        first = re.search(r"INT|TERM|HUP", STORIES[story])
        number = None if first is None else getattr(signal, f"SIG{first[0]}")
        assert interrupts.received == number
        assert told == ([] if number is None else [number])


# Whose handler comes before, and after


def test_the_old_handler_of_ctrl_c_is_called_and_a_newer_one_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[int] = []

    def old(number: int, frame: FrameType | None) -> None:
        called.append(number)

    def newer(number: int, frame: FrameType | None) -> None: ...

    with installed(INT=old, TERM=old, HUP=old) as interrupts:
        assert old not in handlers()
        interrupted(TERM)
        assert called == [INT]
        for _ in range(2):
            interrupts.restore()
            assert handlers() == [old] * 3
    with installed() as interrupts:
        signal.signal(TERM, newer)
        interrupts.leave()
        assert handlers()[:2] == [signal.default_int_handler, newer]
    # A system without it has one signal less.
    monkeypatch.delattr(signal, "SIGHUP")
    interrupts = Interrupts()
    before = handlers()
    interrupts.install()
    assert [it == was for it, was in zip(handlers(), before, strict=True)] == [False, False, True]
    interrupts.restore()


@pytest.mark.parametrize("ignored", ["HUP", "INT"])
def test_ignored_signals_stay_ignored_and_others_interrupt_all_the_same(ignored: str) -> None:
    with installed(**{ignored: signal.SIG_IGN}) as interrupts:
        signal.raise_signal(getattr(signal, f"SIG{ignored}"))
        assert interrupts.received is None
        interrupted(TERM)


# Threads and processes that are not the run


def test_a_test_that_goes_on_beyond_the_runs_deadline_leaves_time_to_delete(
    clock: HandTime,
) -> None:
    clock.wait = lambda attempt, seconds: False  # It has passed.

    def ends(interrupts: Interrupts) -> None:
        interrupts.end_run_at(clock.time, "too late", clock.time + 20)
        threading.Event().wait(10)

    with installed() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            ends(interrupts)
        assert (interrupts.why, interrupts.deadline()) == ("too late", clock.time + 20)
        clock.time += 30
        interrupts.begin_clean_up()
        assert interrupts.deadline() == clock.time + 3


def test_a_run_that_is_over_just_before_its_deadline_is_not_ended_by_it(
    clock: HandTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.wait = lambda attempt, seconds: False
    sends, ends, sent, kill = (*(threading.Event() for _ in range(3)), os.kill)

    def late(pid: int, number: int) -> None:
        sends.set()
        ends.wait(10)
        kill(pid, number)
        sent.set()

    monkeypatch.setattr(signals.os, "kill", late)
    with installed() as interrupts:
        before = handlers()
        interrupts.end_run_at(clock.time, "too late", clock.time + 20)
        assert sends.wait(10)
        threading.Timer(0.1, ends.set).start()
        interrupts.leave()
        assert sent.wait(10)
        assert handlers() != before
        assert interrupts.received is None


def test_a_thread_takes_no_signals_over_and_holds_nothing() -> None:
    def run(interrupts: Interrupts) -> None:
        Interrupts().install()
        with interrupts.hold():
            holding.set()
            let_go.wait(10)

    holding, let_go = threading.Event(), threading.Event()
    with installed() as interrupts:
        before = handlers()
        thread = threading.Thread(target=run, args=(interrupts,))
        thread.start()
        assert holding.wait(10)
        assert handlers() == before
        interrupted()
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
    # In this process, too, for those who measure coverage: Ctrl-C raises, or is whose it was.
    called: list[int] = []
    with installed() as interrupts:
        interrupts._generation = -1
        interrupted()
        assert interrupts.received is None
    with installed(INT=lambda number, frame: called.append(number)) as interrupts:
        interrupts._generation = -1
        signal.raise_signal(INT)
        assert (called, interrupts.received) == ([INT], None)
