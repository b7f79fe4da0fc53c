"""G4: whatever ends a run, nothing is left; what can be caught ends it through its clean-up."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kill_tools import router, several_at_once, start_pytest, sweep, until

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
FOREVER = "time.sleep(60)"
NEVER_READY: dict[str, Any] = {"statuses": [[0, "queued"]]}
LATE_ROW: dict[str, Any] = {"row_after": 1.0}

IN_A_TEST = """
import pytest, time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    {what}

def test_b(smoke_instance):
    smoke_instance.chat("never, where the run is over")
"""
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


@dataclass(frozen=True)
class Case:
    """One way for a run to end: what it does, and what is done to it."""

    name: str
    text: str
    route: str = "provision"
    """The call after which the signals are sent."""
    signals: tuple[int, ...] = ()
    code: int | None = None
    """The exit code; None for any but 0."""
    arguments: tuple[str, ...] = ()
    scenario: dict[str, Any] = field(default_factory=dict)
    conftest: str = ""
    caught: bool = True
    """Whether the process can do anything about it."""


def cases() -> list[Case]:
    found: list[Case] = []
    signals = {"INT": (INT,), "INT, INT": (INT, INT), "TERM": (TERM,), "HUP": (HUP,)}
    timeouts = {"signal": True, "thread": False}
    for name, numbers in signals.items():
        code = 128 + numbers[0]
        text = IN_A_TEST.format(what=FOREVER)
        found += [
            Case(f"{name} in a test", text, "chat", numbers, code),
            Case(
                f"{name} in provisioning",
                IN_PROVISIONING,
                "provision",
                numbers,
                code,
                scenario=LATE_ROW,
            ),
        ]
    for method, caught in timeouts.items():
        arguments = ("--timeout", "2", "--timeout-method", method)
        text = IN_A_TEST.format(what=FOREVER)
        found += [
            Case(f"timeout by {method} in a test", text, arguments=arguments, caught=caught),
            Case(
                f"timeout by {method} in provisioning",
                IN_PROVISIONING,
                arguments=arguments,
                scenario=NEVER_READY,
                caught=caught,
            ),
        ]
    text = IN_A_TEST.format(what="pytest.exit('enough', returncode=7)")
    return [
        *found,
        Case("-x in a test", IN_A_TEST.format(what="assert False"), arguments=("-x",)),
        Case(
            "-x in provisioning",
            IN_PROVISIONING,
            arguments=("-x",),
            scenario={"statuses": [[0, "queued"], [0.2, "failed"]]},
        ),
        Case("set-up failure after provisioning", IN_A_SET_UP),
        Case(
            "set-up failure in provisioning",
            IN_PROVISIONING,
            scenario=NEVER_READY,
            arguments=("--hydra-smoke-ready-timeout", "1"),
        ),
        Case("pytest.exit in a test", text),
        Case("pytest.exit in provisioning", IN_PROVISIONING, conftest=EXIT_ONCE_READY),
    ]


JOBS = [(case, workers) for case in cases() for workers in (0, 2)]


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what was left before and after a sweep."""

    name: str
    fault: str
    leaked: int


def reported(folder: Path) -> object:
    """Return the exit code that a run's report has; None without one."""
    path = folder / ".hydrasmoke" / "report.json"
    return json.loads(path.read_text("utf-8"))["exit_code"] if path.exists() else None


def end_a_run(case: Case, workers: int, folder: Path) -> Ending:
    folder.mkdir()
    (folder / "conftest.py").write_text(case.conftest)
    alone = ("-n", str(workers)) if workers else ()
    name = f"{case.name}, -n {workers}"
    with router(**case.scenario) as at:
        run = start_pytest(at, folder, case.text, *alone, *case.arguments, name=name)
        if case.signals:
            assert until(lambda: at.seen(case.route) or run.process.poll() is not None)
            time.sleep(0.2)
            for number in case.signals:
                run.send(number)
                time.sleep(0.05)
        code = run.end()
        before, unproved = at.alive(), run.unproved
        swept, output = sweep(at, folder)
        after = at.alive()
    wrong: list[str] = []
    if code != case.code if case.code is not None else code == 0:
        wrong.append(f"exit code {code}")
    if (told := reported(folder)) != code and (case.caught or workers):
        wrong.append(f"exit code {told} in its report")
    # A worker that is killed is not the run: its controller cleans up.
    if (case.caught or workers) and (before or unproved):
        wrong.append(f"before the sweep: {before} {unproved}")
    if after or swept:
        wrong.append(f"after the sweep ({swept}): {after}\n{output}")
    fault = f"{name}: {'; '.join(wrong)}\n{run.output}" if wrong else ""
    return Ending(name, fault, len(after))


@pytest.mark.kill
def test_a_run_that_is_ended_early_leaves_nothing(tmp_path: Path) -> None:
    def work(index: int) -> Ending:
        return end_a_run(*JOBS[index], tmp_path / f"run-{index}")

    endings = several_at_once(work, range(len(JOBS)))
    faults = [ending.fault for ending in endings if ending.fault]
    leaked = sum(ending.leaked for ending in endings)
    print(f"G4: {len(endings)} ways to end, {len(faults)} not as they should, leaked {leaked}")
    assert not faults, "\n\n".join(faults)
