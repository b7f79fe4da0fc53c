"""A worker's progress on a clock of its own, and instances to make up a story of."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pytest_hydrasmoke import InstanceSpec, VirtualClock
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.keeper import Keeper
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._progress.plugin import Progress
from pytest_hydrasmoke._progress.relay import RelayReader

SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")


class Watching(Keeper):
    """Has a worker's progress take in what a record tells."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def changed(self, record: InstanceRecord) -> None:
        self._progress.changed(record)


class Watched:
    """A worker's progress on a clock of its own, and instances to make up a story of."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self.clock = VirtualClock(100.0)
        self.interrupts = Interrupts()
        self.progress = Progress(config, folder, self.interrupts, "gw0", clock=self.clock.now)
        self.records: list[InstanceRecord] = []
        self._folder = folder

    def instance(self) -> InstanceRecord:
        key = f"nightly-7-{len(self.records)}"
        record = InstanceRecord(SPEC, key=key, keeper=Watching(self.progress))
        self.records.append(record)
        return record

    def begins(self, phase: str, state: State = State.CREATED) -> InstanceRecord:
        """Return a new instance, at the beginning of a phase."""
        record = self.instance()
        record.state = state
        record.begins(phase, self.clock.now(), None)
        return record

    def wait(self, *seconds: float) -> None:
        """Let time pass, with a tick after each of several waits."""
        for each in seconds:
            self.clock.advance(each)
            self.progress.tick()

    def told(self) -> list[str]:
        """Return all lines so far."""
        return [line.removeprefix("gw0: ") for line in RelayReader(self._folder).new_lines()]

    def boot(self) -> None:
        """Tell of two instances, of which one fails, two chats, and a deletion."""
        one, two = self.instance(), self.instance()
        for record in (one, two):
            record.born = self.clock.now()
            record.begins("provision", self.clock.now(), 1000.0)
            record.becomes(State.ACCEPTED)
        self.wait(2)
        one.begins("row", self.clock.now(), 1000.0)
        one.saw_status("queued", self.clock.now())
        two.becomes(State.REFUSED)
        two.rests()
        self.wait(1, 2)
        one.begins("ready", self.clock.now(), 1000.0)
        one.saw_status("booting", self.clock.now())
        self.wait(1, 1, 8, 30, 30)
        one.saw_status("running", self.clock.now())
        one.becomes(State.READY)
        one.rests()
        one.begins("turn", self.clock.now(), self.clock.now() + 120)
        self.wait(2)
        one.rests()
        one.begins("turn", self.clock.now(), self.clock.now() + 120)
        self.wait(9, 1, 21)
        one.rests()
        one.begins("delete", self.clock.now(), self.clock.now() + 60)
        one.becomes(State.DELETED)
        one.rests()


def threads() -> list[str]:
    return [it.name for it in threading.enumerate() if it.name == "hydra-smoke-progress"]
