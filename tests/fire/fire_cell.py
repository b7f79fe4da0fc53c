"""One cell of the matrix: `fire_cell.py JSON`, a process whose memory is its own.

Prints, in JSON, how each step went, by how much the process has grown, and what it left open.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from fire_process import memory, sockets
from net_tools import CALLS, FIELDS, SOME_ID, SPEC, calls_of, result, turn_of

from pytest_hydrasmoke import HydraSmokeConfig, HydraSmokeError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO

DEADLINE = 1.0
"""Seconds for whatever has a deadline here."""


@dataclass
class Steps:
    """How one thing after the other went."""

    seen: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, name: str, bound: float, work: Callable[[], Any]) -> Any:
        """Do one thing, which is to be over after `bound` seconds; None if it fails."""
        start = time.monotonic()
        done: object = None
        error: Exception | None = None
        try:
            done = await result(work())
        except Exception as raised:
            error = raised
        self.seen.append(
            {
                "name": name,
                "bound": bound,
                "seconds": time.monotonic() - start,
                "error": None if error is None else type(error).__name__,
                "typed": error is None or isinstance(error, HydraSmokeError),
                "words": str(error)[:2000],
            }
        )
        return done


async def the_call_alone(steps: Steps, given: dict[str, Any]) -> None:
    async with calls_of(given["kind"], given["alone"]) as calls:
        call = a_stream if given["call"] == "chat" else CALLS[given["call"]]
        await steps.take("call", DEADLINE, lambda: call(calls, calls.io.now() + DEADLINE))


async def a_stream(calls: Calls, at: float) -> None:
    """Read a turn as `stream_chat` gives it, and keep nothing of it."""
    turn = turn_of(calls, SOME_ID, timeout=at - calls.io.now())
    try:
        await turn.open()
        while await turn.next() is not None:
            pass
    finally:
        await turn.close()


async def a_life(steps: Steps, given: dict[str, Any]) -> None:
    """Provision, chat, count, delete, as far as it gets; the end of the run deletes the rest."""
    limits = ("ready", "chat", "llm_events", "delete")
    timeouts: dict[str, Any] = {f"{name}_timeout": DEADLINE for name in limits}
    config = HydraSmokeConfig(
        url=given["url"],
        token=given["token"],
        run_id="fire",
        output=given["output"],
        **timeouts,
        **FIELDS,
    )
    forms = Forms.from_plain(given["forms"])
    session = SmokeSession(config, Ledger(config.output, config.run_id), forms=forms)
    session.ledger.begin("main")
    io = None if given["kind"] == "sync" else AsyncIO(config.link)

    async def provision() -> Any:
        if io is None:
            return session.provision(SPEC)
        [instance] = await session.many_async(io, 1, SPEC)
        return instance

    # To clean up is to ask for the row, and then to see the deletion confirmed.
    clean_up = 2 * DEADLINE
    instance = await steps.take("provision", DEADLINE + clean_up, provision)
    if instance is not None:
        # A turn begins with a count.
        turn = await steps.take("chat", 2 * DEADLINE, lambda: instance.chat("hello"))
        if turn is not None:
            await steps.take("llm_events", DEADLINE, turn.expect_llm_events)
        await steps.take("delete", DEADLINE, instance.delete)
    await steps.take("close", clean_up, session.close)
    session.ledger.end()
    if io is not None:
        await io.aclose()


async def both(steps: Steps, given: dict[str, Any]) -> None:
    await the_call_alone(steps, given)
    await a_life(steps, given)


def main(given: dict[str, Any]) -> None:
    waste: list[str] = []
    warnings.simplefilter("error")
    sys.unraisablehook = lambda found: waste.append(f"{found.exc_value!r} in {found.object!r}")
    steps = Steps()
    before, began_with = memory("VmRSS"), set(sockets())
    backend = "trio" if given["kind"] == "trio" else "asyncio"
    anyio.run(both, steps, given, backend=backend)
    left = set(sockets()) - began_with
    grown = memory("VmHWM") - before
    gc.collect()
    threads = [thread.name for thread in threading.enumerate()[1:]]
    told = {"steps": steps.seen, "growth": grown, "sockets": sorted(left)}
    print(json.dumps({**told, "threads": threads, "waste": waste}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
