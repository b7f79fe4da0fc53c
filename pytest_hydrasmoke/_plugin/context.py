"""What a process knows of its run before the run begins, and names that its parts share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.locks import MAIN
from pytest_hydrasmoke._settings.config import HydraSmokeConfig

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter

CONTINUES = "hydra_smoke_continues"
"""The marker of a test that means to go on with what an earlier one has said."""
LIVE_ONLY = "hydra_smoke_live"
"""The marker of tests that no recording can answer."""
OF_NO_TEST = "hydra-smoke::"
"""How the ids of reports begin that are of no test."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RunContext:
    """A process's place in a run, and the run's settings; nothing in it changes."""

    pytestconfig: pytest.Config
    config: HydraSmokeConfig
    absent: Absent
    """How the router answered, before the run, for what does not exist."""
    fake: bool
    """Whether the bundled fake is the router."""
    router: FakeRouter | None = None
    """The fake, in a process that serves one."""
    table: Path | None = None
    """The file whose table of settings was read."""
    # In the main process.
    loaded: Loaded | None = None
    """Where the settings came from."""
    begun: Report | None = None
    """The run's report as it was at its start."""
    # In a worker of xdist.
    worker: str | None = None
    """Its name."""
    alone: bool = False
    """Whether it is a run of its own: on another host, or where recordings are replayed."""
    lag: float | None = None
    """How late rows are at the main process's fake, where that is known."""
    beside: Path | None = None
    """The folder of the main process's run, where it is alone on the same host."""

    @property
    def elsewhere(self) -> bool:
        """Whether it is a worker on another host, where it sees only a part of the tests."""
        return self.alone and self.beside is None

    @property
    def is_owner(self) -> bool:
        """Whether it looks after all instances of its run: not a worker that shares it."""
        return self.shares_as == MAIN

    @property
    def shares_as(self) -> str:
        """Its name among those that share instances."""
        return MAIN if self.alone else self.worker or MAIN

    @cached_property
    def scrub(self) -> Callable[[str], str]:
        """Masks the token."""
        return scrubbing(self.config.token)
