"""What the tests over real sockets share: worlds, the kinds of client, and errors taken apart."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import tempfile
import traceback
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpcore

from pytest_hydrasmoke import (
    AsyncSmokeClient,
    AsyncSmokeInstance,
    AsyncSmokeInstanceFactory,
    ChatEvent,
    HydraSmokeConfig,
    InstanceSpec,
    SmokeClient,
    SmokeInstance,
    VirtualClock,
)
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._clock.io import VirtualSyncIO, async_io, blocking_io
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke.fake import FakeRouter, Scenario

T = TypeVar("T")
IO = SyncIO | AsyncIO

KINDS = ("sync", "asyncio", "trio")


def with_kinds(values: Sequence[object]) -> list[tuple[str, object]]:
    """Return kinds and values: each in blocking code, the first one under both loops too.

    For rules of the one coroutine that all of them run, which no network has a part in.
    """
    return [*(("sync", value) for value in values), *((kind, values[0]) for kind in KINDS[1:])]


FIELDS = {"manifest_id": "hermes-basic", "region_id": "eu-central", "tier_id": "tier-1"}
SPEC = InstanceSpec(**FIELDS)
SOME_ID = "5f0c2a7e-3a4b-4c1d-9e8f-0a1b2c3d4e5f"
TOKEN = Token("made-up-Qz7fKx2WvR9pLm4Tn8")

AT_ONCE = Scenario(row_after=0, statuses=((0, "running"),))
"""A router whose instances are ready as soon as they are asked for."""

CALLS: dict[str, Callable[[Calls, float], Awaitable[object]]] = {
    "provision": lambda calls, at: calls.provision(SPEC, "net-0", deadline=at),
    "poll": lambda calls, at: calls.poll("net-0", deadline=at),
    "status": lambda calls, at: calls.status(SOME_ID, deadline=at),
    "chat": lambda calls, at: whole_turn(calls, at - calls.io.now()),
    "llm_events": lambda calls, at: calls.llm_events(SOME_ID, 900, deadline=at),
    "delete": lambda calls, at: calls.delete(SOME_ID, deadline=at),
}
"""Each of the six calls, until a deadline."""


def link_to(url: str, **more: Any) -> Link:
    return Link(url, TOKEN, **more)


def io_of(kind: str, url: str, *, clock: VirtualClock | None = None, **link: Any) -> IO:
    make = blocking_io if kind == "sync" else async_io
    return make(link_to(url, **link), clock)


@asynccontextmanager
async def calls_of(kind: str, url: str, **more: Any) -> AsyncGenerator[Calls]:
    """Yield the six calls over an IO of a kind, closed in the end."""
    io = io_of(kind, url, **more)
    try:
        yield Calls(io)
    finally:
        await close(io)


async def close(io: IO) -> None:
    if isinstance(io, SyncIO):
        io.close()
    else:
        await io.aclose()


def client_of(kind: str, url: str, **more: Any) -> SmokeClient | AsyncSmokeClient:
    make = SmokeClient if kind == "sync" else AsyncSmokeClient
    return make(url, token=more.pop("token", TOKEN), **more)


async def result(value: Awaitable[T] | T) -> T:
    """Return what a sync client returned, or what an async one is to be awaited for."""
    return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def within(manager: Any) -> AsyncGenerator[Any]:
    """Enter a context manager, whichever kind it is of."""
    if hasattr(manager, "__aenter__"):
        async with manager as entered:
            yield entered
    else:
        with manager as entered:
            yield entered


async def next_of(stream: Any) -> ChatEvent | None:
    """Return the next event of a chat stream of either kind; None at its end."""
    with contextlib.suppress(StopIteration, StopAsyncIteration):
        event: ChatEvent = await anext(stream) if hasattr(stream, "__anext__") else next(stream)
        return event
    return None


async def all_of(stream: Any) -> list[ChatEvent]:
    """Return the events of a chat stream of either kind, to its end."""
    if hasattr(stream, "__aiter__"):
        return [event async for event in stream]
    return list(stream)


def turn_of(calls: Calls, instance_id: str, *, timeout: float = 5.0) -> OpenTurn:
    it = ChatTarget.of_client(instance_id)
    return OpenTurn(calls, it, "hello", Incoming(Reading(), "optional"), timeout=timeout)


async def whole_turn(calls: Calls, timeout: float, instance_id: str = SOME_ID) -> list[ChatEvent]:
    turn = turn_of(calls, instance_id, timeout=timeout)
    events: list[ChatEvent] = []
    try:
        await turn.open()
        while (event := await turn.next()) is not None:
            events.append(event)
    finally:
        await turn.close()
    return events


def config_for(router: FakeRouter, **settings: Any) -> HydraSmokeConfig:
    return HydraSmokeConfig(
        **{"url": router.url, "token": router.token, "run_id": "net", **FIELDS, **settings}
    )


def run_for(config: HydraSmokeConfig, *, learns: bool = True) -> Run:
    """Make a run of one process, with a ledger that goes with it; first it learns, as runs do.

    It learns in its own time: a test's short `ready_timeout` is for what comes then.
    """
    output = Path(tempfile.mkdtemp())
    ledger = Ledger(output, config.run_id)
    ledger.folder.mkdir(parents=True)
    patient = config.model_copy(update={"ready_timeout": 60.0})
    run = Run(config, ledger, absent=learn(patient) if learns else Absent())
    weakref.finalize(run, shutil.rmtree, output)
    return run


@contextmanager
def run_at(url: str, *, learns: bool = False, **settings: Any) -> Iterator[Run]:
    """Yield a run against a server, which may be no router; what it owns is the test's affair."""
    given: dict[str, Any] = {"url": url, "token": TOKEN, "run_id": "net", **FIELDS, **settings}
    run = run_for(HydraSmokeConfig(**given), learns=learns)
    try:
        yield run
    finally:
        run._io.close()


