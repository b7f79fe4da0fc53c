"""G5: a runner cancels the job, and its `always()` step sweeps, though pytest may still live."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from kill_tools import (
    Router,
    judge,
    prepared,
    router,
    several_at_once,
    start,
    sweep,
    until,
)

TO_TERM, TO_KILL = 7.5, 2.5
"""Seconds from SIGINT to SIGTERM, and from there to SIGKILL."""

SLEEPS = """
import time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    time.sleep(60)
"""
GOES_ON = """
import time

def test_a(smoke_instance_factory):
    instance = smoke_instance_factory()
    for number in range(200):
        instance.chat("still here")
        time.sleep(0.2)

def test_b(smoke_instance_factory):
    smoke_instance_factory(tier_id="another")
"""
SWALLOWS = """
import time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""


@dataclass(frozen=True)
class Job:
    """A job: how its step starts pytest, what the test does, and what is cancelled when."""

    shell: str
    test: str
    route: str
    run_id: str


def command_of(shell: str, command: list[str]) -> list[str]:
    line = shlex.join(command)
    lines = {"plain": f"{line}\necho over", "exec": f"exec {line}", "sh -c": f"{line}; echo over"}
    return [*(["sh"] if shell == "sh -c" else ["bash", "-e"]), "-c", lines[shell]]


def cancel(at: Router, job: Job, folder: Path) -> str:
    """Cancel one job; return what went wrong."""
    command, _, env = prepared(at, folder, job.test, HYDRA_SMOKE_RUN_ID=job.run_id)
    run = start(command_of(job.shell, command), folder, env)
    assert until(lambda: at.has_come_to(job.route, job.run_id))
    for number, seconds in ((signal.SIGINT, TO_TERM), (signal.SIGTERM, TO_KILL)):
        run.send(number)
        until(lambda: run.process.poll() is not None, seconds)
    run.send(signal.SIGKILL)
    run.process.wait()
    code, output = sweep(at, folder, "--run-id", job.run_id, wait=2.0)
    alive = at.alive(job.run_id)
    # What still lives now is what the runner's own clean-up would end: the rest of the group.
    time.sleep(1)
    late = at.alive(job.run_id)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.process.pid, signal.SIGKILL)
    run.end()
    wrong = code or alive or late
    return f"{job}: {code} {alive} {late}\n{output}\n{run.output}" if wrong else ""


JOBS = [
    Job(shell, test, route, f"job-{number}")
    for number, (shell, test, route) in enumerate(
        (shell, test, route)
        for shell in ("plain", "exec", "sh -c")
        for test in (SLEEPS, GOES_ON, SWALLOWS)
        for route in ("chat", "provision")
    )
]


@pytest.mark.kill
def test_a_cancelled_job_leaves_nothing_after_its_sweep(tmp_path: Path) -> None:
    with router() as at:
        faults = several_at_once(lambda job: cancel(at, job, tmp_path / job.run_id), JOBS, 6)
        alive = at.alive()
    judge("G5: jobs cancelled", faults)
    assert not alive
