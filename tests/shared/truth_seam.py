"""Runs and sweeps at a `TrueRouter`, without a network and on made-up time.

What these tests know of the package's inside is here: how a run begins and is killed, and how a
sweep gets its network.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from owner_tools import config_for, kill, run_folders
from starlette.responses import Response
from truth import TOKEN
from truth_app import PREFIX, Ask, TrueRouter

from pytest_hydrasmoke import HydraSmokeConfig, VirtualClock
from pytest_hydrasmoke._base.errors import TransportError, TransportTimeoutError
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._report.build import instances_of
from pytest_hydrasmoke._run.ledger import Ledger, read
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.sweep import Sweep
from pytest_hydrasmoke._transport.gathering import Gathering
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import Answer, Request

FOREVER = 1_000_000


class Killed(BaseException):
    """What a test raises where the process would be gone."""


class World:
    """The network between the processes of a test and one router."""

    url = "http://127.0.0.1:9"
    token = TOKEN

    def __init__(self, router: TrueRouter, clock: VirtualClock) -> None:
        self.clock = clock
        self.router = router
        self.lives = FOREVER
        """After how many steps of its requests the process is killed; each has two."""

    def io(self, link: Link) -> Mortal:
        return Mortal(self, link)

    def step(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed


class Mortal(VirtualSyncIO):
    """Calls of a process that may be killed at any of them."""

    def __init__(self, world: World, link: Link, group: Gathering | None = None) -> None:
        super().__init__(link, world.clock, group=group)
        self._world = world

    def within(self, group: Gathering) -> Mortal:
        return Mortal(self._world, self.link, group)

    @contextmanager
    def waiting(self) -> Generator[None]:
        with super().waiting():
            yield
        if self._world.lives < 0:
            raise Killed  # One of its threads was the first to meet its end.

    async def send(self, request: Request, deadline: float) -> Answer:
        answer = await self._answer(request, deadline)
        headers = {name.lower(): text for name, text in answer.headers.items()}
        return Answer(answer.status_code, headers, bytes(answer.body))

    async def open(self, request: Request, deadline: float) -> Any:
        return Whole(await self._answer(request, deadline))

    async def _answer(self, request: Request, deadline: float) -> Response:
        await self.sleep(0.0)  # until it is its turn
        self.check()
        if self.now() >= min(deadline, self.cleanup_deadline()):
            raise TransportTimeoutError("no time for it", reached=False)
        self._world.step()
        path, _, query = request.path.removeprefix(PREFIX).partition("?")
        raw = b"" if request.body is None else json.dumps(dict(request.body)).encode()
        token = (request.link or self.link).token
        given = "" if token is None or request.anonymous else f"Bearer {token.reveal()}"
        answer = self._world.router.answer(Ask(request.method, path, query, given, raw))
        if seconds := self._world.router.truth.manner.takes:
            await self.sleep(seconds)
        self._world.step()
        if answer is None:
            raise TransportError("the answer was lost", reached=True)
        if self.now() >= deadline:
            raise TransportTimeoutError("no answer in time", reached=True)
        return answer


class Whole:
    """An answer to a chat, in one piece."""

    def __init__(self, answer: Response) -> None:
        self.status, self.headers = answer.status_code, dict(answer.headers.items())
        self._chunks = [bytes(answer.body)]

    async def read(self, deadline: float) -> bytes:
        return self._chunks.pop() if self._chunks else b""

    async def close(self) -> None: ...


@contextmanager
def threads_may_be_killed() -> Generator[None]:
    """Say nothing of a thread that is gone with its process."""
    told = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is not Killed:
            told(arguments)

    with patch.object(threading, "excepthook", hook):
        yield


class Process:
    """One process of a run: what it says at its end is its words."""

    def __init__(self, world: World, output: Path, run_id: str, **settings: Any) -> None:
        self.run_id = run_id
        self.config = config_for(world, output, run_id=run_id, **settings)  # type: ignore[arg-type]
        absent = learn(self.config, io=world.io(self.config.link))
        ledger = Ledger(output, run_id)
        ledger.begin("main")
        self.run = Run(self.config, ledger, absent=absent)
        self.run._io = world.io(self.config.link)
        self.spec = self.config.spec

    def end(self) -> dict[str, str]:
        """End it as pytest's end would; return each key's outcome."""
        self.run.close()
        self.run.look_back()
        stories = {str(it.key): it for it in self.run.instances}
        told = instances_of(stories, 0.0)
        self.run.ledger.mark_ended()
        self.run.ledger.end()
        return {str(it.idempotency_key): it.outcome for it in told}

    def kill(self) -> None:
        kill(self.run)


def sweep(
    world: World, output: Path, run_id: str | None, wait: float, **settings: Any
) -> tuple[bool, list[str]]:
    """Sweep one run, or all; return whether something may be left, and what was said."""
    said: list[str] = []
    config: HydraSmokeConfig = config_for(world, output, **settings)  # type: ignore[arg-type]
    swept = Sweep(config, world.io(config.link), wait, dry_run=False, say=said.append)
    how: Callable[[], None] = swept.all_runs if run_id is None else partial(swept.one_run, run_id)
    how()
    return swept.left, [*said, swept.conclusion]


def open_keys(output: Path) -> set[str]:
    """Return the keys that ledgers call open."""
    return {str(known.key) for run in run_folders(output) for known in read(run).open}


def vanished_keys(output: Path) -> set[str]:
    """Return the keys whose instance was gone before their run deleted it, for all it saw.

    A sweep elsewhere may have done so; no look can tell that from a router that lost sight of it.
    """
    known = (it for run in run_folders(output) for it in read(run).open)
    return {str(it.key) for it in known if it.vanished}


class Ages:
    """How old files are by a made-up clock: their times on the disk follow it."""

    def __init__(self, folder: Path, clock: VirtualClock) -> None:
        self._folder = folder
        self._clock = clock
        self._known: dict[Path, tuple[int, float]] = {}

    def follow(self) -> None:
        """Note what was written since, and set the times of everything."""
        for path in self._folder.rglob("*"):
            found = path.stat().st_mtime_ns
            set_to, written = self._known.get(path, (-1, 0.0))
            if set_to != found:
                written = self._clock.now()
            then = int((time.time() - (self._clock.now() - written)) * 1e9)
            os.utime(path, ns=(then, then))
            self._known[path] = path.stat().st_mtime_ns, written
