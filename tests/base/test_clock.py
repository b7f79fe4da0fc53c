"""The clock that nothing freezes, the thread that goes by it, and that nobody else reads one."""

from __future__ import annotations

import importlib.util
import re
import threading
from pathlib import Path

import pytest
from freezegun import freeze_time
from time_machine import travel

import pytest_hydrasmoke
from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.threads import Once, Ticker

PACKAGE = Path(pytest_hydrasmoke.__file__).parent


class Machine:
    """A machine whose two clocks a test moves by hand."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.clock = self.ticks = 1000.0
        patch.setattr(clock, "_monotonic", lambda: self.clock)
        patch.setattr(clock, "_ticks", lambda: self.ticks)
        patch.setattr(clock, "_block", self.passes)
        for name, value in {
            "_last": 1000.0,
            "_until": 1000.0 + clock.INTERVAL,
            "_moved": 0.0,
            "_compared": (1000.0, 1000.0, 0.0),
        }.items():
            patch.setattr(clock, name, value)

    @property
    def now(self) -> float:
        return float(clock.now())

    def passes(self, seconds: float, *, seen: bool = True) -> None:
        """Let time pass for both, or unseen: only the ticks tell of it."""
        self.clock += seconds if seen else 0.0
        self.ticks += seconds


def test_a_clock_is_taken_at_its_word_unless_its_ticks_tell_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    for seconds in (0.0001, 0.02, 0.3, 0.0, 5.0, 3600.0):
        machine.passes(seconds)
        assert machine.now == machine.clock
    for _ in range(100):
        machine.passes(0.1)
        machine.clock += 0.009
        assert machine.now == machine.clock
    # It stands still.
    machine = Machine(monkeypatch)
    began = machine.now
    for number in range(1, 501):
        machine.passes(0.01, seen=False)
        assert machine.now == pytest.approx(began + number * 0.01, abs=0.06)
    # It is set.
    for jump in (1e9, -1e9, 0.5, -0.5):
        machine = Machine(monkeypatch)
        began = machine.now
        machine.passes(0.05)
        machine.clock += jump
        assert machine.now == pytest.approx(began + 0.05, abs=0.06)
        machine.passes(10.0)
        assert machine.now == pytest.approx(began + 10.05, abs=0.06)
        machine.clock -= jump
        machine.passes(10.0)
        assert machine.now == pytest.approx(began + 20.05, abs=0.12)


def test_a_process_that_is_held_up_in_a_comparison_still_has_its_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    machine.passes(0.2)
    held_up = iter([0.08, 0.08])

    def ticks() -> float:
        machine.passes(next(held_up, 0.0))  # Others had the processor, after the clock was read.
        return machine.ticks

    monkeypatch.setattr(clock, "_ticks", ticks)
    for _ in range(20):
        assert machine.now == machine.clock
        machine.passes(0.01)


def test_a_comparison_in_another_thread_meanwhile_moves_no_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    machine.passes(0.2)
    others = iter([True])

    def read() -> float:
        reading = machine.clock
        if next(others, False):
            machine.passes(0.08)
            assert machine.now == machine.clock
        return reading

    monkeypatch.setattr(clock, "_monotonic", read)
    assert 1000.2 <= machine.now <= machine.clock
    for _ in range(20):
        machine.passes(0.01)
        assert machine.now == machine.clock


def test_a_pause_takes_what_it_takes_and_a_wait_that_takes_no_time_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        machine = Machine(patch)
        clock.pause(2.0)
        assert machine.ticks == pytest.approx(1002.0)
        left: list[float] = []
        assert not clock.wait(left.append, 1.0)
        assert machine.ticks == pytest.approx(1003.0, abs=0.06)
        assert left[0] == 1.0
        assert 10 < len(left) < 100
        assert left == sorted(left, reverse=True)
    # A wait ends with what it waits for.
    event = threading.Event()
    threading.Timer(0.01, event.set).start()
    assert clock.wait(event.wait, 60)
    assert clock.wait(event.wait, -1)


@pytest.mark.parametrize("kind", ["freezegun", "time-machine"])
def test_frozen_time_goes_on_here(kind: str) -> None:
    spec = clock.__spec__
    assert spec is not None
    assert spec.loader is not None
    with freeze_time("2020-01-01") if kind == "freezegun" else travel(0, tick=False):
        # The module once more, as of a plugin that is loaded late.
        late = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(late)
        for one in (clock, late):
            began = one.now()
            one.pause(0.1)
            assert 0.1 <= one.now() - began < 5
            assert not one.wait(threading.Event().wait, 0.01)
            began = one.now()
    # Frozen times are dates: seconds since 1970 have a grain of some tenths of a microsecond.
    assert -0.000_01 < one.now() - began < 5


READS = re.compile(
    r"""
    (?<!`)\btime\.(monotonic|perf_counter|sleep|clock_gettime) | \bfrom\ time\ import
    | \banyio\.(move_on_after|fail_after|current_time) | \basyncio\.(wait_for|timeout)
    | (?<!anyio\.)\bSemaphore\( | \.acquire\(timeout | (?<!["'])\.join\([A-Z]+\)
    | \b(?!clock|real|asyncio|futures|_handle)\w+\.wait\([^)]
    """,
    re.VERBOSE,
)
READERS = {"_base/clock.py", "_base/threads.py"}
"""The clock, and what `clock.wait` attempts."""
NO_THREAD = "self._scope.deadline = anyio.current_time() + self.at - clock.now()"
"""Where no thread of ours can wait, a loop's own timer has to do."""
SLEEPS = re.compile(r"\b(anyio|asyncio)\.sleep\(")
"""In the fake it is right: its server's loop has the fake's time."""


def test_nobody_else_reads_a_clock_or_waits_by_one() -> None:
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            wrong = READS.search(line) or (SLEEPS.search(line) and not name.startswith("fake/"))
            if wrong and name not in READERS and line.strip() != NO_THREAD:
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found


def test_a_wait_that_was_interrupted_holds_up_no_other() -> None:
    once = Once()
    assert not once.wait(0.0)
    assert not once.is_set()
    once.set()
    once._lock.acquire()  # As an interrupt leaves it that comes between two steps of a wait.
    assert once.wait(0.0)
    assert once.is_set()


def test_a_ticker_may_be_stopped_before_its_thread_has_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks: list[int] = []
    ticker = Ticker(lambda: ticks.append(1))
    start = threading.Thread.start

    def start_late(thread: threading.Thread) -> None:
        ticker.stop()  # By the end of the run, while a test's thread begins to provision.
        start(thread)
        thread.join()

    monkeypatch.setattr(threading.Thread, "start", start_late)
    ticker.start(0.0)
    assert not ticks
