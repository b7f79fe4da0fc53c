"""The fixtures: what each gives, to whom an instance belongs, and when it is deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
from plugin_tools import (
    ALL,
    ASYNCIO,
    CHECKS,
    FILES,
    QUICK,
    SOMEBODY,
    TOKEN,
    Project,
    count,
    nothing_left,
    story,
)

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._run.factory import merged
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.scenario import AfterDelete


def somebody_s(router: FakeRouter) -> str:
    """Provision an instance that is no run's, and give its id."""
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(spec, "somebody-s")
    return router.instances[0].id


def provisioned(router: FakeRouter) -> list[str]:
    """Return the tier of each instance, in order of provision."""
    return [instance.tier_id for instance in router.instances]


# What each gives


def test_sync_fixtures(project: Project, router: FakeRouter) -> None:
    result = project.suite("fixtures").at(router, max_instances=5).live("test_fixtures.py")
    result.assert_outcomes(passed=10)
    assert result.ret == 0
    # Shared, factory, two of many, the client's, and the wider fixture's.
    assert len(router.instances) == 6
    assert nothing_left(router)
    result.stdout.fnmatch_lines(["*provisioned 5, deleted 5, kept 0, leaked 0"])


def test_sync_fixtures_with_the_bundled_fake(project: Project) -> None:
    project.suite("fixtures").set(max_instances=5)
    project.fake("test_fixtures.py").assert_outcomes(passed=10)


def test_async_fixtures_under_anyio(project: Project, router: FakeRouter) -> None:
    project.suite("async_anyio").at(router, max_instances=9)
    result = project.live("-p", "anyio.pytest_plugin", "test_async_anyio.py", "-v")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(["*test_factory[[]asyncio]*", "*test_factory[[]trio]*"])
    # The shared one serves both loops.
    assert len(router.instances) == 7
    assert nothing_left(router)


@pytest.mark.parametrize("suite", ["async_strict", "async_auto"])
def test_async_fixtures_under_pytest_asyncio(
    project: Project, router: FakeRouter, suite: str
) -> None:
    result = project.suite(suite).at(router).live("-p", "pytest_asyncio.plugin", f"test_{suite}.py")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert len(router.instances) == 4
    assert nothing_left(router)


def test_the_offline_fixture_needs_no_switch_and_no_settings(project: Project) -> None:
    project.suite("mixed")
    project.write("test_two.py", "def test_two(smoke_fake):\n    assert smoke_fake.requests == ()")
    project.run("-k", "offline or two").assert_outcomes(passed=2, deselected=2)


def test_the_offline_fixture_takes_a_scenario_and_a_virtual_clock(project: Project) -> None:
    project.suite("offline")
    project.run().assert_outcomes(passed=2)


def test_sync_and_async_share_an_instance(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router)
    project.write(
        "test_both.py",
        "def test_both(smoke_instance, async_smoke_instance):\n"
        "    assert smoke_instance.id == async_smoke_instance.id\n",
    )
    project.live("test_both.py").assert_outcomes(passed=1)
    assert count(router, "provision") == 1


# Specs


def test_each_spec_is_provisioned_once(project: Project, router: FakeRouter) -> None:
    project.suite("specs").at(router, run_id="run", max_instances=7)
    result = project.live(".")
    result.assert_outcomes(passed=10)
    assert sorted(provisioned(router)) == sorted(
        ["root", "big", "whole", "class", "class", "module", "folder"]
    )
    assert nothing_left(router)
    # Their keys are counted from 0.
    keys = [instance.idempotency_key for instance in router.instances]
    assert keys == [f"run-{slot}" for slot in range(7)]


NO_SPECS = """
import pytest

@pytest.mark.parametrize("smoke_instance", [
    {"tier": "x"}, {"x": "y", "manifest": "x"}, {"tier_id": 5}, "tier", 5,
], indirect=True)
def test_parameter(smoke_instance): ...

class TestOverride:
    @pytest.fixture
    def smoke_spec(self):
        return {"tier_id": "x"}

    def test_override(self, smoke_instance): ...

class TestMapping:
    @pytest.fixture
    def smoke_spec(self):
        return {"manifest_id": "m", "region_id": "r", "tier_id": "mapped"}

    def test_mapping(self, smoke_instance): ...
"""


def test_a_parameter_or_an_override_that_is_no_spec_is_told(
    project: Project, router: FakeRouter
) -> None:
    project.suite("bare").at(router).write("test_it.py", NO_SPECS)
    result = project.live("test_it.py")
    # An override may be a mapping.
    result.assert_outcomes(errors=6, passed=1)
    assert provisioned(router) == ["mapped"]
    told = [
        "tier: no such field, did you mean tier_id?",
        "x: no such field; manifest: *, did you mean manifest_id?",
        "tier_id: *",
        "'tier' is not a mapping",
        "5 is not a mapping",
        "manifest_id: *",
    ]
    next_step = "*next step: give some of manifest_id, region_id, tier_id, agent_name"
    result.stdout.fnmatch_lines(
        [
            line
            for words in told
            for line in (f"E *ConfigError: this is not an instance spec: {words}", next_step)
        ]
    )


