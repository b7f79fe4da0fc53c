"""What the tests under fire share: scripts, routers that are processes, and cells of the matrix."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from faulty_server import FAULTS, FaultyServer, Line, Received
from net_tools import AT_ONCE, CALLS, FIELDS, KINDS
from owner_tools import run_folders
from without_trio import path_with_trio

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.sweep import Sweep
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke.fake import FakeRouter

HERE = Path(__file__).parent
MIB = 1 << 20
TOKEN = "made-up-token-of-the-fire-tests"

# Processes


def python(script: str, **given: Any) -> subprocess.Popen[str]:
    """Start one of the scripts in this folder; it can import what the tests can."""
    path = [str(HERE), str(HERE.parent / "shared"), path_with_trio()]
    return subprocess.Popen(
        [sys.executable, str(HERE / script), json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
    )


def told_by(process: subprocess.Popen[str], timeout: float = 120.0) -> Any:
    """Wait for a script's end, and give what it has printed in JSON."""
    with process:
        try:
            out, complaints = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, complaints = process.communicate()
    assert process.returncode == 0, f"{out}\n{complaints}"
    return json.loads(out)


@contextmanager
def router(*options: str) -> Iterator[str]:
    """Serve a fake router as a process of its own; gives its URL."""
    command = [sys.executable, "-m", "pytest_hydrasmoke", "fake", "--port", "0", *options]
    env = {**os.environ, "HYDRA_SMOKE_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            yield next(it for it in process.stdout.readline().split() if "://" in it)
        finally:
            process.terminate()


# Cells

REFUSED = "refused"
BEFORE = {"poll": "provision", "status": "poll", "llm_events": "status", "chat": "llm_events"}
"""The call that comes before another in an instance's life."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix: a fault of one call, met by one kind of client."""

    fault: str
    call: str
    kind: str

    def __str__(self) -> str:
        return f"{self.fault}, {self.call}, {self.kind}"


ALL_CELLS = [
    Cell(fault, call, kind) for fault in (REFUSED, *FAULTS) for call in CALLS for kind in KINDS
]


class Front:
    """A fake router behind a server that carries one call out, and then answers it badly.

    Whatever may be lost is lost after the work was done. A connection is refused from that call
    on.
    """

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self.fake = FakeRouter(AT_ONCE)
        refusing = cell.fault == REFUSED and cell.call == "provision"
        self.server = FaultyServer(self._behave, refusing=refusing)
        self.accepted: Counter[str] = Counter()
        """How often the router has taken each message."""
        self._healed = self._began = False

    def config(self, url: str, output: Path) -> HydraSmokeConfig:
        """Give settings for this router at a URL."""
        token = self.fake.token
        return HydraSmokeConfig(url=url, token=token, run_id="sweep", output=output, **FIELDS)

    def sweep(self, output: Path) -> None:
        """Delete what a run has left, by its ledger, where nothing goes wrong any more."""
        self._healed = True
        self.server.listen()
        config = self.config(self.server.url, output)
        io = SyncIO(config.link)
        Sweep(config, io, wait=1.0, dry_run=False, say=lambda line: None).all_runs()

    @property
    def alive(self) -> set[str]:
        """The keys of the instances that nobody has deleted."""
        return {it.idempotency_key for it in self.fake.instances if not it.deleted}

    def _behave(self, line: Line, request: Received) -> None:
        call = call_of(request)
        self._began |= call == "provision"
        status, kind, body = self._carry_out(request)
        if call == "chat" and status == 200:
            self.accepted[request.json["message"]] += 1
        refuses = self._cell.fault == REFUSED
        if not self._healed and refuses and self._is_before(call):
            self.server.refuse()
        # A key is polled before anything is asked for, too: that is no instance's life.
        if not self._healed and not refuses and call == self._cell.call and self._began:
            FAULTS[self._cell.fault](line, request)
            return
        lines = (f"content-type: {kind}", f"content-length: {len(body)}", "connection: close")
        line.send("\r\n".join([f"HTTP/1.1 {status} Fine", *lines, "", ""]).encode() + body)
        line.close()

    def _is_before(self, call: str) -> bool:
        if self._cell.call == "delete":
            return call == "llm_events" and bool(self.accepted)
        return call == BEFORE.get(self._cell.call)

    def _carry_out(self, request: Received) -> tuple[int, str, bytes]:
        url = urlsplit(self.fake.url)
        router = http.client.HTTPConnection(url.netloc, timeout=10)
        names = ("authorization", "content-type", "accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        try:
            router.request(request.method, url.path + request.target, request.body, headers)
            answer = router.getresponse()
            return answer.status, answer.headers.get("content-type", ""), answer.read()
        finally:
            router.close()


def call_of(request: Received) -> str:
    """Name the call that a request is."""
    path = request.target.partition("?")[0]
    end = path.rpartition("/")[2].replace("-", "_")
    if end in CALLS:
        return end
    if "/by-key/" in path:
        return "poll"
    return "delete" if request.method == "DELETE" else "status"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    told: dict[str, Any]
    accepted: int
    """The most chat requests that the router took for one message."""
    unowned: set[str]
    """Keys of instances that lived on after the run, and were not in its ledger."""
    leaked: set[str]
    """Keys of instances that a sweep, with the fault gone, left alive."""

    @property
    def overrun(self) -> float:
        """The most seconds that anything took beyond its deadline."""
        return max(step["seconds"] - step["bound"] for step in self.told["steps"])

    @property
    def growth(self) -> float:
        """MiB by which the process was larger, at its largest, than before."""
        return float(self.told["growth"]) / MIB

    def complaints(self) -> Iterator[str]:
        """Yield what is not as it must be."""
        steps, left_open = self.told["steps"], self.told["left_open"]
        wrong = {
            "the call raised nothing": steps[0]["error"] is None,
            f"{self.overrun:.2f} s beyond a deadline: {steps}": self.overrun > 0.5,
            f"{self.growth:.0f} MiB more memory": self.growth >= 64,
            f"left open: {left_open}": bool(left_open),
            f"alive and not in the ledger: {self.unowned}": bool(self.unowned),
            f"alive after a sweep: {self.leaked}": bool(self.leaked),
            f"one message was accepted {self.accepted} times": self.accepted > 1,
            f"an error of others: {steps}": not all(step["typed"] for step in steps),
        }
        yield from (f"{self.cell}: {words}" for words, is_so in wrong.items() if is_so)


def run_cell(cell: Cell, output: Path) -> Outcome:
    """Let one process meet a fault: in the call alone, and in the life of an instance."""
    with ExitStack() as stack:
        front = Front(cell)
        stack.enter_context(front.fake)
        stack.enter_context(front.server)
        fault = FAULTS.get(cell.fault, FAULTS["closed"])
        alone = stack.enter_context(FaultyServer(fault, refusing=cell.fault == REFUSED))
        given = {"kind": cell.kind, "call": cell.call, "alone": alone.url}
        given |= {"url": front.server.url, "token": front.fake.token, "output": str(output)}
        # Learned where nothing is wrong, and given as workers are given it.
        absent = [*learn(front.config(front.fake.url, output))]
        told = told_by(python("fire_cell.py", **given, absent=absent, seconds=1.0, at_least=1))
        alive = front.alive
        in_ledger = {known.key for run in run_folders(output) for known in read(run).open}
        if alive:
            front.sweep(output)
        taken = max(front.accepted.values(), default=0)
        return Outcome(cell, told, taken, alive - in_ledger, front.alive)
