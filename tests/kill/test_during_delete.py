"""G7: a DELETE that takes its time completes under INT, INT, TERM."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from kill_tools import router, several_at_once, start_pytest, until

SECONDS = 2.0
AT_THE_END = """
def test_a(smoke_instance):
    smoke_instance.chat("here")
"""
IN_A_TEST = """
import time

def test_a(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        instance.chat("here")
    time.sleep(60)
"""
AFTER_CTRL_C = """
import time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    time.sleep(60)
"""
SEVERAL = """
def test_a(smoke_instance_factory):
    for instance in smoke_instance_factory.many(3):
        instance.chat("here")
"""
TEXTS = {
    "at the end": AT_THE_END,
    "in a test": IN_A_TEST,
    "after Ctrl-C": AFTER_CTRL_C,
    "several": SEVERAL,
}


def interrupt(name: str, folder: Path) -> str:
    """Signal a run while it deletes; return what went wrong."""
    with router(delete_takes=SECONDS, row_after=0.0, statuses=[[0, "running"]]) as at:
        run = start_pytest(at, folder, TEXTS[name], name=name)
        if name == "after Ctrl-C":
            assert until(lambda: at.seen("chat"))
            run.send(signal.SIGINT)
        if not until(lambda: at.deletions_begun or run.process.poll() is not None):
            run.send(signal.SIGABRT)
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            time.sleep(0.2)
            run.send(number)
        code = run.end()
        alive, unproved = at.alive(), run.unproved
    wrong = alive or unproved or code != 130
    return f"{name}: {code} {alive} {unproved}\n{run.output}" if wrong else ""


@pytest.mark.kill
def test_a_slow_delete_is_not_broken_off(tmp_path: Path) -> None:
    jobs = [(name, tmp_path / str(number)) for number, name in enumerate([*TEXTS] * 3)]
    faults = [fault for fault in several_at_once(lambda job: interrupt(*job), jobs) if fault]
    print(f"G7: {len(jobs)} deletions under INT, INT, TERM, broken off {len(faults)}")
    assert not faults, "\n\n".join(faults)