def test_changes_without_a_base() -> None:
    full = {"manifest_id": "m", "region_id": "r", "tier_id": "t"}
    assert merged(None, full) == InstanceSpec(**full)
    with pytest.raises(ConfigError, match="tier_id: Field required"):
        merged(None, {"manifest_id": "m", "region_id": "r"})


# Scopes

STORIES = {
    "session": "provision a1 a2 b1 c d e f delete",
    "package": "provision a1 a2 b1 c d e delete provision f delete",
    "module": "provision a1 a2 b1 c d delete provision e delete provision f delete",
    "class": "provision a1 a2 delete provision b1 delete "
    "provision c delete provision d delete provision e delete provision f delete",
    "function": "provision a1 delete provision a2 delete provision b1 delete "
    "provision c delete provision d delete provision e delete provision f delete",
}


@pytest.mark.parametrize("scope", STORIES)
def test_an_instance_is_deleted_at_the_end_of_its_scope(
    project: Project, router: FakeRouter, scope: str
) -> None:
    project.suite("scopes").at(router, scope=scope, max_instances=7)
    result = project.live(".")
    result.assert_outcomes(passed=7)
    assert " ".join(story(router)).replace("test_", "") == STORIES[scope]


def test_outside_of_any_package_that_scope_is_the_session(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, scope="package")
    project.live("-k", "mixed or chat_answers").assert_outcomes(passed=3 + 1)
    assert len(router.instances) == 1


ONE_BY_ONE = """
import pytest

def test_by_one(smoke_instance_factory):
    for _ in range(2):
        smoke_instance_factory().delete()
    with pytest.raises(Exception) as caught:
        smoke_instance_factory()
    print(f"told: {caught.value}")
"""


def test_deleted_ones_count_too(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, max_instances=2).write("test_it.py", ONE_BY_ONE)
    result = project.live("-s", "test_it.py")
    result.assert_outcomes(passed=1)
    assert count(router, "provision") == 2
    result.stdout.fnmatch_lines(
        [
            "*told: no room for 1 more: max_instances allows 2 in a run",
            "*next step: raise HYDRA_SMOKE_MAX_INSTANCES, share instances (scope), or *",
        ]
    )


def test_a_test_that_deletes_the_shared_instance_harms_no_other(
    project: Project, router: FakeRouter
) -> None:
    project.suite("bare").at(router)
    project.write(
        "test_it.py",
        "def test_one(smoke_instance):\n    smoke_instance.delete()\n"
        "def test_two(smoke_instance):\n    assert smoke_instance.status().status == 'running'\n",
    )
    project.live("test_it.py").assert_outcomes(passed=2)
    assert story(router) == ["provision", "delete", "provision", "delete"]


# Fixtures of wider scope

WIDER = """
import pytest

@pytest.fixture(scope="module")
def by_{name}({name}): ...

def test_{name}(by_{name}): ...
"""


def test_a_fixture_of_wider_scope_is_told_what_to_take(project: Project) -> None:
    names = ("smoke_instance", "async_smoke_instance", "smoke_spec", "tmp_path")
    project.suite("bare").write("test_it.py", "".join(WIDER.format(name=name) for name in names))
    result = project.fake("test_it.py")
    result.assert_outcomes(errors=4)
    advice = "hydra-smoke: * smoke_instance_factory: docs/how-to/use-an-instance-in-a-wider-*.md"
    for name in names[:3]:
        result.stdout.fnmatch_lines([f"ScopeMismatch: * {name} *", advice])
    # Others' fixtures have no advice.
    assert result.stdout.str().count("use-an-instance-in-a-wider-") == 3


