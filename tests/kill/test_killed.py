"""kill -9 of runs, at every step and at any moment, with sweepers beside them: nothing is left."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from kill_tools import (
    CHAT_AND_DELETE,
    HERE,
    Router,
    Run,
    judge,
    open_entries,
    router,
    several_at_once,
    start,
    start_pytest,
    sweep,
    sweep_to_the_end,
)

HALF_WRITTEN = 20
"""The checkpoint at which the line of an accepted request is half written."""
TIMES = 8
"""How often a run is killed at each checkpoint."""
KILLS = 200
RUNS, CHATS, TOGETHER = 60, 8, 6
FORKS = """
import os, signal, sys, time
from pathlib import Path
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._run.ledger import Ledger
ledger = Ledger(Path(".hydrasmoke"), "forks")
ledger.begin("main")
ledger.claim(Claimed({}, url=os.environ["HYDRA_SMOKE_URL"]), 1, 1)
child = os.fork()
if child == 0:
    os.close(1)
    os.close(2)
    time.sleep(60)
    os._exit(0)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_bare(at: Router, folder: Path, chats: int = 1, **env: str) -> Run:
    """Start what a test run does, without pytest around it."""
    command = [sys.executable, HERE / "bare_run.py", str(chats)]
    return start(command, folder, at.environment(**env))


def start_at(at: Router, folder: Path, checkpoint: int) -> Run:
    log = folder / "checkpoints.txt"
    command = [sys.executable, HERE / "checkpoints.py", HERE / "bare_run.py", "0"]
    env = at.environment(HYDRA_KILL_AT=str(checkpoint), HYDRA_KILL_LOG=str(log))
    return start(command, folder, env)


def sweep_what_is_left(at: Router, folder: Path) -> tuple[int, str, list[str]]:
    folder.joinpath(".hydrasmoke/runs").mkdir(parents=True, exist_ok=True)
    code, output = sweep_to_the_end(at, folder)
    return code, output, open_entries(folder)


def kill_and_sweep(at: Router, checkpoint: int, folder: Path) -> tuple[str, int]:
    run = start_at(at, folder, checkpoint)
    code = run.end()
    last = checkpoints(folder)[-1]
    # What a half-written line was to say, nobody can know: the sweep says that.
    half = code == -signal.SIGKILL and last.endswith(": half")
    swept, output, left = sweep_what_is_left(at, folder)
    good = swept == half and ("can't be read" in output) == half and not left
    return "" if good else f"{last}, left: {left}\n{run.output}\n{output}", code


def checkpoints(folder: Path) -> list[str]:
    return (folder / "checkpoints.txt").read_text("utf-8").splitlines()


def test_a_run_killed_within_a_line_of_its_ledger_leaks_nothing(tmp_path: Path) -> None:
    with router() as at:
        fault, code = kill_and_sweep(at, HALF_WRITTEN, tmp_path / "run")
        alive = at.alive()
    assert checkpoints(tmp_path / "run")[-1] == f"{HALF_WRITTEN} note accepted: half"
    assert not fault
    assert (code, alive) == (-signal.SIGKILL, [])


@pytest.mark.kill
def test_a_run_killed_at_any_checkpoint_leaks_nothing(tmp_path: Path) -> None:
    with router() as at:
        whole = start_at(at, tmp_path / "whole", 0)
        assert whole.end() == 0, whole.output
        names = checkpoints(tmp_path / "whole")
        jobs = [(place, time) for place in range(1, len(names) + 1) for time in range(TIMES)]
        results = several_at_once(
            lambda job: kill_and_sweep(at, job[0], tmp_path / f"run-{job[0]}-{job[1]}"), jobs
        )
        alive = at.alive()
    judge(f"G2: runs killed at {len(names)} checkpoints", [fault for fault, _ in results])
    assert not alive
    # A poll more or less is a matter of timing: a number near the end may not be reached.
    assert sum(code == -signal.SIGKILL for _, code in results) > len(jobs) * 0.9


