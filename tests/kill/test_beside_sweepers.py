"""G3: sweepers beside live runs take nothing from them, and miss nothing of the dead."""

from __future__ import annotations

import random
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from kill_tools import (
    HERE,
    Router,
    open_entries,
    router,
    several_at_once,
    start,
    sweep,
    sweep_to_the_end,
)

TOGETHER = 6
RUNS, CHATS = 60, 8


@dataclass(frozen=True)
class Life:
    """A run, and the moment from which it needed its instances no more."""

    run_id: str
    killed: bool
    until: float
    fault: str


def live(at: Router, folder: Path, index: int) -> Life:
    run_id = f"beside-{index}"
    command = [sys.executable, HERE / "run_of_session.py", str(CHATS)]
    run = start(command, folder, at.environment(HYDRA_SMOKE_RUN_ID=run_id), run_id)
    if index % 3 == 0:
        return Life(run_id, True, run.kill_after(random.uniform(0.5, 3.0)), "")
    code = run.end()
    done = [line.split()[1] for line in run.output.splitlines() if line.startswith("done")]
    fault = "" if code == 0 else f"{run_id} ended with {code}:\n{run.output}"
    return Life(run_id, False, float(done[0]) if done else 0.0, fault)


@pytest.mark.kill
def test_two_sweepers_beside_live_runs(tmp_path: Path) -> None:
    over = threading.Event()
    problems: list[str] = []

    def sweep_on(at: Router) -> int:
        number = 0
        while not over.is_set():
            code, output = sweep(at, tmp_path)
            number += 1
            if code:
                problems.append(output)
        return number

    tmp_path.joinpath(".hydrasmoke/runs").mkdir(parents=True)
    with router() as at:
        sweepers = [threading.Thread(target=sweep_on, args=(at,)) for _ in range(2)]
        for sweeper in sweepers:
            sweeper.start()
        try:
            lives = several_at_once(lambda index: live(at, tmp_path, index), range(RUNS), TOGETHER)
        finally:
            over.set()
            for sweeper in sweepers:
                sweeper.join()
        code, output = sweep_to_the_end(at, tmp_path)
        needed = {life.run_id: life.until for life in lives}
        # The fake's clock and the runs' are the same: this machine's.
        too_early = [
            instance["idempotency_key"]
            for instance in at.instances
            if instance["deleted"]
            and instance["deleted_at"] < needed[instance["idempotency_key"].rpartition("-")[0]]
        ]
        existed, alive = len(at.instances), at.alive()
    faults = [life.fault for life in lives if life.fault] + problems
    killed = sum(life.killed for life in lives)
    print(
        f"G3: {RUNS} runs, {killed} killed, {existed} instances, deleted while their run lived "
        f"{len(too_early)}, leaked {len(alive)}"
    )
    assert not faults, faults[0]
    assert (too_early, alive, open_entries(tmp_path), code) == ([], [], [], 0), output
