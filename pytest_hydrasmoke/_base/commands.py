"""The commands that a run prints, for pasting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands about the instances of a run, with the folder, variables and options they need.

    They work in the shell in which the run was started.
    """

    begin: str = ""
    """The change to the folder in which the settings are found, and variables."""
    begin_attach: str = ""
    """More variables for a run."""
    output: str = ""
    """The folder of the ledger, quoted; empty if the settings found have it."""

    def sweep(self, run_id: str | None) -> str:
        """Return the command that deletes what a run has left behind."""
        after = f" --output {self.output}" if self.output else ""
        return f"{self.begin}hydra-smoke sweep --run-id {run_id}{after}"

    def attach(self, instance_id: str | None) -> str:
        """Return the command that runs tests on an existing instance."""
        # With `=`: a path that stands alone would have a part in which folder is pytest's rootdir.
        after = f" --hydra-smoke-output={self.output}" if self.output else ""
        command = f"pytest --hydra-smoke --hydra-smoke-instance {instance_id}{after}"
        return f"{self.begin}{self.begin_attach}{command}"


PLAIN = Commands()
"""The commands without folder, variables and options, where the settings are not known."""
