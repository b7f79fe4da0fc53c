"""Routers and runs as processes of their own, to be killed; nothing but these is ever signalled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

from inner import only

T = TypeVar("T")
R = TypeVar("R")

HERE = Path(__file__).parent
SHARED = os.pathsep.join([str(HERE.parent / "shared"), os.environ.get("PYTHONPATH", "")])
TOKEN = "made-up-token-of-the-kill-tests"
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
LAG = 0.3
"""Seconds until a worker has inserted the row."""
BOOT = 0.5
WAIT = 2.0
"""What sweeps are told to wait: longer than the worker takes, on a busy machine too."""
ROUTER = {"row_after": LAG, "statuses": [[0.0, "queued"], [BOOT, "running"]]}

CHAT_AND_DELETE = """
def test_chat(smoke_instance):
    turn = smoke_instance.chat("hello")
    assert turn.complete

def test_one_of_its_own(smoke_instance_factory):
    with smoke_instance_factory(tier_id="another") as instance:
        instance.chat("hello")

def test_delete(smoke_instance):
    smoke_instance.delete()
"""


@dataclass(frozen=True)
class Router:
    """A fake router that runs as a process of its own."""

    url: str

    def ask(self, path: str) -> Any:
        with urlopen(Request(self.url + path, headers=AUTHORIZATION), timeout=10) as answer:
            return json.load(answer)

    @property
    def instances(self) -> list[dict[str, Any]]:
        return self.ask("/_fake/instances")

    def of(self, run_id: str) -> list[dict[str, Any]]:
        """Return the instances of one run."""
        return [it for it in self.instances if it["idempotency_key"].rpartition("-")[0] == run_id]

    def alive(self, run_id: str | None = None) -> list[str]:
        """Return the keys of the instances that nobody has deleted, of one run or of all."""
        found = self.instances if run_id is None else self.of(run_id)
        return [it["idempotency_key"] for it in found if not it["deleted"]]

    def requests(self, route: str, key_or_id: str = "") -> list[dict[str, Any]]:
        return [
            request
            for request in self.ask("/_fake/requests")
            if request["route"] == route and key_or_id in request["path"]
        ]

    def seen(self, route: str, key_or_id: str = "") -> bool:
        return bool(self.requests(route, key_or_id))

    def has_come_to(self, route: str, run_id: str) -> bool:
        """Return whether a run has an instance, and has made a call of it."""
        return any(route == "provision" or self.seen(route, it["id"]) for it in self.of(run_id))

    def fail(self, route: str, status: int, times: int) -> None:
        """Have the next requests of a route refused."""
        body = json.dumps({"route": route, "status": status, "times": times}).encode()
        with urlopen(Request(f"{self.url}/_fake/fail", body, AUTHORIZATION), timeout=10):
            pass

    @property
    def deletions_begun(self) -> int:
        return int(self.ask("/_slow"))

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a run against it."""
        return {
            **os.environ,
            "HYDRA_SMOKE_URL": self.url,
            "HYDRA_SMOKE_TOKEN": TOKEN,
            "HYDRA_SMOKE_MANIFEST_ID": "kill-basic",
            "HYDRA_SMOKE_REGION_ID": "kill-region",
            "HYDRA_SMOKE_TIER_ID": "kill-tier",
            # A row that has not come by then never does.
            "HYDRA_SMOKE_ROW_SETTLE": str(LAG),
            # Where a run hangs, an abort tells where.
            "PYTHONFAULTHANDLER": "1",
            **more,
        }


@contextmanager
def router(delete_takes: float = 0.0, **scenario: Any) -> Iterator[Router]:
    """Serve a fake router until the `with` is over."""
    command = [sys.executable, HERE / "slow_router.py"]
    command += [json.dumps({**ROUTER, **scenario}), str(delete_takes)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HYDRA_SMOKE_TOKEN": TOKEN, "PYTHONPATH": SHARED},
    ) as process:
        assert process.stdout is not None
        yield Router(process.stdout.readline().strip())


