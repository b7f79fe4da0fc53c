"""A router whose answers are not what is so, and a run that it is told of, on made-up time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.responses import Response
from truth import Manner, Truth
from truth_app import AnswerError, TrueRouter
from truth_seam import Ages, Process, World, sweep

from pytest_hydrasmoke import HydraSmokeError, SmokeClient, SmokeInstanceFactory, VirtualClock
from pytest_hydrasmoke._base.errors import TransportError
from pytest_hydrasmoke._journal.codec import entries_of
from pytest_hydrasmoke._journal.events import Became
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._plugin.fixtures import RunClient
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


class Scripted(TrueRouter):
    """A router whose provisions are answered by a script, each for one call of it."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self.script: list[Any] = []
        self.provisions = 0

    def _provision(self, key: str, faults: Any, *, known: bool) -> Response:
        self.provisions += 1
        step = self.script.pop(0) if self.script else None
        return super()._provision(key, faults, known=known) if step is None else step(key)


def router_of(place: Place) -> Scripted:
    assert isinstance(place.world.router, Scripted)
    return place.world.router


def refusing(code: int, *, late: float = 0.0, made: Truth | None = None) -> Any:
    """Refuse a provision, which may be carried out all the same."""

    def step(key: str) -> Response:
        if made is not None:
            made.provision(key, late)
        raise AnswerError(code, "no")

    return step


def states_in(place: Place) -> list[State]:
    """Return the states of the one instance, as the ledger has them."""
    lines = (place.output / "runs" / "run" / "ledger.jsonl").read_bytes()
    events = [it.event for it in entries_of(lines)]
    return [it.state for it in events if isinstance(it, Became)]


def by_hand(place: Place) -> SmokeClient:
    return RunClient(place.world.io(place.process.config.link), place.process.run)


@contextmanager
def unreachable(place: Place) -> Iterator[None]:
    """Let no request leave."""

    async def fail(*_: object) -> Response:
        await place.process.run._io.sleep(0.0)
        raise TransportError("no connection", reached=False)

    kind = type(place.process.run._io)
    answer = kind._answer  # type: ignore[attr-defined]
    kind._answer = fail  # type: ignore[attr-defined]
    try:
        yield
    finally:
        kind._answer = answer  # type: ignore[attr-defined]


def provision(place: Place, client: SmokeClient, name: str, *, times: int = 1) -> None:
    """Own a key, and provision under it, whatever comes of that."""
    with SmokeInstanceFactory(place.process.run).own(name) as key:
        for _ in range(times):
            with contextlib.suppress(HydraSmokeError):
                client.provision(place.process.spec, key)
