"""Runs of one process at a fake router, in real time; and Ctrl-C while they are at it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from net_tools import AT_ONCE, FIELDS, config_for, on_clock, run_for

from pytest_hydrasmoke import InstanceSpec, VirtualClock
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.sharing import Sharing
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Runs = Callable[..., tuple[FakeRouter, Run]]
OTHER = InstanceSpec(**{**FIELDS, "tier_id": "tier-2"})
NEVER_READY = Scenario(row_after=0, statuses=((0, "queued"),), ready_words=())
FAILS = Scenario(row_after=0, statuses=((0, "failed"),), ready_words=())


def making_runs(stack: ExitStack) -> Runs:
    """Return `a_run(scenario, clock, **settings)`: a fake router, and a run against it."""

    def make(
        scenario: Scenario = AT_ONCE, clock: VirtualClock | None = None, **settings: Any
    ) -> tuple[FakeRouter, Run]:
        fake = stack.enter_context(FakeRouter(scenario, clock=clock))
        run = run_for(config_for(fake, **settings))
        if clock is not None:
            on_clock(run, clock)
        # What it has learned from is no part of its story.
        fake.reset()
        stack.callback(run.close)
        stack.callback(fake._world.faults.reset)
        return fake, run

    return make


def interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Interrupt the main thread, as Ctrl-C does, once a condition holds."""

    def interrupt() -> None:
        until = time.monotonic() + 30
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def no_thread_left(before: set[threading.Thread]) -> bool:
    """Return whether every thread that has begun since has ended; a moment is granted."""
    new = [thread for thread in threading.enumerate() if thread not in before]
    for thread in new:
        thread.join(5)
    return not any(thread.is_alive() for thread in new)


class Shared(Sharing):
    """What tests share, one after the other."""

    def __init__(self, run: Run) -> None:
        super().__init__(run, worker=False)

    def of(self, spec: InstanceSpec, share: str, test: str) -> Instance:
        try:
            return self.take(spec, share, test)
        finally:
            self.release()


def times(fake: FakeRouter, route: str) -> int:
    return sum(request.route == route for request in fake.requests)


def left(fake: FakeRouter) -> list[str]:
    """Return the ids of the instances that nobody has deleted."""
    return [str(seen.id) for seen in fake.instances if not seen.deleted]
