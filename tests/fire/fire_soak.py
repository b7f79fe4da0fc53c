"""Chats for a long time, by which a process must not grow.

First it chats until all is loaded and the instance's story is full: of many chats that keeps the
newest. What comes after that must not grow at all.

`fire_soak.py` alone soaks for two minutes, against a fake router that is a process of its own.
`fire_soak.py JSON` is one client of a soak, a process whose memory is its own; it prints JSON.
"""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from fire_process import memory
from fire_tools import MIB, TOKEN, python, router, told_by
from net_tools import KINDS, SPEC, result, run_at

from pytest_hydrasmoke import AsyncSmokeInstanceFactory, VirtualClock
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal import story
from pytest_hydrasmoke._run.run import Run

SECONDS = 120.0
LOADED = 20
"""Chats after which all that a chat needs is loaded."""
KEPT = 7 * MIB // 2
"""What a process may grow by from then on until the story of its instance is full: 1.5 MiB of it
are objects that live, the rest is room that the allocator keeps."""
STEADY = MIB // 4
"""What a process may grow by after that, whatever the number of chats."""
LEAST = 500
"""Chats after that which a soak has at least: half a KiB left by each of them is `STEADY`."""


class Chats:
    """Chats with one instance, counted, each with a pause after it."""

    def __init__(self, instance: Any, sleep: Callable[[float], Any], given: dict[str, Any]) -> None:
        self._instance = instance
        self._sleep = sleep
        self._pause: float = given["pause"]
        self._leak: int = given.get("leak", 0)
        self._leaked: list[bytearray] = []
        self.count = self.events = 0

    async def chat(self) -> None:
        """Chat, and count its LLM events now and then; leaves as much behind as it is to leak."""
        turn = await result(self._instance.chat(f"message {self.count}"))
        assert turn.complete
        self.count += 1
        self.events += len(turn.events)
        if self.count % 10 == 0:
            # Not the turn's own, which a loaded machine may not tell from the turn's before it.
            await result(self._instance.expect_llm_events(at_least=1))
        if self._leak:
            self._leaked.append(bytearray(self._leak))
        await self._sleep(self._pause)


def is_full(instance: Instance) -> bool:
    """Return whether a story keeps as many of each kind as it ever does; no chat here fails."""
    kept = (instance.spans, instance.requests.kept, instance.chats.turns, instance.chats.counted)
    return all(len(some) == some.maxlen for some in kept)


def size() -> int:
    """Return how many bytes of memory are in use, without what is only waiting to be collected."""
    gc.collect()
    return memory("Rss", "smaps_rollup")


async def soak(run: Run, given: dict[str, Any]) -> dict[str, int]:
    """Chat until the story is full, and then until the time is over; tells the memory at each."""
    clock = VirtualClock() if given["virtual"] else None
    run._io.close()
    run._io = blocking_io(run.config.link, clock)
    io = None if given["kind"] == "sync" else async_io(run.config.link, clock)
    instance: Any
    if io is None:
        instance = run.provision(SPEC)
    else:
        instance = await AsyncSmokeInstanceFactory(run, io)()
    [owned] = run.instances
    time_of = io or run._io
    chats = Chats(instance, time_of.sleep, given)
    while chats.count < LOADED:
        await chats.chat()
    loaded = size()
    while not is_full(owned):
        await chats.chat()
    full, warm_up, events = size(), chats.count, chats.events
    until = time_of.now() + given["seconds"]
    while time_of.now() < until:
        await chats.chat()
    ended = size()
    await result(instance.delete())
    if io is not None:
        await io.aclose()
    memory = {"loaded": loaded, "full": full, "ended": ended}
    soaked = {"chats": chats.count - warm_up, "events": chats.events - events}
    return {"warm_up": warm_up, **soaked, **memory}


def client(given: dict[str, Any]) -> dict[str, Any]:
    """Be one client of a soak."""
    if "most" in given:
        story.MOST = given["most"]  # Less is kept, and a story is soon full.
    run_id = f"soak-{given['kind']}"
    # The router writes its rows at once: there is nothing to wait for between two chats.
    more = {"token": given["token"], "run_id": run_id, "usage_settle": 0.01}
    with run_at(given["url"], learns=True, **more) as run:
        backend = "trio" if given["kind"] == "trio" else "asyncio"
        return anyio.run(soak, run, given, backend=backend)


def start_client(url: str, token: str, kind: str, **more: Any) -> subprocess.Popen[str]:
    """Start one client of a soak; `told_by` gives what it tells."""
    return python("fire_soak.py", url=url, token=token, kind=kind, **more)


def figures(kind: str, told: dict[str, int], what: str) -> str:
    loaded, full, ended = (told[name] / MIB for name in ("loaded", "full", "ended"))
    return (
        f"soak ({kind}, {what}): RSS {loaded:.1f} MiB after {LOADED} chats, {full:.2f} MiB after "
        f"{told['warm_up']}, {ended:.2f} MiB after {told['chats']} more with {told['events']} "
        "events"
    )


def complaint(told: dict[str, int], least: float = LEAST) -> str | None:
    """Return what is not as it must be; `least` is how many chats there have to be."""
    kept, grown = told["full"] - told["loaded"], told["ended"] - told["full"]
    if told["chats"] < least:
        return f"only {told['chats']} chats, of at least {least:.0f}"
    if kept > KEPT:
        return f"grown by {kept / MIB:.2f} MiB until its story was full"
    if grown > STEADY:
        return f"grown by {grown / MIB:.2f} MiB in {told['chats']} chats, its story being full"
    return None


def main(seconds: float) -> int:
    """Soak with every kind of client at once; gives the exit code."""
    start = time.monotonic()
    scenario = Path(tempfile.mkdtemp()) / "soak.toml"
    scenario.write_text("llm_events_lag = 0\n", "utf-8")
    with router("--scenario", str(scenario)) as url:
        clients = {
            kind: start_client(url, TOKEN, kind, seconds=seconds, virtual=False, pause=0.01)
            for kind in KINDS
        }
        told = {kind: told_by(process, seconds + 300) for kind, process in clients.items()}
    shutil.rmtree(scenario.parent)
    for kind, words in told.items():
        print(figures(kind, words, f"{time.monotonic() - start:.0f} s"))
    complaints = [f"{kind}: {words}" for kind in KINDS if (words := complaint(told[kind]))]
    print("\n".join(complaints), file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(client(json.loads(sys.argv[1]))))
    else:
        sys.exit(main(SECONDS))
