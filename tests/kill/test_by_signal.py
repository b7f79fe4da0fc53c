"""Whatever ends a run, nothing is left; what can be caught ends it through its clean-up.

That is so of signals in a test, in provisioning and in a deletion (G4, G7), and of what happens in
each state of a run's end: signals, a user's hook that raises, a worker that dies in it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kill_tools import (
    Router,
    judge,
    outcomes,
    report_of,
    router,
    several_at_once,
    start_pytest,
    sweep,
)
from sizes import sizes

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
SIGNALS = {"INT": (INT,), "INT, INT": (INT, INT), "TERM": (TERM,), "HUP": (HUP,)}
THREE = (INT, INT, TERM)
NEVER_READY: dict[str, Any] = {"statuses": [[0, "queued"]]}
AT_ONCE: dict[str, Any] = {"row_after": 0.0, "statuses": [[0, "running"]]}

IN_A_TEST = """
import pytest, time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    {what}

def test_b(smoke_instance):
    smoke_instance.chat("never, where the run is over")
"""
SLEEPS = IN_A_TEST.format(what="time.sleep(60)")
IN_A_SET_UP = """
import pytest

@pytest.fixture
def broken(smoke_instance):
    raise LookupError("broken")

def test_a(smoke_instance):
    smoke_instance.chat("here")

def test_b(broken):
    pass
"""
IN_PROVISIONING = """
def test_a(smoke_instance):
    pass

def test_b(smoke_instance_factory):
    smoke_instance_factory(tier_id="other")
"""
EXIT_ONCE_READY = """
import pytest

def pytest_hydra_smoke_instance_ready(instance):
    pytest.exit("enough", returncode=7)
"""
LEAVES_ONE = """
import time