# Limits and failures

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
    result = project.live("test_it.py")
    result.assert_outcomes(errors=3)
    assert count(router, "provision") == 1
    pointing = (
        "E *ProvisionError: no instance: provisioning failed in the set-up of "
        "test_it.py::test_one: provision was refused with 422*"
    )
    result.stdout.fnmatch_lines(
        [
            "E *RejectedError: provision was refused with 422*",
            pointing,
            "*next step: see the failure of that test; this one did not try again",
            pointing,
            "*provisioned 0, deleted 0, kept 0, leaked 0",
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
    result = project.live(*ASYNCIO, "test_it.py")
    result.assert_outcomes(passed=1, failed=4, errors=2)
    assert count(router, "chat") == 1
    pointing = (
        "E *ProvisionError: no instance: * was found to be gone at the router in "
        "test_it.py::test_first"
    )
    result.stdout.fnmatch_lines(
        [
            pointing,
            "*next step: see the failure of that test; this one did not try again",
            pointing,
            "E *NotFoundError: chat was refused with 404*",
            "*was gone before this run deleted it*",
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
    result.assert_outcomes(passed=1, errors=2, deselected=5)
    assert provisioned(router) == ["big"]


def test_an_instance_that_fails_is_deleted_at_once(project: Project) -> None:
    failed = Scenario(row_after=0, statuses=((0, "failed"),))
    with FakeRouter(failed, TOKEN) as router:
        project.suite("bare").at(router).write("test_it.py", TRIPLE)
        result = project.live("test_it.py")
        result.assert_outcomes(errors=3)
        # It was never ready: its boot might go on, so that the run's end asks once more.
        assert story(router) == ["provision", "delete", "delete"]
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


def test_of_many_all_are_ready_or_none_is_left(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router).write(
        "test_it.py", "def test_many(smoke_instance_factory): smoke_instance_factory.many(3)\n"
    )
    # The last of them: none is broken off on its way, and then in doubt.
    router.fail("provision", status=422, after=2)
    result = project.live("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RejectedError: *"])
    assert all(instance.deleted for instance in router.instances)


def test_of_many_async_all_are_ready_or_none_is_left(project: Project, router: FakeRouter) -> None:
    project.suite("async_auto").at(router)
    project.write(
        "test_it.py",
        "async def test_many(async_smoke_instance_factory):\n"
        "    await async_smoke_instance_factory.many(3)\n",
    )
    # The last of them: none is broken off on its way, and then in doubt.
    router.fail("provision", status=422, after=2)
    result = project.live("-p", "pytest_asyncio.plugin", "test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RejectedError: *"])
    assert all(instance.deleted for instance in router.instances)


# Attached


@pytest.fixture
def attached(project: Project, router: FakeRouter) -> Project:
    """A project that is attached to an instance that somebody else provisioned."""
    return project.suite("fixtures").at(router, instance=somebody_s(router))


def test_an_attached_instance_is_used_and_never_deleted(
    attached: Project, router: FakeRouter
) -> None:
    [instance] = router.instances
    result = attached.live("-rs", "-k", "not test_fixtures")
    result.assert_outcomes(passed=ALL - 15, skipped=15, deselected=10)
    assert count(router, "provision") == 1
    # What strangers are not to delete is none of the router's.
    assert not any(it.route == "delete" and instance.id in it.path for it in router.requests)
    result.stdout.fnmatch_lines(
        [
            f"*instance {instance.id} (environment)*",
            "*provisioned 0, deleted 0, kept 0, leaked 0",
            f"attached {instance.id} (attached)",
            f"SKIPPED *attached to {instance.id}: nothing is provisioned",
        ]
    )


def test_factories_are_skipped_where_attached(attached: Project, router: FakeRouter) -> None:
    attached.write("test_async_factory.py", "def test_it(async_smoke_instance_factory): ...\n")
    result = attached.live(".", "-k", "factory or test_it")
    result.assert_outcomes(skipped=7, deselected=4)
    # Nothing was executed.
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert count(router, "provision") == 1


def test_attached_to_something_that_is_not_there(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, instance=SOMEBODY, ready_timeout=1)
    result = project.live(f"{CHECKS}/test_chat.py")
    result.assert_outcomes(errors=FILES["test_chat.py"])
    result.stdout.fnmatch_lines(
        [
            "E *NotFoundError: status was refused with 404*",
            "*no instance: *",
            "*provisioned 0, deleted 0, kept 0, leaked 0",
        ]
    )


def test_an_attached_instance_is_waited_for_and_deleted_by_no_scope_and_no_test(
    project: Project,
) -> None:
    with FakeRouter(Scenario(row_after=0), TOKEN) as router:
        project.suite("bare").at(router, instance=somebody_s(router), scope="function")
        project.write(
            "test_it.py",
            "import pytest\n"
            "def test_it(smoke_instance):\n"
            "    with pytest.raises(Exception, match='an attached instance is never deleted'):\n"
            "        smoke_instance.delete()\n",
        )
        project.live("-k", "test_it or chat_answers or echoed").assert_outcomes(passed=3)
        assert count(router, "delete") == 0


def test_an_attached_session_provisions_nothing(attached: Project, router: FakeRouter) -> None:
    config = load({}, attached.path, fake=False).config
    session = SmokeSession(config, Ledger(config.output, config.run_id))
    with pytest.raises(ConfigError, match="this run is attached to an instance"):
        session.provision(InstanceSpec(manifest_id="m", region_id="r", tier_id="t"))
    session.close()
    assert count(router, "provision") == 1
