"""The stage of a run, which hears of the run's instances too."""

from __future__ import annotations

from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.stage import Stage


class RunStage(Stage):
    """A stage with nobody on it; that of pytest overrides it."""

    def is_ready(self, handle: Handle) -> None:
        """Hear that an instance is ready."""

    def changed(self, instance: Instance) -> None:
        """Hear of an instance's state before it is so; from any thread."""

    def begins_anew(self, instance: Instance) -> bool:
        """Begin a new conversation in another way than by a message, if there is one."""
        return False
