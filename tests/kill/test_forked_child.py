"""A forked child that outlives its run does not keep it alive."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from kill_tools import router, start, sweep

FORKS = """
import os, signal, sys, time
from pathlib import Path
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.folder import folder_of
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
