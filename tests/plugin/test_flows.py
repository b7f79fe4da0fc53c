"""Who chats from several threads or tasks is told, for each instance."""

from __future__ import annotations

import threading

import anyio
import pytest

from pytest_hydrasmoke._plugin.replay import Flows

TEST = "t.py::test"
Told = dict[tuple[str, str | None], None]


@pytest.fixture
def told() -> Told:
    return {}


@pytest.fixture
def flows(told: Told) -> Flows:
    return Flows(lambda owner, key: told.update({(owner, key): None}))


def elsewhere(flows: Flows, key: str | None, run: int = 1) -> None:
    thread = threading.Thread(target=flows.goes, args=[TEST, run, key])
    thread.start()
    thread.join()


def test_a_second_thread_is_told(flows: Flows, told: Told) -> None:
    for key in ("a", "b"):
        flows.goes(TEST, 1, key)
    flows.goes(TEST, 1, "a")
    elsewhere(flows, "c")
    elsewhere(flows, "a", run=2)
    assert not told
    for _ in range(2):
        elsewhere(flows, "a")
    elsewhere(flows, None)
    elsewhere(flows, None)
    assert list(told) == [(TEST, "a"), (TEST, None)]


def test_two_tasks_are_told(flows: Flows, told: Told) -> None:
    async def goes() -> None:
        flows.goes(TEST, 1, "a")
        flows.goes(TEST, 1, "a")

    anyio.run(goes)
    assert not told
    anyio.run(goes)
    assert list(told) == [(TEST, "a")]


def test_who_begins_again_may_be_elsewhere(flows: Flows, told: Told) -> None:
    flows.goes(TEST, 1, "a")
    flows.goes("fixture ::agent", 1, "a")
    flows.begin(TEST)
    elsewhere(flows, "a")
    assert not told


def test_nobody_is_told_of_nobody(flows: Flows, told: Told) -> None:
    flows.goes(None, 1, "a")
    thread = threading.Thread(target=flows.goes, args=[None, 1, "a"])
    thread.start()
    thread.join()
    assert not told
