"""Where there is no instance: no room, no boot, or gone; it is told once, and pointed to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
from plugin_tools import ASYNCIO, QUICK, TOKEN, Project, count, nothing_left, story

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.scenario import AfterDelete

MANY = """
import pytest

def test_many(smoke_instance_factory):
    with pytest.raises(Exception, match="no room for 3 more"):
        smoke_instance_factory.many(3)
    assert len(smoke_instance_factory.many(2)) == 2
    with pytest.raises(Exception, match="no room for 1 more"):
        smoke_instance_factory()
"""


def test_more_than_max_instances_are_refused_before_the_request(
    project: Project, router: FakeRouter
) -> None:
    project.suite("bare").at(router, max_instances=2).write("test_it.py", MANY)
    project.live("test_it.py").assert_outcomes(passed=1)
    assert count(router, "provision") == 2


TRIPLE = """
def test_one(smoke_instance): ...
def test_two(smoke_instance): ...
def test_three(async_smoke_instance): ...
"""


def test_a_provisioning_failure_is_told_once_and_pointed_to(
    project: Project, router: FakeRouter
) -> None:
    router.fail("provision", status=422, times=9)
    project.suite("bare").at(router).write("test_it.py", TRIPLE)
    result = project.live("-rs", "test_it.py")
    result.assert_outcomes(errors=1, skipped=2)
    assert count(router, "provision") == 1
    pointing = (
        "SKIPPED *: not run: the boot of made-up/nowhere/tier-1 failed in test_it.py::test_one: "
        "provision was refused with 422*"
    )
    result.stdout.fnmatch_lines(
        [
            "E *RejectedError: provision was refused with 422*",
            "*provisioned 0, deleted 0, kept 0, leaked 0",
            pointing,
            pointing,
        ]
    )


VANISHES = """
from pytest_hydrasmoke import SmokeClient

STRANGER = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"

def test_stranger(smoke_client):
    smoke_client.status(STRANGER)

def test_vanishes(smoke_instance, smoke_config):
    with SmokeClient(smoke_config.url, token=smoke_config.token.reveal()) as somebody_else:
        somebody_else.delete(smoke_instance.id)

def test_stranger_again(smoke_client):
    smoke_client.status(STRANGER)

def test_first(smoke_instance):
    smoke_instance.chat("hello")

def test_second(smoke_instance):
    smoke_instance.chat("hello")

async def test_third(async_smoke_instance):
    await async_smoke_instance.chat("hello")
"""


@pytest.mark.parametrize("gone", get_args(AfterDelete))
def test_an_instance_that_is_gone_is_told_once_and_pointed_to(
    project: Project, routing: Callable[[Scenario], FakeRouter], gone: AfterDelete
) -> None:
    router = routing(replace(QUICK, after_delete=gone))
    project.suite("async_auto").at(router).write("test_it.py", VANISHES)
    result = project.live(*ASYNCIO, "-rs", "test_it.py")
    result.assert_outcomes(passed=1, failed=4, skipped=2)
    assert count(router, "chat") == 1
    pointing = "SKIPPED *: not run: * was found to be gone at the router in test_it.py::test_first"
    result.stdout.fnmatch_lines(
        [
            "E *NotFoundError: chat was refused with 404*",
            "*was gone before this run deleted it*",
            pointing,
            pointing,
        ]
    )


def test_one_that_only_was_not_found_is_used_again(project: Project, router: FakeRouter) -> None:
    router.fail("chat", status=404)
    project.suite("bare").at(router).write("test_it.py", VANISHES)
    result = project.live("test_it.py", "-k", "first or second")
    result.assert_outcomes(failed=1, passed=1, deselected=4)
    assert nothing_left(router)


def test_a_failure_of_one_spec_is_no_other_s(project: Project, router: FakeRouter) -> None:
    router.fail("provision", status=422)
    project.suite("specs").at(router, max_instances=7)
    result = project.live("test_specs.py", "-k", "plain or big_again")
    result.assert_outcomes(passed=1, errors=1, skipped=1, deselected=5)
    assert [instance.tier_id for instance in router.instances] == ["big"]


def test_an_instance_that_fails_is_deleted_at_once(project: Project) -> None:
    failed = Scenario(row_after=0, statuses=((0, "failed"),))
    with FakeRouter(failed, TOKEN) as router:
        project.suite("bare").at(router).write("test_it.py", TRIPLE)
        result = project.live("test_it.py")
        result.assert_outcomes(errors=1, skipped=2)
        # It was never ready: its boot might go on, so that the run's end asks once more.
        assert story(router) == ["provision", "delete", "delete"]
    # A sweep looks again once its boot would be over.
    [run] = project.runs()
    ledger = read(folder_of(project.path / ".hydrasmoke", run))
    assert [it.state for it in ledger.open] == [State.GONE]
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 1, kept 0, leaked 0"])


def test_an_instance_that_does_not_get_ready_in_time(project: Project) -> None:
    hanging = Scenario(row_after=0, statuses=((0, "booting"),))
    with FakeRouter(hanging, TOKEN) as router:
        project.suite("mixed").at(router, ready_timeout=1)
        result = project.live("test_mixed.py")
        assert nothing_left(router)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "E *ProvisionTimeoutError: the instance was not ready in time: *",
            "*phase: *ready, after *",
            "*last seen: status 'booting'",
        ]
    )


@pytest.mark.parametrize(
    "test",
    [
        "def test_many(smoke_instance_factory): smoke_instance_factory.many(3)",
        (
            "async def test_many(async_smoke_instance_factory):\n"
            "    await async_smoke_instance_factory.many(3)"
        ),
    ],
    ids=["sync", "async"],
)
def test_of_many_all_are_ready_or_none_is_left(
    project: Project, router: FakeRouter, test: str
) -> None:
    project.suite("async_auto").at(router).write("test_it.py", test)
    # The last of them: none is broken off on its way, and then in doubt.
    router.fail("provision", status=422, after=2)
    result = project.live("-p", "pytest_asyncio.plugin", "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RejectedError: *"])
    assert all(instance.deleted for instance in router.instances)
