"""P6: many instances at once, beside tasks that a user would write with the same async client.

The boot takes 2 s; client and fake router share this process. Times are those on the wall.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from uuid import uuid4

import anyio
from bench_fake import SPEC, a_run, serving
from bench_measure import rounds
from bench_result import Bar, Result

from pytest_hydrasmoke import (
    AsyncSmokeClient,
    AsyncSmokeInstanceFactory,
    InstanceSpec,
    SmokeInstanceFactory,
)
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke.fake import FakeRouter, Scenario

LOOK = 0.25
Provide = Callable[[str, str, int], float]
"""From URL, token and number to the seconds until all were ready."""


def sync(url: str, token: str, number: int) -> float:
    with a_run(url, token, max_instances=number) as run:
        start = time.monotonic()
        assert len(SmokeInstanceFactory(run).many(number)) == number
        return time.monotonic() - start


def asynchronous(url: str, token: str, number: int) -> float:
    async def many() -> float:
        with a_run(url, token, max_instances=number) as run:
            io = AsyncIO(run.config.link)
            start = time.monotonic()
            assert len(await AsyncSmokeInstanceFactory(run, io).many(number)) == number
            took = time.monotonic() - start
            await io.aclose()
            return took

    return anyio.run(many)


def gather(url: str, token: str, number: int) -> float:
    async def one(client: AsyncSmokeClient) -> None:
        key = f"gather-{uuid4()}"
        await client.provision(InstanceSpec(**SPEC), key)
        while not (found := await client.poll(key)).found:  # noqa: ASYNC110
            await anyio.sleep(LOOK)
        assert found.instance_id is not None
        while (await client.status(found.instance_id)).status != "running":  # noqa: ASYNC110
            await anyio.sleep(LOOK)

    async def many() -> float:
        start = time.monotonic()
        async with AsyncSmokeClient(url, token=token) as client, anyio.create_task_group() as all_:
            for _ in range(number):
                all_.start_soon(one, client)
        return time.monotonic() - start

    return anyio.run(many)


WAYS: dict[str, Provide] = {"sync": sync, "async": asynchronous, "gather": gather}


def run(numbers: tuple[int, ...] = (1, 10, 50, 200), boot: float = 2.0, times: int = 3) -> Result:
    result = Result(["instances", *(f"{name}, s" for name in WAYS)])
    fake = FakeRouter(Scenario(row_after=0.1, statuses=((0, "queued"), (boot, "running"))))
    with serving(fake, 0.0) as (url, _):
        taken: dict[tuple[str, int], list[float]] = {}

        def work(name: str, number: int) -> None:
            taken.setdefault((name, number), []).append(WAYS[name](url, fake.token, number))
            fake.reset()

        for number in numbers:
            rounds({name: partial(work, name, number) for name in WAYS}, times)
            result.add(number, *(median(taken[name, number]) for name in WAYS))
        few, most = numbers[0], numbers[-2]
        for name in ("sync", "async"):
            one, many = (median(taken[name, number]) for number in (few, most))
            result.bars.append(Bar(f"{most} against one, {name}", many / one, 1.2))
    return result
