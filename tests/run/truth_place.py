"""A router whose answers are not what is so, and a run that it is told of, on made-up time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from truth import Manner, Truth
from truth_app import TrueRouter
from truth_seam import Ages, Process, World, sweep

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._run.last_look import AT_ONCE


class Place:
    """A router, and where its runs leave their ledgers."""

    def __init__(
        self,
        folder: Path,
        manner: Manner,
        kind: type[TrueRouter] = TrueRouter,
        truth: type[Truth] = Truth,
        **settings: Any,
    ) -> None:
        self.clock = VirtualClock()
        self.truth = truth(manner, self.clock)
        self.world = World(kind(self.truth), self.clock)
        self.output = folder / ".hydrasmoke"
        self.ages = Ages(self.output, self.clock)
        # Whatever is wrong has shown after that long, as whoever sets `row_settle` knows.
        self.limits = {"delete_timeout": 25.0, "row_settle": manner.trouble + 1}
        more = {"ready_timeout": 40.0, "max_instances": 5 * AT_ONCE, **self.limits, **settings}
        self.process = Process(self.world, self.output, "run", **more)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, by which what is on disk grows older."""
        self.ages.follow()
        self.clock.advance(seconds)
        self.ages.follow()

    def sweep(self, run_id: str | None = None, wait: float = 9.0) -> tuple[bool, list[str]]:
        """Return whether a sweep leaves anything, and what it says."""
        self.ages.follow()
        try:
            return sweep(self.world, self.output, run_id, wait, **self.limits)
        finally:
            self.ages.follow()
