"""G2: kill -9 at every step of provision and delete, and a sweep at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from kill_tools import (
    HERE,
    Router,
    Run,
    open_entries,
    router,
    several_at_once,
    start,
    sweep_to_the_end,
)

TIMES = 8
"""How often a run is killed at each checkpoint."""
HALF_WRITTEN = 20
"""The checkpoint at which the line of an accepted request is half written."""


def start_at(at: Router, folder: Path, checkpoint: int) -> Run:
    log = folder / "checkpoints.txt"
    command = [sys.executable, HERE / "checkpoints.py", HERE / "run_of_session.py", "0"]
    env = at.environment(HYDRA_KILL_AT=str(checkpoint), HYDRA_KILL_LOG=str(log))
    return start(command, folder, env)


def checkpoints(folder: Path) -> list[str]:
    return (folder / "checkpoints.txt").read_text().splitlines()


def kill_and_sweep(at: Router, folder: Path, checkpoint: int) -> tuple[str, int]:
    """Return what went wrong, and the exit code of the run."""
    run = start_at(at, folder, checkpoint)
    code = run.end()
    last = checkpoints(folder)[-1]
    # What a half-written line was to say, nobody can know: the sweep says that.
    half = code == -9 and last.endswith(": half")
    folder.joinpath(".hydrasmoke/runs").mkdir(parents=True, exist_ok=True)
    swept, output = sweep_to_the_end(at, folder)
    left = open_entries(folder)
    good = swept == half and ("can't be read" in output) == half and not left
    return "" if good else f"{last}, left: {left}\n{run.output}\n{output}", code


def test_a_run_killed_within_a_line_of_its_ledger_leaks_nothing(tmp_path: Path) -> None:
    with router() as at:
        fault, code = kill_and_sweep(at, tmp_path / "run", HALF_WRITTEN)
        alive = at.alive()
    assert checkpoints(tmp_path / "run")[-1] == f"{HALF_WRITTEN} note accepted: half"
    assert not fault
    assert (code, alive) == (-9, [])


@pytest.mark.kill
def test_a_run_killed_at_any_checkpoint_leaks_nothing(tmp_path: Path) -> None:
    with router() as at:
        whole = start_at(at, tmp_path / "whole", 0)
        assert whole.end() == 0, whole.output
        names = checkpoints(tmp_path / "whole")
        jobs = [(place, time) for place in range(1, len(names) + 1) for time in range(TIMES)]
        results = several_at_once(
            lambda job: kill_and_sweep(at, tmp_path / f"run-{job[0]}-{job[1]}", job[0]), jobs
        )
        alive = at.alive()
    faults = [fault for fault, _ in results if fault]
    killed = sum(code == -9 for _, code in results)
    print(
        f"G2: {len(names)} checkpoints, {len(jobs)} runs, {killed} killed, leaked {len(alive)}, "
        f"wrong {len(faults)}"
    )
    assert not faults, faults[0]
    assert not alive
    # A poll more or less is a matter of timing: a number near the end may not be reached.
    assert killed > len(jobs) * 0.9
