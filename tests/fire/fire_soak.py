"""Chats for a long time, by which a process must not grow.

`fire_soak.py` alone soaks for two minutes, against a fake router that is a process of its own.
`fire_soak.py JSON` is one client of a soak, a process whose memory is its own; it prints JSON.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from fire_process import memory
from fire_tools import MIB, python, told_by
from net_tools import KINDS, SPEC, result, session_to

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._clock.io import async_io, blocking_io
from pytest_hydrasmoke._run.session import SmokeSession

SECONDS = 120.0
WARM_UP = 20
"""Chats before memory is looked at: the first ones load what they need."""
LIMIT = 4 * MIB
"""What a process may grow by, whatever the number of chats; its book-keeping takes some of it."""
TOKEN = "made-up-token-of-the-soak"


async def soak(session: SmokeSession, given: dict[str, Any]) -> dict[str, Any]:
    """Chat until the time is over, and count now and then."""
    clock = VirtualClock() if given["virtual"] else None
    session._io.close()
    session._io = blocking_io(session.config.link, clock)
    io = None if given["kind"] == "sync" else async_io(session.config.link, clock)
    instance: Any
    if io is None:
        instance = session.provision(SPEC)
    else:
        [instance] = await session.many_async(io, 1, SPEC)
    time_of = io or session._io
    until = time_of.now() + given["seconds"]
    chats = events = began_with = 0
    while time_of.now() < until:
        turn = await result(instance.chat(f"message {chats}"))
        assert turn.complete
        chats += 1
        events += len(turn.events)
        if chats % 10 == 0:
            await result(turn.expect_llm_events(at_least=1))
        if chats == WARM_UP:
            gc.collect()
            began_with = memory("VmRSS")
        await time_of.sleep(given["pause"])
    gc.collect()
    ended_with = memory("VmRSS")
    await result(instance.delete())
    if io is not None:
        await io.aclose()
    return {"chats": chats, "events": events, "began_with": began_with, "ended_with": ended_with}


def client(given: dict[str, Any]) -> dict[str, Any]:
    """Be one client of a soak."""
    run_id = f"soak-{given['kind']}"
    # The router writes its rows at once: there is nothing to wait for between two chats.
    more = {"token": given["token"], "run_id": run_id, "usage_settle": 0.01}
    with session_to(given["url"], learns=True, **more) as session:
        backend = "trio" if given["kind"] == "trio" else "asyncio"
        return anyio.run(soak, session, given, backend=backend)


def start_client(url: str, token: str, kind: str, **more: Any) -> subprocess.Popen[str]:
    """Start one client of a soak; `told_by` gives what it tells."""
    given = {"url": url, "token": token, "kind": kind, **more}
    return python("fire_soak.py", json.dumps(given))


def figures(kind: str, told: dict[str, Any], what: str) -> str:
    began, ended = told["began_with"] / MIB, told["ended_with"] / MIB
    return (
        f"soak ({kind}, {what}): {told['chats']} chats, {told['events']} events, "
        f"RSS {began:.1f} MiB at the start, {ended:.1f} MiB at the end"
    )


def complaint(told: dict[str, Any]) -> str | None:
    """Return what is not as it must be."""
    if told["chats"] <= WARM_UP:
        return f"only {told['chats']} chats"
    grown = told["ended_with"] - told["began_with"]
    return f"grown by {grown / MIB:.1f} MiB" if grown > LIMIT else None


@contextlib.contextmanager
def router() -> Iterator[str]:
    """Serve a fake router as a process of its own; gives its URL."""
    command = [sys.executable, "-m", "pytest_hydrasmoke", "fake", "--port", "0", "--scenario"]
    scenario = Path(tempfile.mkdtemp()) / "soak.toml"
    scenario.write_text("llm_events_lag = 0\n", "utf-8")
    with subprocess.Popen(
        [*command, str(scenario)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HYDRA_SMOKE_TOKEN": TOKEN},
    ) as process:
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            yield next(word for word in words if word.startswith("http"))
        finally:
            process.send_signal(signal.SIGTERM)
            shutil.rmtree(scenario.parent)


def main(seconds: float) -> int:
    """Soak with every kind of client at once; gives the exit code."""
    start = time.monotonic()
    with router() as url:
        clients = {
            kind: start_client(url, TOKEN, kind, seconds=seconds, virtual=False, pause=0.01)
            for kind in KINDS
        }
        told = {kind: told_by(process, seconds + 60) for kind, process in clients.items()}
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
