"""Tests whose bodies run several times, in every form that a test may have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from unittest import SkipTest

import anyio
import pytest

from pytest_hydrasmoke import AsyncSmokeInstance, SmokeInstance

attempts: list[str] = []


@pytest.mark.hydra_smoke_runs(2)
def test_chats(smoke_instance: SmokeInstance) -> None:
    assert "ready" in smoke_instance.chat("Are you ready?").text


@pytest.mark.hydra_smoke_runs(5, at_least=3)
def test_passes_in_the_end(run: Iterator[int]) -> None:
    assert next(run) > 2


@pytest.mark.hydra_smoke_runs(n=5, at_least=2)
def test_passes_early(run: Iterator[int]) -> None:
    assert next(run) <= 2, "there was no need for a third run"


@pytest.mark.hydra_smoke_runs(5, at_least=3)
def test_fails_early(run: Iterator[int]) -> None:
    text = "not yet" if next(run) > 1 else "I am ready"
    assert "ready" in text


@pytest.mark.hydra_smoke_runs(3)
def test_needs_all(run: Iterator[int]) -> None:
    assert next(run) != 2


@pytest.mark.hydra_smoke_runs(2, at_least=1)
def test_fails_in_words(run: Iterator[int]) -> None:
    pytest.fail(f"the judge says no to {next(run)}", pytrace=False)


@pytest.mark.hydra_smoke_runs(2, at_least=1)
def test_leaves(run: Iterator[int]) -> None:
    if next(run) == 1:
        raise SystemExit(3)


@pytest.mark.hydra_smoke_runs(200, at_least=100)
def test_says_too_much(run: Iterator[int]) -> None:
    pytest.fail(f"{'words ' * 10_000}{next(run)}")


@pytest.mark.varies
def test_is_marked_by_a_conftest(run: Iterator[int]) -> None:
    assert next(run) > 1


@pytest.mark.hydra_smoke_runs(2)
class TestMethods:
    def test_takes_the_marker_of_its_class(self) -> None: ...

    @pytest.mark.hydra_smoke_runs(4)
    def test_has_its_own(self) -> None: ...

    @pytest.mark.flaky(reruns=1)
    def test_is_run_again(self, run: Iterator[int]) -> None:
        attempts.append("again")
        assert len(attempts) != 2
        assert next(run) in (1, 2)


@pytest.mark.parametrize(
    "least",
    [pytest.param(k, marks=pytest.mark.hydra_smoke_runs(3, at_least=k)) for k in (1, 2)],
)
def test_parameters(least: int, run: Iterator[int]) -> None:
    assert next(run) > least


# What a test says of itself


@pytest.mark.hydra_smoke_runs(3)
def test_skips(run: Iterator[int]) -> None:
    if next(run) == 2:
        pytest.skip("not this agent")


@pytest.mark.hydra_smoke_runs(3)
def test_skips_as_unittest_does() -> None:
    raise SkipTest("not this agent")


@pytest.mark.hydra_smoke_runs(3, at_least=1)
def test_skips_once_it_has_failed(run: Iterator[int]) -> None:
    if next(run) == 2:
        pytest.skip("not this agent")
    raise AssertionError("this run only")


@pytest.mark.hydra_smoke_runs(3, at_least=1)
def test_expects_to_fail(run: Iterator[int]) -> None:
    if next(run) == 2:
        pytest.xfail("known")
    raise AssertionError("this run only")


@pytest.mark.xfail(raises=AssertionError, strict=True)
@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_is_expected_to_fail(run: Iterator[int]) -> None:
    assert next(run) == 1


@pytest.mark.xfail(strict=True)
@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_passes_against_all_odds(run: Iterator[int]) -> None:
    assert next(run) > 1


@pytest.mark.xfail(strict=False)
@pytest.mark.hydra_smoke_runs(2)
def test_may_pass() -> None: ...


@pytest.mark.timeout(0.3, method="signal", func_only=True)
@pytest.mark.hydra_smoke_runs(3, at_least=1)
def test_takes_too_long() -> None:
    threading.Event().wait(60)


@pytest.mark.timeout(0.3, method="signal", func_only=True)
@pytest.mark.hydra_smoke_runs(3)
def test_overlooks_that_it_takes_too_long() -> None:
    with pytest.raises(pytest.fail.Exception):
        threading.Event().wait(60)


# Coroutines


@pytest.mark.anyio
@pytest.mark.hydra_smoke_runs(3, at_least=2)
async def test_anyio(async_smoke_instance: AsyncSmokeInstance, run: Iterator[int]) -> None:
    assert "ready" in (await async_smoke_instance.chat("Are you ready?")).text
    assert next(run) > 1


@pytest.mark.anyio
@pytest.mark.hydra_smoke_runs(2, at_least=1)
async def test_anyio_in_a_group(run: Iterator[int]) -> None:
    async def fails() -> None:
        pytest.fail("in a task")

    async with anyio.create_task_group() as group:
        if next(run) == 1:
            group.start_soon(fails)


@pytest.mark.asyncio
@pytest.mark.hydra_smoke_runs(3, at_least=2)
async def test_asyncio(async_smoke_instance: AsyncSmokeInstance, run: Iterator[int]) -> None:
    assert "ready" in (await async_smoke_instance.chat("Are you ready?")).text
    assert next(run) > 1


@pytest.mark.asyncio
@pytest.mark.hydra_smoke_runs(2, at_least=1)
async def test_asyncio_fails() -> None:
    pytest.fail("never ready")
