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
from sizes import sizes

# How often each checkpoint, and which of some 45. In the sample it is one where an intent is half
# written, and one while the instance boots: the last ones are not always reached.
SIZES = sizes("kill", (1, (12, 24)), (8, ()))


def start_at(at: Router, folder: Path, checkpoint: int) -> Run:
    log = folder / "checkpoints.txt"
    command = [sys.executable, HERE / "checkpoints.py", HERE / "run_of_session.py", "0"]
    env = at.environment(HYDRA_KILL_AT=str(checkpoint), HYDRA_KILL_LOG=str(log))
    return start(command, folder, env)


@pytest.mark.parametrize("size", SIZES)
def test_a_run_killed_at_any_checkpoint_leaks_nothing(
    size: tuple[int, tuple[int, ...]], tmp_path: Path
) -> None:
    times, some = size
    with router() as at:
        whole = start_at(at, tmp_path / "whole", 0)
        assert whole.end() == 0, whole.output
        names = (tmp_path / "whole" / "checkpoints.txt").read_text().splitlines()

        def kill_and_sweep(job: tuple[int, int]) -> tuple[str, int, list[str]]:
            checkpoint, time = job
            folder = tmp_path / f"run-{checkpoint}-{time}"
            run = start_at(at, folder, checkpoint)
            code = run.end()
            last = (folder / "checkpoints.txt").read_text().splitlines()[-1]
            # What a half-written line was to say, nobody can know: the sweep says that.
            half = code == -9 and last.endswith(": half")
            folder.joinpath(".hydrasmoke/runs").mkdir(parents=True, exist_ok=True)
            swept, output = sweep_to_the_end(at, folder)
            left = open_entries(folder)
            good = swept == half and ("can't be read" in output) == half and not left
            return "" if good else f"{last}: {run.output}\n{output}", code, left

        jobs = [
            (checkpoint, time)
            for checkpoint in some or range(1, len(names) + 1)
            for time in range(times)
        ]
        results = several_at_once(kill_and_sweep, jobs)
        alive = at.alive()
    faults = [fault for fault, _, _ in results if fault]
    killed = sum(code == -9 for _, code, _ in results)
    entries = sum(len(left) for _, _, left in results)
    print(
        f"G2: {len(names)} checkpoints, {len(jobs)} runs, {killed} killed, "
        f"leaked {len(alive)}, open entries {entries}"
    )
    assert not faults, faults[0]
    assert (alive, entries) == ([], 0)
    # A poll more or less is a matter of timing: a number near the end may not be reached.
    assert killed > len(jobs) * 0.9
