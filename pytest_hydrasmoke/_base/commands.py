"""The commands that a run prints, for pasting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands about the instances of a run, with the variables and options that they need.

    They work in the shell and the folder in which the run was started.
    """

    before_sweep: str = ""
    after_sweep: str = ""
    before_attach: str = ""
    after_attach: str = ""

    def sweep(self, run_id: str | None) -> str:
        """Return the command that deletes what a run has left behind."""
        return f"{self.before_sweep}hydra-smoke sweep --run-id {run_id}{self.after_sweep}"

    def attach(self, instance_id: str | None) -> str:
        """Return the command that runs tests on an existing instance."""
        command = f"pytest --hydra-smoke --hydra-smoke-instance {instance_id}"
        return f"{self.before_attach}{command}{self.after_attach}"


PLAIN = Commands()
"""The commands without variables and options, where the settings are not known."""
