"""Processes of one run that share an instance: as sharing knows them, and as it loses them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from net_tools import AT_ONCE, FIELDS, SPEC, config_for

from pytest_hydrasmoke import HydraSmokeConfig, InstanceSpec, SmokeInstance
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.journal import Journal, read
from pytest_hydrasmoke._journal.run_story import fold
from pytest_hydrasmoke._report.build import instances_of
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.locks import MAIN, Lock
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.run_stage import RunStage
from pytest_hydrasmoke._run.sharing import EVERYBODY, Sharing, Wanted
from pytest_hydrasmoke.fake import FakeRouter, Scenario

OTHER = InstanceSpec(**{**FIELDS, "tier_id": "tier-2"})
BOOTS = Scenario(row_after=0.1, statuses=((0, "queued"), (0.2, "running")))
TEST = "test_a.py::test_1"
PATIENCE = 60.0
"""Seconds, for a busy machine; nothing here takes one."""


class WatchedLedger(Ledger):
    """Tells when somebody asks to hold something."""

    def __init__(self, output: Path, run_id: str) -> None:
        super().__init__(output, run_id)
        self.asked = threading.Event()

    def hold(self, lock: Lock, check: Callable[[], object]) -> None:
        self.asked.set()
        super().hold(lock, check)

    def stands_next(self) -> bool:
        """Return whether somebody waits to hold something."""
        for path in (self.folder / "held").glob("*-next.lock"):
            with Lock(path) as turn:
                if not turn.acquire():
                    return True
        return False


class Ready(RunStage):
    """Notes which instances are ready."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def is_ready(self, handle: Handle) -> None:
        self._told.append(str(handle.instance.id))


class Process:
    """One process of a run, as far as sharing goes: what it owns, a ledger and a part in it."""

    def __init__(
        self, config: HydraSmokeConfig, name: str, absent: Absent, certain: Sequence[Wanted] = ()
    ) -> None:
        self.ledger = WatchedLedger(config.output, config.run_id)
        self.ledger.begin(name)
        self.told: list[str] = []
        self.run = Run(
            config,
            self.ledger,
            stage=Ready(self.told),
            absent=absent,
            journal=Journal(self.ledger.folder, name, config.run_id, str, replies=True),
        )
        self.sharing = Sharing(self.run, worker=name != MAIN, certain=certain)

    def take(self, spec: InstanceSpec = SPEC, share: str = EVERYBODY, test: str = TEST) -> Instance:
        return self.sharing.take(spec, share, test)

    @contextmanager
    def holding(self, spec: InstanceSpec = SPEC, share: str = EVERYBODY) -> Iterator[SmokeInstance]:
        """Hold the shared instance as a test does."""
        try:
            yield SmokeInstance(self.run.handle(self.take(spec, share)))
        finally:
            self.sharing.release()

    def end(self) -> None:
        """End as a process of the run ends."""
        self.run.close()

    def die(self) -> None:
        """Let go of what a killed process would let go of, and of nothing else."""
        self.sharing.release()
        self.run._io.close()


class Crew:
    """A router, and the crew of one run against it: its processes."""

    def __init__(self, fake: FakeRouter, output: Path, stack: ExitStack, **more: Any) -> None:
        self.fake = fake
        self.config = config_for(fake, output=output, **{"usage_settle": 0.5, **more})
        self.absent = learn(self.config)
        self.stack = stack
        self.main = self.process(MAIN)

    def process(self, name: str, certain: Sequence[Wanted] = ()) -> Process:
        process = Process(self.config, name, self.absent, certain)
        self.stack.callback(process.ledger.end)
        self.stack.callback(process.end)
        self.stack.callback(process.sharing.release)
        return process

    def told(self) -> list[InstanceReport]:
        """Report what all processes have written."""
        return instances_of(fold(read(self.main.ledger.folder, {})).instances, 0.0)

    def workers(self, number: int, certain: Sequence[Wanted] = ()) -> list[Process]:
        return [self.process(f"gw{i}", certain) for i in range(number)]

    def times(self, route: str) -> int:
        return sum(request.route == route for request in self.fake.requests)


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Do a work in a thread, which has ended well when this is over."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


Crews = Callable[..., Crew]


@pytest.fixture
def a_crew(tmp_path: Path) -> Iterator[Crews]:
    """Give `a_crew(scenario, **settings)`; what is left at its end, its main process deletes."""
    with ExitStack() as stack:

        def make(scenario: Scenario = AT_ONCE, **settings: Any) -> Crew:
            fake = stack.enter_context(FakeRouter(scenario))
            return Crew(fake, tmp_path, stack, **settings)

        yield make
