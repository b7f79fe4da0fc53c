"""`with factory.many(n)`: all of them are deleted at its end, and what leaks is raised."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from net_tools import KINDS
from run_tools import Runs

from pytest_hydrasmoke import AsyncSmokeInstanceFactory, LeakError, SmokeInstanceFactory
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._plugin.outcomes import failures_of
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def many(kind: str, session: SmokeSession, number: int) -> AsyncGenerator[list[Any]]:
    """Enter and leave what the factory of a kind gives."""
    if kind == "sync":
        with SmokeInstanceFactory(session).many(number) as some:
            yield [*some]
        return
    io = AsyncIO(session.config.link)
    try:
        async with await AsyncSmokeInstanceFactory(session, io).many(number) as others:
            yield [*others]
    finally:
        await io.aclose()


def left(fake: FakeRouter) -> list[str]:
    return [str(seen.id) for seen in fake.instances if not seen.deleted]


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_all_are_deleted_side_by_side_at_the_end_of_the_with(kind: str, a_run: Runs) -> None:
    fake, session = a_run()
    # No deletion is proved before the last one was asked for: each delete is refused once.
    fake.fail("delete", status=503, times=3)
    async with many(kind, session, 3) as instances:
        assert sorted(it.id for it in instances) == sorted(left(fake))
        if kind == "sync":
            instances[0].delete()
        else:
            await instances[0].delete()
        assert len(left(fake)) == 2
    assert left(fake) == []
    assert {record.state for record in session.records} == {State.GONE}


@pytest.mark.parametrize(("keep", "kept"), [("on-failure", 2), ("always", 2), ("never", 0)])
async def test_what_the_settings_keep_stays_as_one_instance_does(
    kind: str, a_run: Runs, keep: str, kept: int
) -> None:
    fake, session = a_run(keep=keep)
    with pytest.raises(ZeroDivisionError):
        async with many(kind, session, 2):
            raise ZeroDivisionError
    assert len(left(fake)) == kept
    async with many(kind, session, 2):
        pass
    assert len(left(fake)) == kept + 2 * (keep == "always")


async def test_a_leak_is_raised_and_the_others_are_deleted(kind: str, a_run: Runs) -> None:
    fake, session = a_run(delete_timeout=0.6)
    # The first that is refused stays so: each is asked once, and then again.
    fake.fail("delete", status=403)
    fake.fail("delete", status=403, after=3, times=100)
    with pytest.raises(LeakError, match="refused with 403") as caught:
        async with many(kind, session, 3):
            pass
    [alive] = left(fake)
    assert alive in str(caught.value)
    assert not hasattr(caught.value, "__notes__")


@pytest.mark.parametrize("kind", KINDS, indirect=True)
async def test_every_leak_is_named_and_is_the_failure_of_the_test(kind: str, a_run: Runs) -> None:
    fake, session = a_run(delete_timeout=0.6)
    fake.fail("delete", status=500, times=100)
    with pytest.raises(LeakError, match="may still run") as caught:
        async with many(kind, session, 3):
            pass
    error = caught.value
    said = [str(error), *error.__notes__]
    assert len(said) == 3
    assert [note.partition("\n")[0] for note in said[1:]] == [
        f"as well: {error.message}" for _ in said[1:]
    ]
    for instance in left(fake):
        assert sum(f"{instance} (key " in words for words in said) == 1
    known = {number for it in session.records for number in it.failures}
    assert len(known) == 3
    assert {("", number) for number in failures_of(error)} == known
    # The end of the run tries once more.
    fake._faults.reset()
    session.close()
    assert left(fake) == []
