"""G1: kill -9 at a random moment of a run, and a sweep at once."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest
from kill_tools import (
    CHAT_AND_DELETE,
    HERE,
    Router,
    Run,
    open_entries,
    router,
    several_at_once,
    start,
    start_pytest,
    sweep_to_the_end,
)


def start_session(at: Router, folder: Path) -> Run:
    command = [sys.executable, HERE / "run_of_session.py", "1"]
    return start(command, folder, at.environment())


def start_tests(at: Router, folder: Path) -> Run:
    return start_pytest(at, folder, CHAT_AND_DELETE)


# Half of the runs are pytest's; what the other half does is what a run does, without the part
# before it in which there is nothing yet to leak.
KILLS, KINDS = 200, (start_tests, start_session)


@pytest.mark.kill
def test_a_killed_run_leaks_nothing_that_a_sweep_does_not_find(tmp_path: Path) -> None:
    chance = random.Random()
    with router() as at:

        def whole_run(index: int) -> float:
            run = KINDS[index % len(KINDS)](at, tmp_path / f"whole-{index}")
            assert run.end() == 0, run.output
            return time.monotonic() - run.started

        # The first of each kind only warms up.
        whole = several_at_once(whole_run, range(2 * len(KINDS)))[-len(KINDS) :]

        def kill_and_sweep(index: int) -> tuple[str, int, list[str]]:
            folder = tmp_path / f"run-{index}"
            for _ in range(5):
                run = KINDS[index % len(KINDS)](at, folder)
                # Most of the first 0.3 s is Python's own start.
                run.kill_after(chance.uniform(0.3, whole[index % len(KINDS)]))
                if run.process.returncode == -9:
                    break  # Else it was over already: that is no kill.
            folder.joinpath(".hydrasmoke/runs").mkdir(parents=True, exist_ok=True)
            code, output = sweep_to_the_end(at, folder)
            left = open_entries(folder)
            return output if code or left else "", run.process.returncode, left

        results = several_at_once(kill_and_sweep, range(KILLS))
        existed = len(at.instances)
        alive = at.alive()
    faults = [output for output, _, _ in results if output]
    killed = sum(code == -9 for _, code, _ in results)
    entries = sum(len(left) for _, _, left in results)
    print(
        f"G1: {killed} of {KILLS} runs killed, {existed} instances, "
        f"leaked {len(alive)}, open entries {entries}"
    )
    assert not faults, faults[0]
    assert (alive, entries) == ([], 0)
    assert killed == KILLS
