"""A deletion that has begun is carried out, whatever becomes of whoever asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import faulty_server as faulty
import pytest
from net_tools import SOME_ID, own, run_at

from pytest_hydrasmoke import AsyncSmokeInstance
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._transport.alarms import shielded
from pytest_hydrasmoke._transport.asynchronous import AsyncIO

pytestmark = pytest.mark.anyio

LOOPS = pytest.mark.parametrize("kind", ["asyncio", "trio"], indirect=True)
ASYNCIO = pytest.mark.parametrize("kind", ["asyncio"], indirect=True)


class SlowlyDeleting:
    """A router whose delete takes until the test lets it go on; and what a run owns there."""

    run: Run
    server: faulty.FaultyServer
    owned: Instance
    instance: AsyncSmokeInstance

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.refuse = self.deleted = False

    def __call__(self, line: faulty.Line, request: faulty.Received) -> None:
        word = "deleted" if self.deleted else "running"
        said, code = {"id": SOME_ID, "status": word}, 200
        if request.method == "DELETE":
            self.asked.set()
            self.go_on.wait(5)
            self.deleted = not self.refuse
            said, code = {"instance_id": SOME_ID, "status": "deleted"}, 401 if self.refuse else 200
        elif "/by-key/" in request.target:
            said = {"found": False}
        faulty.answer(said, code)(line, request)

    async def until_asked(self) -> None:
        await anyio.to_thread.run_sync(self.asked.wait, 5)


@asynccontextmanager
async def slowly_deleting() -> AsyncGenerator[SlowlyDeleting]:
    router = SlowlyDeleting()
    with faulty.FaultyServer(router) as router.server:
        with run_at(router.server.url) as router.run:
            io = AsyncIO(router.run.config.link)
            router.owned = own(router.run)
            router.instance = AsyncSmokeInstance(router.run.handle(router.owned, io))
            yield router
            await io.aclose()
        router.go_on.set()


@LOOPS
async def test_a_cancelled_scope_gets_its_deletion_and_then_its_cancellation(kind: str) -> None:
    reached_the_end = False
    async with slowly_deleting() as router, anyio.create_task_group() as group:

        async def leave() -> None:
            nonlocal reached_the_end
            async with router.instance:
                pass
            await anyio.lowlevel.checkpoint()
            reached_the_end = True

        group.start_soon(leave)
        await router.until_asked()
        group.cancel_scope.cancel()
        threading.Timer(0.05, router.go_on.set).start()
    assert router.deleted
    assert router.owned.state is State.GONE
    assert not reached_the_end


@ASYNCIO
async def test_a_cancelled_task_gets_its_deletion_and_then_its_cancellation(kind: str) -> None:
    async with slowly_deleting() as router:
        task = asyncio.ensure_future(router.instance.delete())
        await router.until_asked()
        for _ in range(3):  # impatience changes nothing
            task.cancel()
            await asyncio.sleep(0.01)
        assert not task.done()
        router.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert router.owned.state is State.GONE
    assert router.owned.leak is None
    assert router.server.count("DELETE") == 1
    # A timeout around one is still a timeout.
    async with slowly_deleting() as router:
        threading.Timer(0.2, router.go_on.set).start()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await router.instance.delete()
    assert router.owned.state is State.GONE


@ASYNCIO
async def test_a_deletion_that_fails_while_cancelled_is_quiet_and_still_to_be_done(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with slowly_deleting() as router:
        router.refuse = True
        task = asyncio.ensure_future(router.instance.delete())
        await router.until_asked()
        task.cancel()
        router.go_on.set()
        with caplog.at_level(logging.ERROR), pytest.raises(asyncio.CancelledError):
            await task
        assert router.owned.state is State.READY
        # The run's own clean-up finds it, and says what is wrong with it.
        await anyio.to_thread.run_sync(router.run.close)
        assert router.owned.leak is not None
    del task
    gc.collect()
    assert "never retrieved" not in caplog.text


@LOOPS
async def test_a_turn_that_is_cancelled_before_it_began_is_given_back(kind: str) -> None:
    count = {"instance_id": SOME_ID, "count": 0, "providers": [], "window_seconds": 1}
    turn = faulty.answer(b"data: hello\n\ndata: [DONE]\n\n", kind="text/event-stream")
    behave = faulty.in_turn(faulty.stall_before_head, faulty.answer(count), turn)
    with faulty.FaultyServer(behave) as server, run_at(server.url) as run:
        io = AsyncIO(run.config.link)
        instance = AsyncSmokeInstance(run.handle(own(run), io))

        async def cancel() -> None:
            await anyio.to_thread.run_sync(server.arrived.wait, 10)
            scope.cancel()

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel)
                await instance.chat("hello")
        assert scope.cancelled_caught
        assert (await instance.chat("hello")).text == "hello"
        await io.aclose()
    assert server.count("/chat") == 1


# The shield by itself


@LOOPS
async def test_what_takes_too_long_is_a_timeout_and_what_ends_comes_out(kind: str) -> None:
    cancelled = False

    async def work() -> None:
        nonlocal cancelled
        try:
            await anyio.sleep(30)
        except anyio.get_cancelled_exc_class():
            cancelled = True
            raise

    with pytest.raises(TimeoutError, match=r"^not done within 0\.05 s$"):
        await shielded(0.05, work)
    assert cancelled
    # Which of the two comes out of both is open: each says that it was not done.
    with contextlib.suppress(TimeoutError), anyio.move_on_after(0.02) as scope:
        await shielded(0.1, lambda: anyio.sleep(30))
        pytest.fail("it was done")
    assert scope.cancel_called

    async def gives(number: int) -> float:
        await anyio.lowlevel.checkpoint()
        return 7 / number

    assert await shielded(5, lambda: gives(1)) == 7
    with pytest.raises(ZeroDivisionError):
        await shielded(5, lambda: gives(0))


@ASYNCIO
async def test_a_cancelled_task_or_scope_waits_for_its_work_without_a_busy_loop(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    waits: list[object] = []
    wait = asyncio.wait
    monkeypatch.setattr(asyncio, "wait", lambda given: (waits.append(given), wait(given))[1])
    with anyio.CancelScope() as scope:
        scope.cancel()
        await shielded(5, lambda: asyncio.sleep(0.1))
    assert 0 < len(waits) < 10