@pytest.mark.kill
def test_a_run_killed_at_any_moment_leaks_nothing_that_a_sweep_does_not_find(
    tmp_path: Path,
) -> None:
    # Half of the runs are pytest's; what the other half does is what a run does, without the part
    # before it in which there is nothing yet to leak.
    def start_one(at: Router, folder: Path, index: int) -> Run:
        tests = index % 2 == 0
        return start_pytest(at, folder, CHAT_AND_DELETE) if tests else start_bare(at, folder)

    with router() as at:

        def whole_run(index: int) -> float:
            run = start_one(at, tmp_path / f"whole-{index}", index)
            assert run.end() == 0, run.output
            return time.monotonic() - run.started

        # The first of each kind only warms up.
        whole = several_at_once(whole_run, range(4))[-2:]

        def kill_and_sweep(index: int) -> str:
            folder = tmp_path / f"run-{index}"
            for _ in range(5):
                run = start_one(at, folder, index)
                # Most of the first 0.3 s is Python's own start.
                run.kill_after(random.uniform(0.3, whole[index % 2]))
                if run.process.returncode == -signal.SIGKILL:
                    break  # Else it was over already: that is no kill.
            else:
                return f"run {index} was never killed"
            code, output, left = sweep_what_is_left(at, folder)
            return f"left: {left}\n{output}" if code or left else ""

        faults = several_at_once(kill_and_sweep, range(KILLS))
        alive = at.alive()
    judge("G1: runs killed at any moment", faults)
    assert not alive


@pytest.mark.kill
def test_sweepers_beside_live_runs_take_nothing_from_them_and_miss_nothing_of_the_dead(
    tmp_path: Path,
) -> None:
    over = threading.Event()
    faults: list[str] = []
    needed: dict[str, float] = {}
    """The moment from which a run needed its instances no more."""

    def live(at: Router, index: int) -> None:
        run_id = f"beside-{index}"
        run = start_bare(at, tmp_path, CHATS, HYDRA_SMOKE_RUN_ID=run_id)
        if index % 3 == 0:
            needed[run_id] = run.kill_after(random.uniform(0.5, 3.0))
            return
        code = run.end()
        done = [line.split()[1] for line in run.output.splitlines() if line.startswith("done")]
        needed[run_id] = float(done[0]) if done else 0.0
        faults.append(f"{run_id} ended with {code}:\n{run.output}" if code else "")

    def sweep_on(at: Router) -> None:
        while not over.is_set():
            code, output = sweep(at, tmp_path)
            faults.append(output if code else "")

    tmp_path.joinpath(".hydrasmoke/runs").mkdir(parents=True)
    with router() as at:
        sweepers = [threading.Thread(target=sweep_on, args=(at,)) for _ in range(2)]
        for sweeper in sweepers:
            sweeper.start()
        try:
            several_at_once(lambda index: live(at, index), range(RUNS), TOGETHER)
        finally:
            over.set()
            for sweeper in sweepers:
                sweeper.join()
        code, output = sweep_to_the_end(at, tmp_path)
        # The fake's clock and the runs' are the same: this machine's.
        too_early = [
            it["idempotency_key"]
            for it in at.instances
            if it["deleted"] and it["deleted_at"] < needed[it["idempotency_key"].rpartition("-")[0]]
        ]
        alive = at.alive()
    judge("G3: runs and sweeps beside them", faults)
    assert (too_early, alive, open_entries(tmp_path), code) == ([], [], [], 0), output


@pytest.mark.kill
def test_a_child_that_outlives_its_run_does_not_keep_it_live(tmp_path: Path) -> None:
    with router() as at:
        run = start([sys.executable, "-c", FORKS], tmp_path, at.environment())
        assert run.end() == -signal.SIGKILL
        child = int(run.output)
        try:
            os.kill(child, 0)  # It is still there.
            # However soon that is after the claim, its row is not waited for.
            code, output = sweep(at, tmp_path, wait=0, HYDRA_SMOKE_ROW_SETTLE="0")
        finally:
            os.kill(child, signal.SIGKILL)
    assert "skipped" not in output
    assert "nothing  forks-0" in output
    assert code == 0
    assert not run.ledgers
