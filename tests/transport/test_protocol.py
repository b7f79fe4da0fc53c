"""The seam: coroutines run to their end without a loop, and time that is moved by hand."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from scripted_io import START, ScriptedIO

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._transport.gathering import Gathering
from pytest_hydrasmoke._transport.protocol import IN_FLIGHT, drive


def test_drive_gives_or_raises_what_the_coroutine_does() -> None:
    async def divide(a: int, b: int) -> float:
        await ScriptedIO().sleep(1)
        return a / b

    assert drive(divide(6, 3)) == 2
    with pytest.raises(ZeroDivisionError):
        drive(divide(6, 0))


class Suspends:
    def __await__(self) -> Generator[str, None, None]:
        yield "to whoever runs it"


class NeverEnds:
    """Awaitable, but no generator: it can't be closed."""

    def __await__(self) -> Iterator[None]:
        return iter([None, None])  # type: ignore[return-value]


def test_drive_refuses_what_suspends_and_closes_it_if_it_can() -> None:
    ended = []

    async def work() -> None:
        try:
            await Suspends()
        finally:
            ended.append("closed")

    with pytest.raises(RuntimeError, match="awaited something other than its IO") as caught:
        drive(work())
    assert ended == ["closed"]
    assert caught.value, "held until here, so that nothing but `drive` can have closed it"
    with pytest.raises(RuntimeError, match="awaited something other than its IO"):
        drive(NeverEnds())


def test_a_thread_group_bounds_its_requests_and_shares_nothing_with_another() -> None:
    assert IN_FLIGHT == 16
    one, other = Gathering(), Gathering()
    taken = [one.enter(0.0) for _ in range(IN_FLIGHT + 1)]
    assert taken == [True] * IN_FLIGHT + [False]
    one.stop()
    assert one.stopped.is_set()
    assert not other.stopped.is_set()
    assert other.enter(0.0)


def test_virtual_time_passes_only_when_somebody_sleeps_and_never_goes_back() -> None:
    clock = VirtualClock()
    assert clock.now() == 0.0
    clock.sleep(900)
    clock.advance(0.5)
    clock.sleep(-1)
    assert clock.now() == 900.5
    with pytest.raises(ValueError, match=r"time moves forward only, not by -1 s"):
        clock.advance(-1)
    assert clock.now() == 900.5
    assert VirtualClock(START).now() == START
