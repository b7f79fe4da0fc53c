"""What a test run does, without pytest around it: `bare_run.py [CHATS]`.

Switches on, provisions one instance and two at once, chats, deletes, and ends as a run ends. It
prints the moment (`time.monotonic()`) from which it no longer needs its instances.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pytest_hydrasmoke import SmokeInstanceFactory
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._settings.sources import load


def main(chats: int, pairs: bool) -> None:
    config = load({}, Path.cwd(), fake=False).config
    absent = learn(config)
    ledger = Ledger(config.output, config.run_id)
    ledger.begin("main")
    interrupts = Interrupts()
    interrupts.install()
    run = Run(config, ledger, interrupts, absent=absent)
    instances = [run.provision(config.spec)]
    if pairs:
        instances += SmokeInstanceFactory(run).many(2)
    for number in range(chats):
        for instance in instances:
            assert instance.status().status == "running"
            instance.chat(f"message {number}")
        time.sleep(0.05)
    print("done", time.monotonic(), flush=True)
    instances[0].delete()
    run.close()
    ledger.end()
    interrupts.restore()


if __name__ == "__main__":
    main(int(sys.argv[1]), pairs="HYDRA_KILL_AT" not in os.environ)
