"""G17: a run whose output nobody takes any more deletes all the same, and ends."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from kill_tools import Router, judge, outcomes, prepared, router, several_at_once, until
from outputs import ENDINGS, started_as_job

pytestmark = pytest.mark.kill

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
BOUND = 10.0
"""Seconds from the signal to the last deletion, and to the end of a process whose reader is gone:
a runner kills after that. A reader that has stalled is waited for, and so are xdist's workers: for
5 s, once all is told, which end too late where a router that refuses has taken its 7 s."""

# What is captured is written once capturing ends, which is at Ctrl-C before anything else.
IN_A_TEST = """
import time

def test_a(smoke_instance):
    print("a line of the test's own")
    smoke_instance.chat("here")
    time.sleep(60)
"""
PROVISIONING = """
def test_a(smoke_instance):
    print("a line of the test's own")
"""
IN_A_WRITE = """
def test_a(smoke_instance):
    smoke_instance.chat("here")
    while True:
        print("a line of the test's own", flush=True)
"""
PASSES = """
def test_a(smoke_instance):
    smoke_instance.chat("here")

def test_b():
    import pathlib, time
    while not pathlib.Path("spoiled").exists():
        time.sleep(0.05)
"""
FULL_DISK = """
import os

def test_a(smoke_instance):
    smoke_instance.chat("here")
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    print("a line that finds no room")
"""
TEXTS = {"in a test": IN_A_TEST, "provisioning": PROVISIONING, "in a write": IN_A_WRITE}
OPTIONS = ("-q", "-qq", "-v", "-s", "-n 2")
LOGS = "-o log_cli=true --log-cli-level=DEBUG"


@dataclass(frozen=True)
class Case:
    """One way for a run to end while nobody takes what it writes."""

    ending: str
    where: str
    number: signal.Signals
    options: str
    leaks: bool = False
    """Whether the router refuses to delete anything."""

    def __str__(self) -> str:
        leaks = ", deletions refused" if self.leaks else ""
        return f"{self.ending}, {self.where}, {self.number.name}, {self.options}{leaks}"


def cases() -> list[Case]:
    found = [
        Case(ending, where, number, options)
        for ending in ENDINGS
        for where in ("in a test", "provisioning")
        for number in (INT, TERM, HUP)
        for options in OPTIONS
    ]
    # These only a run that captures nothing writes to while a test runs, and one that shows logs.
    more = (("in a write", "-s"), ("in a test", LOGS), ("provisioning", LOGS))
    return found + [
        Case(ending, where, number, options)
        for ending in ENDINGS
        for where, options in more
        for number in (INT, TERM, HUP)
    ]


def leaks() -> list[Case]:
    return [
        Case(ending, "in a test", INT, options, leaks=True)
        for ending in ENDINGS
        for options in ("-q", "-v", "-n 2")
    ]


@dataclass(frozen=True)
class Ended:
    """How a case went."""

    case: Case
    seconds: float
    """From the signal to the report of what was deleted, or to the end of the process."""
    fault: str


def end_a_run(at: Router, case: Case, folder: Path) -> Ended:
    """Run one case, and look what became of its instance."""
    run_id, text, options = folder.name, TEXTS[case.where], case.options.split()
    more = {"HYDRA_SMOKE_DELETE_TIMEOUT": "20", "TERM": "xterm"}
    command, _, env = prepared(at, folder, text, *options, HYDRA_SMOKE_RUN_ID=run_id, **more)
    command.remove("-q")
    route = "provision" if case.where == "provisioning" else "chat"
    with ENDINGS[case.ending](command, folder, env) as run:
        begun = until(lambda: at.has_come_to(route, run_id) or run.process.poll() is not None)
        # What it writes on the way to where it waits for the signal is written by then.
        time.sleep(0.3)
        run.spoil()
        time.sleep(0.1)
        sent = time.monotonic()
        run.send(case.number)
        expected = ["leaked" if case.leaks else "deleted"]
        until(lambda: outcomes(folder) == expected, BOUND)
        alive = at.alive(run_id)
        seconds = time.monotonic() - sent
        run.read_on()
        try:
            code = run.process.wait(60)
        except subprocess.TimeoutExpired:
            code = None
        if case.ending != "stalled" and not (case.leaks and case.options == "-n 2"):
            seconds = time.monotonic() - sent
    alive = sorted({*alive, *at.alive(run_id)})
    wrong: list[str] = []
    if not begun or not at.of(run_id):
        wrong.append("it never came to where it was to be ended")
    if code in (None, 0):
        wrong.append(f"exit code {code}")
    if bool(alive) != case.leaks:
        wrong.append(f"alive: {alive}")
    if outcomes(folder) != expected:
        wrong.append(f"report.json: {outcomes(folder)}")
    fault = f"{case}: {'; '.join(wrong)}" if wrong else ""
    return Ended(case, seconds, fault)


def end_them(at: Router, jobs: list[Case], folder: Path, workers: int = 4) -> list[Ended]:
    named = [(case, folder / f"run-{number}") for number, case in enumerate(jobs)]
    return several_at_once(lambda job: end_a_run(at, *job), named, workers)


def test_a_run_whose_output_nobody_takes_deletes_and_ends(tmp_path: Path) -> None:
    with router(row_after=1.0) as at:
        ended = end_them(at, cases(), tmp_path)
    judge("G17: endings without a reader", [it.fault for it in ended])
    assert max(it.seconds for it in ended) <= BOUND


def test_its_leaks_are_in_its_report(tmp_path: Path) -> None:
    with router() as at:
        at.fail("delete", 500, 10_000)
        # 7 s for the router leave little for what else the machine does.
        ended = end_them(at, leaks(), tmp_path, workers=2)
    judge("G17: of them at a router that deletes nothing", [it.fault for it in ended])
    assert max(it.seconds for it in ended) <= BOUND


@pytest.mark.parametrize("options", [(), ("-v",), ("-n", "2")], ids=" ".join)
def test_a_reader_that_goes_is_no_reason_to_leave_anything(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    # Without any signal: pytest's own reporter fails, in the middle of the run or at its end.
    with router() as at:
        with ENDINGS["gone"](*prepared(at, tmp_path, PASSES, *options)) as run:
            assert until(lambda: at.seen("chat"))
            run.spoil()
            (tmp_path / "spoiled").touch()
            code = run.process.wait(60)
        assert at.alive() == []
    assert code != 0
    assert outcomes(tmp_path) == ["deleted"]


def test_a_job_in_the_background_deletes_before_its_terminal_stops_it(tmp_path: Path) -> None:
    # `stty tostop`: whatever it writes first, it would stop there, signal or not.
    with router() as at:
        given = prepared(at, tmp_path, IN_A_TEST, "-v", TERM="xterm")
        with started_as_job(*given) as job:
            assert until(lambda: at.seen("chat"))
            job.terminate()
            assert until(lambda: not at.alive())
            assert until(lambda: outcomes(tmp_path) == ["deleted"])
            assert job.bring_back() == 128 + TERM


@pytest.mark.parametrize("options", ["-q", "-s"])
def test_a_full_disk_is_no_reason_to_leave_anything(tmp_path: Path, options: str) -> None:
    with router() as at, (tmp_path / "log").open("wb") as log:
        command, folder, env = prepared(at, tmp_path, FULL_DISK, options)
        run = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        code = run.wait(60)
        assert at.alive() == []
    # Captured, it is the test's own affair: pytest's output goes somewhere else.
    assert (code == 0) == (options == "-q")
    assert outcomes(tmp_path) == ["deleted"]
