"""The clock that nothing freezes; and that nobody else reads one."""

from __future__ import annotations

import ast
import importlib.util
import re
import threading
from pathlib import Path
from types import ModuleType

import pytest
from freezegun import freeze_time
from time_machine import travel

import pytest_hydrasmoke
from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke.fake import real_time

PACKAGE = Path(pytest_hydrasmoke.__file__).parent
CLOCKS = {"_base/clock.py", "fake/real_time.py"}
BOTH = pytest.mark.parametrize("module", [clock, real_time], ids=["client", "fake"])


class Machine:
    """A machine whose two clocks a test moves by hand."""

    def __init__(self, module: ModuleType, patch: pytest.MonkeyPatch) -> None:
        self.clock = self.ticks = 1000.0
        self._module = module
        patch.setattr(module, "_monotonic", lambda: self.clock)
        patch.setattr(module, "_ticks", lambda: self.ticks)
        patch.setattr(module, "_block", self.passes)
        for name, value in {
            "_last": 1000.0,
            "_until": 1000.0 + module.INTERVAL,
            "_moved": 0.0,
            "_compared": (1000.0, 1000.0, 0.0),
        }.items():
            patch.setattr(module, name, value)

    @property
    def now(self) -> float:
        return float(self._module.now())

    def passes(self, seconds: float) -> None:
        """Let time pass for both."""
        self.clock += seconds
        self.ticks += seconds

    def passes_unseen(self, seconds: float) -> None:
        """Let time pass, of which only the ticks tell."""
        self.ticks += seconds


@pytest.fixture
def machine(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(module, monkeypatch)


def another(module: ModuleType) -> ModuleType:
    """Load the module once more, as a plugin that is loaded late does."""
    spec = module.__spec__
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


@BOTH
def test_a_right_clock_is_taken_at_its_word(machine: Machine) -> None:
    for seconds in (0.0001, 0.02, 0.3, 0.0, 5.0, 3600.0):
        machine.passes(seconds)
        assert machine.now == machine.clock


@BOTH
def test_a_clock_may_differ_from_its_ticks_by_less_than_a_few(machine: Machine) -> None:
    for _ in range(100):
        machine.clock += 0.109
        machine.ticks += 0.1
        assert machine.now == machine.clock


@BOTH
def test_a_clock_that_stands_still_does_not_stop_the_time(machine: Machine) -> None:
    began = machine.now
    for number in range(1, 501):
        machine.passes_unseen(0.01)
        assert machine.now == pytest.approx(began + number * 0.01, abs=0.06)


@BOTH
@pytest.mark.parametrize("jump", [1e9, -1e9, 0.5, -0.5])
def test_a_clock_that_is_set_does_not_move_the_time(machine: Machine, jump: float) -> None:
    began = machine.now
    machine.passes(0.05)
    machine.clock += jump
    assert machine.now == pytest.approx(began + 0.05, abs=0.06)
    machine.passes(10.0)
    assert machine.now == pytest.approx(began + 10.05, abs=0.06)
    machine.clock -= jump
    machine.passes(10.0)
    assert machine.now == pytest.approx(began + 20.05, abs=0.12)


@BOTH
def test_a_pause_takes_what_it_takes(machine: Machine) -> None:
    began = machine.ticks
    machine._module.pause(2.0)
    assert machine.ticks - began == pytest.approx(2.0)


@BOTH
def test_a_wait_that_takes_no_time_is_repeated(machine: Machine, module: ModuleType) -> None:
    left: list[float] = []
    began = machine.ticks
    assert not module.wait(left.append, 1.0)
    assert machine.ticks - began == pytest.approx(1.0, abs=0.06)
    assert left[0] == 1.0
    assert 10 < len(left) < 100
    assert left == sorted(left, reverse=True)


@BOTH
def test_a_wait_ends_with_what_it_waits_for(module: ModuleType) -> None:
    event = threading.Event()
    threading.Timer(0.01, event.set).start()
    assert module.wait(event.wait, 60)
    assert module.wait(event.wait, -1)


@BOTH
@pytest.mark.parametrize("kind", ["freezegun", "time-machine"])
def test_frozen_time_goes_on_here(module: ModuleType, kind: str) -> None:
    with freeze_time("2020-01-01") if kind == "freezegun" else travel(0, tick=False):
        for one in (module, another(module)):
            began = one.now()
            one.pause(0.1)
            assert 0.1 <= one.now() - began < 5
            assert not one.wait(threading.Event().wait, 0.01)
            began = one.now()
    # Frozen times are dates: seconds since 1970 have a grain of some tenths of a microsecond.
    assert -0.000_01 < one.now() - began < 5


def code_of(module: ModuleType) -> str:
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    return ast.unparse(tree.body[1:])


def test_the_fake_has_the_same_clock() -> None:
    assert code_of(real_time) == code_of(clock)


READS = re.compile(
    r"""
    (?<!`)\btime\.(monotonic|perf_counter|sleep|clock_gettime) | \bfrom\ time\ import
    | \banyio\.(move_on_after|fail_after|current_time) | \basyncio\.(wait_for|timeout)
    | (?<!anyio\.)\bSemaphore\( | \.acquire\(timeout | (?<!["'])\.join\([A-Z]+\)
    | \b(?!clock|real|asyncio|futures|_handle)\w+\.wait\([^)]
    """,
    re.VERBOSE,
)
WAITED_FOR = {"_transport/beginning.py"}
"""What `clock.wait` attempts."""
SLEEPS = re.compile(r"\b(anyio|asyncio)\.sleep\(")
"""In the fake it is right: its server's loop has the fake's time."""


def test_nobody_else_reads_a_clock_or_waits_by_one() -> None:
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            wrong = READS.search(line) or (SLEEPS.search(line) and not name.startswith("fake/"))
            if wrong and name not in CLOCKS | WAITED_FOR:
                found.append(f"{name}:{number}: {line.strip()}")
    assert not found
