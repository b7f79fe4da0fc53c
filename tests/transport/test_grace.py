"""A deletion that has begun is carried out, whatever becomes of whoever asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest
from faulty_server import FaultyServer, Line, Received, answer, in_turn, stall_before_head
from net_tools import SOME_ID, calls_of, own, session_to

from pytest_hydrasmoke import AsyncSmokeInstance, LeakError
from pytest_hydrasmoke._core import deletion
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.grace import shielded

pytestmark = pytest.mark.anyio


class SlowlyDeleting:
    """A router whose delete takes until the test lets it go on."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.refuse = False
        self.deleted = False

    def __call__(self, line: Line, request: Received) -> None:
        if request.method == "DELETE":
            self.asked.set()
            self.go_on.wait(5)
            if self.refuse:
                answer({"detail": "no"}, 401)(line, request)
                return
            self.deleted = True
            answer({"instance_id": SOME_ID, "status": "deleted"})(line, request)
        elif "/by-key/" in request.target:
            answer({"found": False})(line, request)
        else:
            word = "deleted" if self.deleted else "running"
            answer({"id": SOME_ID, "status": word})(line, request)

    async def until_asked(self) -> None:
        await anyio.to_thread.run_sync(self.asked.wait, 5)


@pytest.fixture
def router() -> Iterator[SlowlyDeleting]:
    router = SlowlyDeleting()
    yield router
    router.go_on.set()


def an_instance(session: SmokeSession, io: AsyncIO) -> tuple[InstanceRecord, AsyncSmokeInstance]:
    record = own(session)
    return record, AsyncSmokeInstance(session.handle(record, io))


LOOPS = pytest.mark.parametrize("kind", ["asyncio", "trio"], indirect=True)
ASYNCIO = pytest.mark.parametrize("kind", ["asyncio"], indirect=True)


@LOOPS
async def test_a_cancelled_scope_gets_its_deletion_and_then_its_cancellation(
    router: SlowlyDeleting, kind: str
) -> None:
    with FaultyServer(router) as server, session_to(server.url) as session:
        io = AsyncIO(session.config.link)
        record, instance = an_instance(session, io)
        reached_the_end = False
        async with anyio.create_task_group() as group:

            async def leave() -> None:
                nonlocal reached_the_end
                async with instance:
                    pass
                await anyio.lowlevel.checkpoint()
                reached_the_end = True

            group.start_soon(leave)
            await router.until_asked()
            group.cancel_scope.cancel()
            threading.Timer(0.05, router.go_on.set).start()
        await io.aclose()
    assert router.deleted
    assert record.state is State.GONE
    assert not reached_the_end


@ASYNCIO
async def test_a_cancelled_task_gets_its_deletion_and_then_its_cancellation(
    router: SlowlyDeleting, kind: str
) -> None:
    with FaultyServer(router) as server, session_to(server.url) as session:
        io = AsyncIO(session.config.link)
        record, instance = an_instance(session, io)
        task = asyncio.ensure_future(instance.delete())
        await router.until_asked()
        for _ in range(3):  # impatience changes nothing
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done()
        router.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await io.aclose()
    assert record.state is State.GONE
    assert record.leak is None
    assert server.count("DELETE") == 1


@ASYNCIO
async def test_a_timeout_of_asyncio_around_a_deletion_is_still_one(
    router: SlowlyDeleting, kind: str
) -> None:
    with FaultyServer(router) as server, session_to(server.url) as session:
        io = AsyncIO(session.config.link)
        record, instance = an_instance(session, io)
        threading.Timer(0.2, router.go_on.set).start()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await instance.delete()
        await io.aclose()
    assert record.state is State.GONE


@ASYNCIO
async def test_a_deletion_that_fails_while_cancelled_is_quiet_and_still_to_be_done(
    router: SlowlyDeleting, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    router.refuse = True
    with FaultyServer(router) as server, session_to(server.url) as session:
        io = AsyncIO(session.config.link)
        record, instance = an_instance(session, io)
        task = asyncio.ensure_future(instance.delete())
        await router.until_asked()
        task.cancel()
        router.go_on.set()
        with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
            await task
        await io.aclose()
        assert record.state is State.READY
        # The run's own clean-up finds it, and says what is wrong with it.
        await anyio.to_thread.run_sync(session.close)
        assert record.leak is not None
    del task
    gc.collect()
    assert "never retrieved" not in caplog.text


@LOOPS
async def test_what_takes_too_long_is_a_timeout(kind: str) -> None:
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        try:
            await anyio.sleep(30)
        except anyio.get_cancelled_exc_class():
            cancelled = True
            raise

    with pytest.raises(TimeoutError):
        await shielded(0.05, work)
    assert cancelled


@LOOPS
async def test_a_cancellation_does_not_lengthen_what_takes_too_long(kind: str) -> None:
    # Which of the two comes out is open: both say that it was not done.
    with contextlib.suppress(TimeoutError), anyio.move_on_after(0.02) as scope:
        await shielded(0.1, lambda: anyio.sleep(30))
        pytest.fail("it was done")
    assert scope.cancel_called


@ASYNCIO
async def test_a_cancelled_task_whose_work_takes_too_long_is_cancelled(kind: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(30)
        ended.set()

    task = asyncio.ensure_future(shielded(0.1, work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()


@LOOPS
async def test_what_the_work_gives_or_raises_comes_out(kind: str) -> None:
    async def gives() -> int:
        await anyio.lowlevel.checkpoint()
        return 7

    async def raises() -> None:
        await anyio.lowlevel.checkpoint()
        raise ZeroDivisionError

    assert await shielded(5, gives) == 7
    with pytest.raises(ZeroDivisionError):
        await shielded(5, raises)


@ASYNCIO
async def test_a_cancelled_scope_does_not_keep_the_loop_busy(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 0
    wait = asyncio.wait

    async def counted(*args: object, **kwargs: object) -> object:
        nonlocal waits
        waits += 1
        return await wait(*args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(asyncio, "wait", counted)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await shielded(5, lambda: asyncio.sleep(0.1))
    assert waits < 10


async def test_a_deletion_that_never_ends_is_a_leak(kind: str, router: SlowlyDeleting) -> None:
    with (
        FaultyServer(router) as server,
        session_to(server.url, delete_timeout=0.2) as session,
    ):
        record = own(session)
        async with calls_of(kind, server.url) as calls:
            with pytest.raises(LeakError, match="no answer in time"):
                await deletion.delete(calls, record, session.policy)
        router.go_on.set()


@LOOPS
async def test_a_turn_that_is_cancelled_before_it_began_is_given_back(kind: str) -> None:
    count = answer({"instance_id": SOME_ID, "count": 0, "providers": [], "window_seconds": 1})
    turn = answer(b"data: hello\n\ndata: [DONE]\n\n", kind="text/event-stream")
    with (
        FaultyServer(in_turn(stall_before_head, count, turn)) as server,
        session_to(server.url) as session,
    ):
        io = AsyncIO(session.config.link)
        _, instance = an_instance(session, io)
        with anyio.move_on_after(0.3) as scope:
            await instance.chat("hello")
        assert scope.cancelled_caught
        assert (await instance.chat("hello")).text == "hello"
        await io.aclose()
    assert server.count("/chat") == 1