def on_clock(run: Run, clock: VirtualClock) -> None:
    """Let a run's time be a clock's."""
    run._io = VirtualSyncIO(run.config.link, clock, run.interrupts)


def own(run: Run) -> Instance:
    """Let a run own an instance that is ready."""
    [instance] = run.claim(SPEC)
    instance.id, instance.state = SOME_ID, State.READY
    return instance


class World:
    """A fake router, a run of smoke tests against it, and handles of one kind.

    Client and router share a clock that passes only when the client sleeps.
    """

    def __init__(self, kind: str, scenario: Scenario, **settings: Any) -> None:
        self.kind = kind
        self.clock = VirtualClock()
        self.fake = FakeRouter(scenario, clock=self.clock)
        self._settings = settings
        self._ios: list[IO] = []

    async def __aenter__(self) -> World:
        self.fake.__enter__()
        self.run = run_for(config_for(self.fake, **self._settings))
        # What it has learned from is no part of its story.
        self.fake.reset()
        self.run._io = blocking_io(self.run.config.link, self.clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        for io in self._ios:
            await close(io)
        self.run.close()
        self.fake.__exit__(None, None, None)

    def async_io(self) -> AsyncIO:
        io = async_io(self.run.config.link, self.clock)
        self._ios.append(io)
        return io

    def client(self, **more: Any) -> SmokeClient | AsyncSmokeClient:
        url, token = self.fake.url, self.fake.token
        return client_of(self.kind, url, token=token, clock=self.clock, **more)

    async def provision(self) -> SmokeInstance | AsyncSmokeInstance:
        if self.kind == "sync":
            return self.run.provision(SPEC)
        return await AsyncSmokeInstanceFactory(self.run, self.async_io())()

    def routes(self) -> list[str | None]:
        """Name the routes of the requests that arrived, in their order."""
        return [request.route for request in self.fake.requests]


# Errors taken apart


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what it came of, as a traceback would show."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]
            if isinstance(one, BaseExceptionGroup):
                waiting += one.exceptions


def as_printed(error: BaseException) -> str:
    """Print a traceback with the values of all local variables."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(whole.format())


def assert_clean(error: BaseException, token: Token = TOKEN) -> None:
    """Check that no traceback of it can show the token, or a frame of the HTTP libraries."""
    secret, printed = token.reveal(), as_printed(error)
    for start in range(len(secret) - 7):
        assert secret[start : start + 8] not in printed
    assert "authorization" not in printed.lower()
    for one in chain(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            parts = Path(frame.f_code.co_filename).parts
            assert not {"httpx", "httpcore", "h11"} & set(parts), parts
            # Its headers are in no repr, but a debugger opens them.
            assert not any(isinstance(it, httpcore.Request) for it in frame.f_locals.values())
