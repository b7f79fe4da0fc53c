"""The commands that a run prints, for pasting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands about the instances of a run, with what they need beside their own words.

    They work in the shell and the folder that the run was called in.
    """

    before_sweep: str = ""
    after_sweep: str = ""
    before_attach: str = ""
    after_attach: str = ""

    def sweep(self, run_id: str | None) -> str:
        """Return the command that deletes what a run has left."""
        return f"{self.before_sweep}hydra-smoke sweep --run-id {run_id}{self.after_sweep}"

    def attach(self, instance_id: str | None) -> str:
        """Return the command that runs tests on an instance that is there."""
        words = f"pytest --hydra-smoke --hydra-smoke-instance {instance_id}"
        return f"{self.before_attach}{words}{self.after_attach}"


PLAIN = Commands()
"""The commands where nothing is known of the settings."""
