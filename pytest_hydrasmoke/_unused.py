"""Whether a run id is fresh: keys that resolve already are another run's, and not to be deleted."""

from __future__ import annotations

from ._calls import Calls
from ._errors import ConfigError
from ._io import SyncIO
from ._ledger import folder_of, read
from ._settings import HydraSmokeConfig
from ._wire import drive

PATIENCE = 60.0
"""Seconds for the router to tell."""


def check_unused(config: HydraSmokeConfig) -> None:
    """Ask for the run's first key; raises `ConfigError` if it is known, or can't be asked for."""
    io = SyncIO(config.link)
    key = f"{config.run_id}-0"
    try:
        found = drive(Calls(io).poll(key, deadline=io.now() + PATIENCE)).found
    finally:
        io.close()
    if found or read(folder_of(config.output, config.run_id)).entries:
        raise ConfigError(
            f"run id used before: {config.run_id}"
            + (f" (the router knows the key {key})" if found else ""),
            next_step="give every run an id of its own, such as run, attempt, job and matrix leg; "
            f"what the earlier one left: hydra-smoke sweep --run-id {config.run_id}",
        )
