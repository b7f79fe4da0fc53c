"""Tests whose runs have subtests."""

from __future__ import annotations

from collections.abc import Iterator

import anyio.lowlevel
import pytest

from pytest_hydrasmoke import AsyncSmokeInstance, SmokeInstance

runs = pytest.mark.hydra_smoke_runs


@runs(3, at_least=2)
def test_passes_although_one_has_failed(run: Iterator[int], subtests: pytest.Subtests) -> None:
    with subtests.test("the first fails"):
        assert next(run) > 1
    with subtests.test():
        pass


@runs(3, at_least=2)
def test_fails_in_its_subtests(run: Iterator[int], subtests: pytest.Subtests) -> None:
    number = next(run)
    for language in ("de", "en", "fr"):
        with subtests.test("greets", language=language):
            assert number == 1 or language == "en", "no greeting"
    with subtests.test():
        pytest.fail("the judge says no", pytrace=False) if number > 1 else None


@runs(2)
def test_fails_in_its_body_too(subtests: pytest.Subtests) -> None:
    with subtests.test(word="x" * 100):
        raise ZeroDivisionError
    pytest.fail("in the end", pytrace=False)


@runs(2)
def test_skips_after_a_failure(subtests: pytest.Subtests) -> None:
    with subtests.test("fails"):
        raise AssertionError("not skipped")
    pytest.skip("too late")


@runs(2)
def test_skips_one_of_them(subtests: pytest.Subtests) -> None:
    with subtests.test("skips"):
        pytest.skip("this one alone")
    with subtests.test("expected"):
        pytest.xfail("this one alone")


@runs(2)
def test_skips(subtests: pytest.Subtests) -> None:
    with subtests.test("passes"):
        pass
    pytest.skip("all of it")


@runs(2, at_least=1)
@pytest.mark.anyio
async def test_coroutine(
    run: Iterator[int], subtests: pytest.Subtests, async_smoke_instance: AsyncSmokeInstance
) -> None:
    number = next(run)
    with subtests.test("the first fails"):
        turn = await async_smoke_instance.chat("Are you ready?")
        assert "ready" in turn.text
        assert number == 2
    await anyio.lowlevel.checkpoint()


@runs(2, at_least=1)
@pytest.mark.asyncio
async def test_asyncio(run: Iterator[int], subtests: pytest.Subtests) -> None:
    with subtests.test("the first fails"):
        assert next(run) == 2


@runs(2)
def test_all_that_failed_is_told(smoke_instance: SmokeInstance, subtests: pytest.Subtests) -> None:
    for _ in range(2):
        with subtests.test():
            smoke_instance.chat("Are you ready?")


class Own:
    def test(self) -> str:
        return "another thing of the same name"


class TestOwn:
    @pytest.fixture
    def subtests(self) -> Own:
        return Own()

    @runs(2)
    def test_of_a_team(self, subtests: Own) -> None:
        assert subtests.test() == "another thing of the same name"


def test_without_the_marker(subtests: pytest.Subtests) -> None:
    with subtests.test("as ever"):
        raise AssertionError


@runs(3, at_least=2)
def test_exits(subtests: pytest.Subtests) -> None:
    print("a run")
    with subtests.test("fails"):
        raise AssertionError
    with subtests.test("exits"):
        pytest.exit("enough")
