"""A client under fire, in a process whose memory is its own: `fire_cell.py JSON`.

It meets a fault, or a router that says far too much. Prints, in JSON, how each step went, by how
much the process has grown, how large its report is, and what it left open.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import net_tools as net
from fire_process import memory, sockets

from pytest_hydrasmoke import AsyncSmokeInstanceFactory, HydraSmokeConfig, HydraSmokeError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._transport.asynchronous import AsyncIO


class Client:
    """Does one thing after the other, as it is given."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.kind: str = given["kind"]
        self.seconds: float = given["seconds"]
        """Whatever has a deadline here has that one, but for a deletion."""
        self.steps: list[dict[str, Any]] = []
        self.report = 0

    async def take(self, name: str, bound: float, work: Callable[[], Any]) -> Any:
        """Do one thing, which is to be over after `bound` seconds; None if it fails."""
        start = time.monotonic()
        done: object = None
        error: Exception | None = None
        try:
            done = await net.result(work())
        except Exception as raised:
            error = raised
        took = {"name": name, "bound": bound, "seconds": time.monotonic() - start}
        typed = error is None or isinstance(error, HydraSmokeError)
        words = {"error": error and type(error).__name__, "words": str(error)[:2000]}
        self.steps.append({**took, "typed": typed, **words})
        return done

    async def the_call_alone(self) -> None:
        async with net.calls_of(self.kind, self.given["alone"]) as calls:
            call = a_stream if self.given["call"] == "chat" else net.CALLS[self.given["call"]]
            until = calls.io.now() + self.seconds
            await self.take("call", self.seconds, lambda: call(calls, until))

    async def a_life(self) -> None:
        """Provision, chat, count, delete, as far as it gets; the run's end deletes the rest."""
        limits = ("ready", "chat", "llm_events")
        config = HydraSmokeConfig(
            url=self.given["url"],
            token=self.given["token"],
            run_id="fire",
            output=Path(self.given["output"]),
            delete_timeout=1.0,
            **{f"{name}_timeout": self.seconds for name in limits},  # type: ignore[arg-type]
            **net.FIELDS,
        )
        absent = Absent(*self.given["absent"])
        run = Run(config, Ledger(config.output, config.run_id), absent=absent)
        run.ledger.begin("main")
        io = None if self.kind == "sync" else AsyncIO(config.link)

        async def provision() -> Any:
            if io is None:
                return run.provision(net.SPEC)
            return await AsyncSmokeInstanceFactory(run, io)()

        # To clean up is to ask for the row, and then to see the deletion confirmed.
        bound, clean_up = self.seconds, 2.0
        instance = await self.take("provision", bound + clean_up, provision)
        if instance is not None:
            # A turn begins with a count.
            turn = await self.take("chat", 2 * bound, lambda: instance.chat("hello"))
            if turn is not None:
                least = self.given["at_least"]
                count = turn.expect_llm_events
                await self.take("llm_events", bound, lambda: count(at_least=least))
            await self.take("delete", 1.0, instance.delete)
        await self.take("close", clean_up, run.close)
        for owned in run.instances:
            told = report_of(str(owned.key), owned, 0.0).model_dump_json()
            self.report = max(self.report, len(told))
        run.ledger.end()
        if io is not None:
            await io.aclose()

    async def run(self) -> None:
        if "alone" in self.given:
            await self.the_call_alone()
        await self.a_life()


async def a_stream(calls: Calls, at: float) -> None:
    """Read a turn as `stream_chat` gives it, and keep nothing of it."""
    turn = net.turn_of(calls, net.SOME_ID, timeout=at - calls.io.now())
    try:
        await turn.open()
        while await turn.next() is not None:
            pass
    finally:
        await turn.close()


def main(given: dict[str, Any]) -> None:
    waste: list[str] = []
    warnings.simplefilter("error")
    sys.unraisablehook = lambda found: waste.append(f"{found.exc_value!r} in {found.object!r}")
    client = Client(given)
    before, began_with = memory("VmRSS"), sockets()
    anyio.run(client.run, backend="trio" if client.kind == "trio" else "asyncio")
    left = sockets() - began_with
    grown = memory("VmHWM") - before
    gc.collect()
    threads = threading.enumerate()[1:]
    for thread in threads:
        thread.join(1.0)  # The one that waits for deadlines looks whether there are any.
    alive = [thread.name for thread in threads if thread.is_alive()]
    told = {"steps": client.steps, "growth": grown, "report": client.report}
    print(json.dumps({**told, "left_open": [*sorted(left), *alive, *waste]}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
