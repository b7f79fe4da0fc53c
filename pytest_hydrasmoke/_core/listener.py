"""What a record tells, and whom it asks: a run, which keeps its ledger and may be over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.errors import ConfigError

if TYPE_CHECKING:
    from pytest_hydrasmoke._journal.events import Event

    from .record import InstanceRecord


class RecordListener:
    """Listens to changes of a record; the base class ignores them, and allows everything."""

    @property
    def forked(self) -> bool:
        """Whether this is a forked child, which takes no part in the run."""
        return False

    def check_process(self) -> None:
        """Raise `ConfigError` in a forked child."""
        if self.forked:
            raise ConfigError(
                "this process is a child that a test has forked: its parent owns the instances",
                next_step="end it with os._exit, and use the instances in the parent",
            )

    def state_changed(self, record: InstanceRecord) -> None:
        """Handle a change of the state, before the step after it."""

    def noted(self, record: InstanceRecord, at: float, event: Event) -> None:
        """Write an event of the record's story."""

    def touched(self, record: InstanceRecord) -> None:
        """Handle the first call about it in a test."""

    def changed(self, record: InstanceRecord) -> None:
        """Handle a change worth showing in the progress; called from any thread."""

    def permit(self, record: InstanceRecord) -> None:
        """Allow a provision or a chat; raises where the run must not go on."""