def test_a(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        instance.chat("here")
    time.sleep(60)
"""
SEVERAL = """
def test_a(smoke_instance_factory):
    for instance in smoke_instance_factory.many(3):
        instance.chat("here")
"""
STATES = """
import os, time
from pathlib import Path

import pytest

WHERE, HOW, MET = os.environ["WHERE"], os.environ["HOW"], Path("met")

def meet(where):
    worker = "PYTEST_XDIST_WORKER" in os.environ
    others = where not in ("test", "teardown") and worker != (HOW == "dies")
    if where != WHERE or others or MET.exists():
        return
    MET.touch()
    if HOW == "dies":
        os._exit(9)
    if HOW == "raises":
        raise ZeroDivisionError("my own")
    time.sleep(1)

def pytest_sessionfinish():
    meet("session's end")

def pytest_hydra_smoke_report():
    meet("report")

def pytest_terminal_summary():
    meet("summary")

def pytest_unconfigure():
    meet("unconfigure")

@pytest.fixture
def guest(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        yield instance
    meet("teardown")
"""
MEETS = """
from conftest import meet

def test_one(smoke_instance, guest):
    smoke_instance.chat("hello")
    guest.chat("hello")
    meet("test")

def test_two(smoke_instance):
    smoke_instance.chat("and now?")
"""
OF_HOOKS = ("test", "teardown", "session's end", "report", "summary", "unconfigure")
DELETES = {"first delete": 1, "later deletes": 3}

When = Callable[[Router, Path], object]


def after(route: str, times: int = 1) -> When:
    return lambda at, folder: len(at.requests(route)) >= times


def met(at: Router, folder: Path) -> bool:
    return (folder / "met").exists()


def deleting(at: Router, folder: Path) -> bool:
    return at.deletions_begun > 0


@dataclass(frozen=True)
class Case:
    """One way for a run to end: what it does, and what is done to it."""

    name: str
    text: str
    steps: tuple[tuple[When, tuple[int, ...]], ...] = ()
    """When which signals are sent."""
    code: int | None = None
    """The exit code; None for any but 0, and for any where a state is met."""
    arguments: tuple[str, ...] = ()
    scenario: dict[str, Any] = field(default_factory=dict)
    conftest: str = ""
    env: dict[str, str] = field(default_factory=dict)
    takes: float = 0.0
    """Seconds that each deletion takes."""
    refused: int = 0
    """How many deletions are refused at first."""
    caught: bool = True
    """Whether the process can do anything about it."""


def signalled() -> Iterator[Case]:
    for name, numbers in SIGNALS.items():
        for where, text, route, more in (
            ("a test", SLEEPS, "chat", {}),
            ("provisioning", IN_PROVISIONING, "provision", {"scenario": {"row_after": 1.0}}),
        ):
            steps = ((after(route), numbers),)
            yield Case(f"{name} in {where}", text, steps, 128 + numbers[0], **more)
    for method, caught in {"signal": True, "thread": False}.items():
        limit = {"arguments": ("--timeout", "2", "--timeout-method", method), "caught": caught}
        yield Case(f"timeout by {method} in a test", SLEEPS, **limit)
        name = f"timeout by {method} in provisioning"
        yield Case(name, IN_PROVISIONING, scenario=NEVER_READY, **limit)


def stopped() -> Iterator[Case]:
    for what, stop in {"-x": "assert False", "pytest.exit": "pytest.exit('enough', 7)"}.items():
        yield Case(f"{what} in a test", IN_A_TEST.format(what=stop), arguments=("-x",))
    failed = {"statuses": [[0, "queued"], [0.2, "failed"]]}
    yield Case("-x in provisioning", IN_PROVISIONING, arguments=("-x",), scenario=failed)
    yield Case("pytest.exit in provisioning", IN_PROVISIONING, conftest=EXIT_ONCE_READY)
    yield Case("set-up failure after provisioning", IN_A_SET_UP)
    patience = ("--hydra-smoke-ready-timeout", "1")
    name = "set-up failure in provisioning"
    yield Case(name, IN_PROVISIONING, scenario=NEVER_READY, arguments=patience)


def in_a_deletion() -> Iterator[Case]:
    step = (deleting, THREE)
    slow = {"scenario": AT_ONCE, "takes": 2.0, "code": 128 + INT}
    yield Case("deleting at the end", SLEEPS.replace("time.sleep(60)", "..."), (step,), **slow)
    yield Case("deleting in a test", LEAVES_ONE, (step,), **slow)
    yield Case("deleting after Ctrl-C", SLEEPS, ((after("chat"), (INT,)), step), **slow)
    yield Case("deleting several", SEVERAL, (step,), **slow)


def in_a_state(where: str, how: str, numbers: tuple[int, ...] = ()) -> Case:
    when = after("delete", DELETES[where]) if where in DELETES else met
    return Case(
        f"{how} at {where}",
        MEETS,
        ((when, numbers),) if numbers else (),
        128 + numbers[0] if numbers else None,
        conftest=STATES,
        env={"WHERE": where, "HOW": how, "HYDRA_SMOKE_DELETE_TIMEOUT": "10"},
        refused=6 if where in DELETES else 0,
    )


def jobs() -> Iterator[tuple[Case, int]]:
    """Yield each case, and the number of workers."""
    yield from ((case, workers) for case in (*signalled(), *stopped()) for workers in (0, 2))
    yield from ((case, 0) for case in in_a_deletion() for _ in range(3))
    for where in (*OF_HOOKS, *DELETES):
        for how, numbers in {"INT": (INT,), "INT, INT, TERM": THREE, "TERM": (TERM,)}.items():
            yield from ((in_a_state(where, how, numbers), workers) for workers in (0, 1))
    yield from ((in_a_state(where, "raises"), workers) for where in OF_HOOKS for workers in (0, 1))
    yield from ((in_a_state(where, "dies"), 1) for where in OF_HOOKS[:3])


def end_a_run(case: Case, workers: int, folder: Path) -> str:
    """Run a case, and sweep what it left; return what was not as it should be."""
    folder.mkdir()
    (folder / "conftest.py").write_text(case.conftest)
    more = ("-n", str(workers)) if workers else ()
    name = f"{case.name}, -n {workers}"
    with router(case.takes, **case.scenario) as at:
        if case.refused:
            at.fail("delete", 503, case.refused)
        run = start_pytest(at, folder, case.text, *more, *case.arguments, name=name, **case.env)
        for when, numbers in case.steps:
            assert run.comes_to(lambda ready=when: ready(at, folder))
            time.sleep(0.0 if case.refused else 0.2)
            for number in numbers:
                run.send(number)
                time.sleep(0.05)
        code = run.end()
        before, unproved, count = at.alive(), run.unproved, len(at.instances)
        swept, output = sweep(at, folder)
        left = at.alive()
    wrong: list[str] = []
    if code != case.code if case.code is not None else (code == 0 and not case.env):
        wrong.append(f"exit code {code}")
    exit_code = report_of(folder)["exit_code"]
    # A worker that is killed is not the run: its controller cleans up.
    if (case.caught or workers) and (before or unproved or exit_code != code):
        wrong.append(f"before the sweep: {before} {unproved}, reported {exit_code}")
    if case.env and outcomes(folder) != ["deleted"] * count:
        wrong.append(f"reported {outcomes(folder)}")
    if case.env and case.env["WHERE"] in OF_HOOKS and not met(at, folder):
        wrong.append("its state was not met")
    if left or swept:
        wrong.append(f"after the sweep ({swept}): {left}\n{output}")
    return f"{name}: {'; '.join(wrong)}\n{run.output}" if wrong else ""


IN_A_DELETION = [(in_a_state("first delete", "INT, INT, TERM", THREE), 0)]


@pytest.mark.parametrize("chosen", sizes("kill", IN_A_DELETION, [*jobs()]))
def test_a_run_that_is_ended_early_leaves_nothing(
    tmp_path: Path, chosen: list[tuple[Case, int]]
) -> None:
    numbered = [(*job, tmp_path / f"run-{number}") for number, job in enumerate(chosen)]
    judge("G4: ways to end", several_at_once(lambda job: end_a_run(*job), numbered))
