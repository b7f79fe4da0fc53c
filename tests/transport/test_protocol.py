"""The seam: coroutines run to their end without a loop, and time that is moved by hand."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from scripted_io import START, ScriptedIO

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._transport.protocol import IN_FLIGHT, Request, drive
from pytest_hydrasmoke._transport.threads import Gathering


async def add(a: int, b: int) -> int:
    io = ScriptedIO()
    await io.sleep(1)
    return a + b


def test_drive_gives_what_the_coroutine_returns() -> None:
    assert drive(add(2, 3)) == 5


def test_drive_raises_what_the_coroutine_raises() -> None:
    async def fails() -> None:
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        drive(fails())


class Suspends:
    def __await__(self) -> Generator[str, None, None]:
        yield "to whoever runs it"


def test_drive_refuses_a_coroutine_that_suspends_and_closes_it() -> None:
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


class NeverEnds:
    """Awaitable, but no generator: it can't be closed."""

    def __await__(self) -> Iterator[None]:
        return iter([None, None])  # type: ignore[return-value]


def test_drive_refuses_an_awaitable_that_can_not_be_closed() -> None:
    with pytest.raises(RuntimeError, match="awaited something other than its IO"):
        drive(NeverEnds())


def test_a_request_asks_for_json_and_can_not_be_changed() -> None:
    request = Request("poll", "GET", "/x")
    assert (request.body, request.accept) == (None, "application/json")
    with pytest.raises(AttributeError):
        request.path = "/y"  # type: ignore[misc]


def test_a_thread_group_starts_running_and_bounds_its_requests() -> None:
    assert IN_FLIGHT == 16
    group = Gathering()
    assert not group.stopped.is_set()
    taken = [group.enter(0.0) for _ in range(IN_FLIGHT + 1)]
    assert taken == [True] * IN_FLIGHT + [False]


def test_two_thread_groups_share_nothing() -> None:
    one, other = Gathering(), Gathering()
    one.stop()
    assert not other.stopped.is_set()
    assert one.places is not other.places


# --- the virtual clock -----------------------------------------------------------------------


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