@dataclass
class Run:
    """One process, started in a folder of its own."""

    process: subprocess.Popen[str]
    folder: Path
    output: str = ""
    name: str = ""
    started: float = field(default_factory=time.monotonic)

    def send(self, number: int) -> None:
        """Signal it, if it is still there."""
        self.process.send_signal(number)

    def comes_to(self, what: Callable[[], object]) -> bool:
        """Wait until something is so, or the run is over."""
        return until(lambda: what() or self.process.poll() is not None)

    def kill_after(self, seconds: float) -> float:
        """Kill it that long after its start; gives the moment."""
        time.sleep(max(self.started + seconds - time.monotonic(), 0.0))
        self.send(signal.SIGKILL)
        at = time.monotonic()
        self.end()
        return at

    def end(self, timeout: float = 90.0) -> int:
        """Wait for its end; gives its exit code."""
        try:
            self.output += self.process.communicate(timeout=timeout)[0] or ""
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output += self.process.communicate()[0] or ""
            raise AssertionError(f"{self.name} did not end:\n{self.output}") from None
        return self.process.returncode

    @property
    def ledgers(self) -> list[Path]:
        """The folders that runs have left here."""
        return sorted(self.folder.glob(".hydrasmoke/runs/*"))

    @property
    def unproved(self) -> list[str]:
        """What its ledgers call neither deleted nor gone: after a signal nobody looks back."""
        from pytest_hydrasmoke._journal.states import State
        from pytest_hydrasmoke._run.ledger import read

        entries = (entry for ledger in self.ledgers for entry in read(ledger).open)
        return [f"{it.key}: {it.state}" for it in entries if it.state is not State.GONE]


def start(command: Sequence[str | Path], folder: Path, env: dict[str, str], name: str = "") -> Run:
    """Start a process at the head of a group of its own, as a runner does."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    return Run(process, folder, name=name or str(command))


def pytest_command(*arguments: str) -> list[str]:
    """Return the command of a live pytest run in a folder with a test file."""
    # Caches have no part in this; the project's own settings don't reach here.
    settings = ["-c", "/dev/null", "--rootdir", ".", "-p", "no:cacheprovider"]
    settings += only("xdist", "timeout")
    return [sys.executable, "-m", "pytest", *settings, "-q", "--hydra-smoke", *arguments]


def prepared(
    router: Router, folder: Path, text: str, *arguments: str, **env: str
) -> tuple[list[str], Path, dict[str, str]]:
    """Write a test file with this text; gives pytest's command, its folder and its environment."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test_it.py").write_text(text)
    return pytest_command("test_it.py", *arguments), folder, router.environment(**env)


def start_pytest(
    router: Router, folder: Path, text: str, *arguments: str, name: str = "", **env: str
) -> Run:
    """Start pytest on a test file with this text."""
    return start(*prepared(router, folder, text, *arguments, **env), name)


def report_of(folder: Path) -> dict[str, Any]:
    """Return what a run's report says; without one, no exit code and no instances."""
    path = folder / ".hydrasmoke" / "report.json"
    if not path.exists():
        return {"exit_code": None, "instances": []}
    report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return report


def outcomes(folder: Path) -> list[str]:
    """Return what became of a run's instances, as its report has it."""
    return [it["outcome"] for it in report_of(folder)["instances"]]


def sweep(
    router: Router, folder: Path, *arguments: str, wait: float = WAIT, **env: str
) -> tuple[int, str]:
    """Sweep what runs in a folder have left; gives exit code and output."""
    command = [sys.executable, "-m", "hurried", "sweep", "--wait", str(wait)]
    run = start([*command, *arguments], folder, router.environment(**env), "sweep")
    return run.end(), run.output


def sweep_to_the_end(router: Router, folder: Path) -> tuple[int, str]:
    """Sweep, and once more where a boot might have gone on: by the files' times, after it."""
    from owner_tools import age

    code, output = sweep(router, folder)
    if open_entries(folder):
        age(folder / ".hydrasmoke", 61)
        code, more = sweep(router, folder)
        output += more
    return code, output


def open_entries(folder: Path) -> list[str]:
    """Return the keys that a sweep of a folder would still ask for."""
    from owner_tools import open_keys

    return open_keys(folder / ".hydrasmoke")


def until(what: Callable[[], object], timeout: float = 120.0) -> bool:
    """Wait until something is so; tells whether it came to be."""
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        if what():
            return True
        time.sleep(0.02)
    return False


def several_at_once(work: Callable[[T], R], given: Sequence[T], workers: int = 4) -> list[R]:
    """Do a work for each of these, some at a time, and give the results in order."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, given))


def judge(what: str, faults: Sequence[str]) -> None:
    """Print how many of all are not as they should be, and fail where one is not."""
    wrong = [fault for fault in faults if fault]
    print(f"{what}: {len(faults)}, not as they should {len(wrong)}")
    assert not wrong, "\n\n".join(wrong)
