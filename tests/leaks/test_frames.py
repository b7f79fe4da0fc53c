"""The package's own frames, in a process without the switch: no traceback has the token in one.

Locals and arguments of frames are shown by `-l`, `--tb=long`, `--full-trace`, `capture_locals` and
whatever collects crashes. So an interrupt is tried wherever Python can deliver one, and each way to
fail is tried by itself.
"""

from __future__ import annotations

import asyncio
import gc
import pkgutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import httpcore
import httpcore._synchronization
import httpx
import pytest
from inner import only
from leaks_tools import hits, windows
from origin_tools import AsyncLinkClient, LinkClient
from plugin_tools import TOKEN
from sizes import sampled

from pytest_hydrasmoke import TransportError
from pytest_hydrasmoke._api import calls
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke.fake import FakeRouter

# What is broken off leaves sockets open, and says so somewhere.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)

PARTS = windows(TOKEN)


def everything(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and all that it came of."""
    seen, chain = set[int](), [error]
    while chain:
        it = chain.pop()
        if id(it) not in seen:
            seen.add(id(it))
            yield it
            chain += [cause for cause in (it.__cause__, it.__context__) if cause is not None]
            chain += it.exceptions if isinstance(it, BaseExceptionGroup) else ()


def showing(error: BaseException) -> dict[str, str]:
    """Return the frames that a traceback could show a part of the token of: place, and local."""
    found: dict[str, str] = {}
    for it in everything(error):
        for frame, line in traceback.walk_tb(it.__traceback__):
            if frame.f_code.co_filename == __file__:
                continue
            for name, value in frame.f_locals.items():
                if hits(shown(value), PARTS):
                    found[f"{frame.f_code.co_filename}:{line}"] = name
    return found


def shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return repr(error)


class Interrupter:
    """Raises `KeyboardInterrupt` at one of the moments at which Python looks for signals.

    That is where a function begins, and around each of C's; and, what is left out here, where one
    of Python's own returns: CPython may crash of what is raised for a coroutine there.
    """

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.seen = 0

    def __enter__(self) -> Interrupter:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        # An interrupt between a lock and its `try` is httpcore's to answer for: it would never end.
        # So would one just before a lock of `threading` is released: no signal comes there. And
        # CPython 3.11 may crash of one where httpx's parser of URLs begins; no token is there.
        locks = (httpcore._synchronization.__file__, threading.__file__)
        passed = (__file__, *locks, httpx._urlparse.__file__)
        if frame.f_code.co_filename in passed or event in ("return", "c_exception"):
            return
        self.seen += 1
        if self.seen == self.moment:
            sys.setprofile(None)
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    yield
    gc.collect()  # Or else they say so in somebody else's test.


def blocking(link: Link) -> None:
    client = LinkClient(link)
    client.poll("a-key")
    client.close()


def awaited(link: Link) -> None:
    async def call() -> None:
        client = AsyncLinkClient(link)
        await client.poll("a-key")
        await client.aclose()

    asyncio.run(call())


@pytest.mark.leaks
def test_no_interrupt_shows_the_token(router: FakeRouter) -> None:
    link = Link(router.url, Token(TOKEN))
    blocking(link)
    with Interrupter(0) as never:
        blocking(link)
    found: dict[str, str] = {}
    came = 0
    for moment in range(1, never.seen + 1):
        try:
            with Interrupter(moment):
                blocking(link)
        except BaseException as error:
            came += 1
            found |= showing(error)
    print(f"\n{never.seen} moments, {came} interrupts came out, {len(found)} frames show the token")
    assert never.seen > 500
    assert came > never.seen / 10
    assert not found


# What is called on the way from the client to the socket, and has the header in its hands.
BELOW = {
    blocking: (
        "httpx.Headers.__setitem__",
        "h11.Connection.send",
        "httpcore.ConnectionPool.handle_request",
        "pytest_hydrasmoke._transport.deadlines.DeadlineStream.write",
        "httpcore._backends.sync.SyncStream.read",
    ),
    awaited: (
        "httpx.Headers.__setitem__",
        "h11.Connection.send",
        "httpcore.AsyncConnectionPool.handle_async_request",
        "httpcore._backends.anyio.AnyIOStream.write",
        "httpcore._backends.anyio.AnyIOStream.read",
    ),
}


class BugError(Exception):
    """What nobody has thought of."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, BugError, httpcore.ProtocolError])
@pytest.mark.parametrize(
    ("call", "where"), [(call, where) for call, places in BELOW.items() for where in places]
)
def test_nothing_that_is_raised_below_shows_the_token(
    call: Callable[[Link], None],
    where: str,
    kind: type[BaseException],
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, real = threading.get_ident(), pkgutil.resolve_name(where)

    def fail(*arguments: Any, **options: Any) -> Any:
        if threading.get_ident() != here:
            return real(*arguments, **options)  # The fake router's server has an h11 of its own.
        try:
            raise ValueError("which comes first")
        except ValueError:
            raise kind("from below")  # noqa: B904

    # Every attempt fails: one is enough.
    monkeypatch.setattr(calls, "LAST_CHANCE", calls.CALL_TIMEOUT)
    monkeypatch.setattr(where, fail)
    with pytest.raises((kind, TransportError)) as caught:
        call(Link(router.url, Token(TOKEN)))
    assert not showing(caught.value)
    assert kind is httpcore.ProtocolError or caught.type is kind


# Ways to fail that are the caller's own

SUITE = """
import os

import pytest

from pytest_hydrasmoke import *
from pytest_hydrasmoke.fake import FakeRouter

SOME_ID = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"
SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")

@pytest.fixture
def url():
    with FakeRouter(token=os.environ["A_TOKEN"]) as router:
        yield router.url

def test_bad_id(url):
    with SmokeClient(url, token=os.environ["A_TOKEN"]) as client:
        client.status("..")

def test_no_text(url):
    # Half a surrogate pair, which no JSON may have.
    with SmokeClient(url, token=os.environ["A_TOKEN"]) as client:
        client.provision(SPEC, "\\ud800")

def test_bad_url():
    SmokeClient("https://user@router.example", token=os.environ["A_TOKEN"])

def test_bad_token(url):
    SmokeClient(url, token=f"Bearer {os.environ['A_TOKEN']}\\n")

def test_bad_token_awaited(url):
    AsyncSmokeClient(url, token=f"{os.environ['A_TOKEN']}\\n")

def test_unreachable():
    with SmokeClient("http://127.0.0.1:9", token=os.environ["A_TOKEN"], clock=VirtualClock()) as it:
        it.status(SOME_ID)

def test_refused(url):
    with SmokeClient(url, token=os.environ["A_TOKEN"] + "x") as client:
        client.status(SOME_ID)
"""
FULL = ("-l", "--full-trace", "-vv")


@pytest.mark.parametrize(
    "arguments",
    sampled(
        "leaks",
        [FULL, ("-l",), ("-l", "--tb=long", "-vv"), ("--tb=native", "-l"), (*FULL, "process")],
        [FULL],
        name=" ".join,
    ),
)
def test_no_test_without_the_switch_shows_the_token(
    arguments: tuple[str, ...], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", TOKEN)
    pytester.makepyfile(test_ways=SUITE)
    *options, last = arguments
    run = pytester.runpytest_subprocess if last == "process" else pytester.runpytest_inprocess
    options += [] if last == "process" else [last]
    ended = run(*only(), *options, "--junit-xml=junit.xml")
    ended.assert_outcomes(failed=7)
    junit = (pytester.path / "junit.xml").read_text("utf-8")
    for text in (ended.stdout.str(), ended.stderr.str(), junit):
        assert not hits(text, PARTS)
