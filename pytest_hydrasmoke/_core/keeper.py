"""Who keeps what a record notes, and says whether it may go on: a run, or one key of a sweep."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.errors import ConfigError

if TYPE_CHECKING:
    from pytest_hydrasmoke._journal.events import Event

    from .record import InstanceRecord


class Keeper:
    """Keeps what records note; the base class keeps nothing, and allows everything."""

    def note(self, record: InstanceRecord, at: float, event: Event) -> None:
        """Keep an event, before the step after it."""

    def permit(self, record: InstanceRecord) -> None:
        """Allow a provision or a chat; raises where the run must not go on."""


def check_process(pid: int) -> None:
    """Raise `ConfigError` in a forked child of a process, which takes no part in its run."""
    if os.getpid() != pid:
        raise ConfigError(
            "this process is a child that a test has forked: its parent owns the instances",
            next_step="end it with os._exit, and use the instances in the parent",
        )
