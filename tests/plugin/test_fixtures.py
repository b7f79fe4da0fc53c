"""The fixtures: what each gives, to whom an instance belongs, and when it is deleted."""

from __future__ import annotations

import pytest
from plugin_tools import Project, count, nothing_left, story

from pytest_hydrasmoke import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._run.factory import merged
from pytest_hydrasmoke.fake import FakeRouter


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


def test_the_offline_fixture_takes_a_scenario_and_a_virtual_clock(project: Project) -> None:
    project.suite("offline")
    project.run().assert_outcomes(passed=2)


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
    project.suite("scopes").at(router, scope=scope, max_instances=7, usage_settle=0.01)
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


SHARED = """
def test_both(smoke_instance, async_smoke_instance):
    assert smoke_instance.id == async_smoke_instance.id

def test_one(smoke_instance):
    smoke_instance.delete()

def test_two(smoke_instance):
    assert smoke_instance.status().status == 'running'
"""


def test_all_share_an_instance_and_a_test_that_deletes_it_harms_no_other(
    project: Project, router: FakeRouter
) -> None:
    project.suite("bare").at(router).write("test_it.py", SHARED)
    project.live("test_it.py").assert_outcomes(passed=3)
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
    advice = "hydra-smoke: * smoke_instance_factory: docs/write/instances.md"
    for name in names[:3]:
        result.stdout.fnmatch_lines([f"ScopeMismatch: * {name} *", advice])
    # Others' fixtures have no advice.
    assert result.stdout.str().count("docs/write/instances.md") == 3
