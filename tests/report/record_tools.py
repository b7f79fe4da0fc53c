"""Reports of records, on clocks that are at 100 when it is noon."""

from __future__ import annotations

from report_tools import NOON
from scripted_io import record

from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._report.model import InstanceReport

WALL = NOON.timestamp() - 100.0


def frozen(it: InstanceRecord, *, replies: bool = True) -> InstanceReport:
    """Report a record."""
    return report_of(it, WALL, replies=replies)


def part(**changes: object) -> InstanceReport:
    """Report a record of a ready instance, with changes."""
    return frozen(record(state=State.READY)).model_copy(update=changes)
