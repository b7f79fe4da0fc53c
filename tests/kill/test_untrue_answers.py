"""G25: at routers whose answers are not yet true nothing is left alive that no word tells of.

At right ones that look alike, no run is red.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kill_tools import Router, Run, report_of, several_at_once, start
from owner_tools import age
from truth import TOKEN, Machine, Truth
from truth_app import served
from truth_cases import BEGINNING, RIGHT, TO_ITS_END, WRONG, Case

RUN_ID = "cell"
BOUND = 10.0
"""Seconds from a TERM to the exit."""
FINE = frozenset({"deleted", "absent", "refused"})
"""Outcomes in a report that tell of no machine."""
# Not `kill_tools.pytest_command`: here the last look is to come when it comes.
PYTEST = [
    *(sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", "."),
    *("-p", "hydrasmoke", "-p", "no:cacheprovider", "-q", "--hydra-smoke", "test_it.py"),
]
ENDS = {TO_ITS_END: (0, 1), "TERM": (128 + signal.SIGTERM,)}
"""The exit codes of runs that have run; a kill has one of its own."""
PATIENCE = {
    "HYDRA_SMOKE_TOKEN": TOKEN,
    "HYDRA_SMOKE_READY_TIMEOUT": "40",
    "HYDRA_SMOKE_DELETE_TIMEOUT": "25",
    "HYDRA_SMOKE_USAGE_SETTLE": "0.05",
}


@dataclass
class Cell:
    """One case, ended in one way."""

    case: Case
    way: str
    folder: Path
    faults: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])
    """What each command said in the end: its exit code, and its last words."""
    shown: list[Machine] = field(default_factory=list[Machine])
    """What a look would have found at the signal."""
    after: float | None = None
    """Seconds from the last test's end, or from a TERM, to the exit."""

    def __str__(self) -> str:
        after = "" if self.after is None else f" {self.after:.1f} s"
        verdict = "; ".join(self.faults) or "ok"
        return f"{self.case} / {self.way}:{after} {' -> '.join(self.told)}: {verdict}"

    def fill(self) -> Cell:
        """Run it, and see what is wrong."""
        with served(self.case.manner) as (truth, url):
            try:
                self._live(truth, Router(url))
            except AssertionError as error:
                self.faults.append(f"did not run as it should: {str(error)[-2000:]}")
        return self

    def _live(self, truth: Truth, at: Router) -> None:
        run = self._run(truth, at)
        left = truth.left()
        if self.case.right and self.way in (TO_ITS_END, "TERM"):
            code = 0 if self.way == TO_ITS_END else 128 + signal.SIGTERM
            if left or run.process.returncode != code:
                self.faults.append(f"RED: {len(left)} left, {_summary(run)}")
            return
        self._judge_run(truth, run)
        if not left and not self.case.right:
            return
        code, text = self._sweep(at)
        if truth.left() and not self.case.right:
            time.sleep(self.case.manner.trouble)
            age(self.folder / ".hydrasmoke", 7200)
            code, text = self._sweep(at)
        self._judge_sweep(truth, code, text)

    def _run(self, truth: Truth, at: Router) -> Run:
        waits = 0 if self.way == TO_ITS_END else 60
        settle = self.case.manner.trouble + 1
        env = {**PATIENCE, "HYDRA_SMOKE_RUN_ID": RUN_ID, "WAITS": str(waits), **self.case.env}
        env["HYDRA_SMOKE_ROW_SETTLE"] = str(settle)
        text = BEGINNING + self.case.text
        self.folder.mkdir()
        (self.folder / "test_it.py").write_text(text)
        run = start([*PYTEST, *self.case.arguments], self.folder, at.environment(**env), str(self))
        try:
            self._end(truth, run)
        finally:
            run.process.kill()
        assert run.process.returncode in ENDS.get(self.way, (-signal.SIGKILL,)), run.output
        assert truth.asked("provision"), run.output
        self.told.append(f"run {run.process.returncode}")
        return run

    def _end(self, truth: Truth, run: Run) -> None:
        middle = self.folder / "middle"
        if self.way == TO_ITS_END:
            run.end(180)
            if middle.exists():
                self.after = time.time() - middle.stat().st_mtime
            return
        assert run.comes_to(truth.alive if self.case.in_boot else middle.exists)
        time.sleep(0.1)  # What the machine's request is answered has come.
        self.shown = [it for it in truth.machines if truth.seen(it, "status")[0]]
        run.send(signal.SIGTERM if self.way == "TERM" else signal.SIGKILL)
        signalled = time.monotonic()
        run.end()
        if self.way == "TERM":
            self.after = time.monotonic() - signalled

    def _sweep(self, at: Router) -> tuple[int, str]:
        settle = self.case.manner.trouble + 1
        where: list[str] = []
        if self._ledger_is_lost:
            where = ["--run-id", RUN_ID, "--output", "elsewhere"]
        env = {**PATIENCE, "HYDRA_SMOKE_ROW_SETTLE": str(settle)}
        command = [sys.executable, "-m", "pytest_hydrasmoke", "sweep", "--wait", str(settle + 1)]
        swept = start([*command, *where], self.folder, at.environment(**env), "sweep")
        code = swept.end(300)
        seconds, last = time.monotonic() - swept.started, swept.output.strip().splitlines()[-1]
        self.told.append(f"sweep {code} in {seconds:.1f} s {last!r}")
        return code, swept.output

    @property
    def _ledger_is_lost(self) -> bool:
        return "ledger" in self.way

    def _judge_run(self, truth: Truth, run: Run) -> None:
        left, code = truth.left(), run.process.returncode
        if self.way == TO_ITS_END and left and code == 0:
            self.faults.append(f"ALIVE AND WELL: {len(left)} left by the run, {_summary(run)}")
        elif self.way == TO_ITS_END and left and self.case.mended:
            self.faults.append(f"LEFT, and the run's end could have ended it: {_summary(run)}")
        if self.way != "TERM":
            return
        unasked = [it for it in self.shown if not it.asked_at]
        if unasked and not self.case.manner.refuses:  # Nobody had its id yet.
            self.faults.append(f"{len(unasked)} never asked to go after TERM")
        reported = report_of(self.folder)["instances"]
        told = {it["idempotency_key"]: it["outcome"] for it in reported}
        silent = [it for it in left if told.get(it.key, "deleted") in FINE]
        if silent and not run.ledgers:
            self.faults.append(f"ALIVE AND WELL: {len(silent)} left after TERM, {_summary(run)}")

    def _judge_sweep(self, truth: Truth, code: int, text: str) -> None:
        left, findable = truth.left(), self.case.key_suffices or not self._ledger_is_lost
        if left and (code == 0 if findable else "nothing is left" in text):
            self.faults.append(f"ALIVE AND WELL: {len(left)} left by the sweep: {text[-400:]}")
        elif left and findable and self.case.curable:
            self.faults.append(f"LEFT, and it could have ended: {text[-400:]}")
        if self.case.right and code:
            self.faults.append(f"RED sweep: {text[-400:]}")


def _summary(run: Run) -> str:
    lines = [line for line in run.output.splitlines() if "leaked" in line or " in " in line]
    return " | ".join(lines[-4:])


@pytest.mark.kill
def test_what_is_alive_is_told(tmp_path: Path) -> None:
    waiting = [
        Cell(case, way, tmp_path / f"{case.name}-{way}".replace("/", " "))
        for case in (*WRONG, *RIGHT)
        for way in case.ways
    ]
    # Most of their time they wait.
    filled = several_at_once(Cell.fill, waiting, workers=8)
    for cell in filled:
        print(cell)
    faults = [str(cell) for cell in filled if cell.faults]
    late = [
        str(cell) for cell in filled if cell.way == "TERM" and cell.after and cell.after > BOUND
    ]
    slow = {
        str(it.case): it.after or 0.0 for it in filled if it.case.right and it.way == TO_ITS_END
    }
    longest = max(slow, key=slow.__getitem__)
    print(f"at right routers a run ends {slow[longest]:.1f} s after its tests at most: {longest}")
    print(f"G25: {len(filled)} cells, {len(faults)} with faults, {len(late)} late after TERM")
    assert not faults, "\n\n".join(faults)
    assert not late
