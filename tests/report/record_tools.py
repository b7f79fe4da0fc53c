"""Reports of records, on clocks that are at 100 when it is noon."""

from __future__ import annotations

from report_tools import NOON
from scripted_io import record

from pytest_hydrasmoke._core.keeper import Keeper
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.codec import decode, encode
from pytest_hydrasmoke._journal.events import Entry, Event
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.stories import fold
from pytest_hydrasmoke._report.build import instances_of, report_of
from pytest_hydrasmoke._report.model import InstanceReport

WALL = NOON.timestamp() - 100.0


def frozen(it: InstanceRecord) -> InstanceReport:
    """Report a record."""
    return report_of(it.reference or "?", it, WALL)


class Written(Keeper):
    """Writes what records tell, as a run does, and folds it."""

    def __init__(self, *, replies: bool = True) -> None:
        self._replies = replies
        self.lines: list[bytes] = []

    def note(self, record: InstanceRecord, at: float, event: Event) -> None:
        entry = Entry(at, record.reference, event)
        self.lines.append(encode(entry, str, replies=self._replies))

    @property
    def entries(self) -> list[Entry]:
        return [*map(decode, self.lines)]


def told(**processes: Written) -> list[InstanceReport]:
    """Report what several processes have written."""
    written = {name: process.entries for name, process in processes.items()}
    return instances_of(fold(written).instances, WALL)


def part(**changes: object) -> InstanceReport:
    """Report a record of a ready instance, with changes."""
    return frozen(record(state=State.READY)).model_copy(update=changes)
