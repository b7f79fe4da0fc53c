"""The fixtures: what each gives, to whom an instance belongs, and when it is deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plugin_tools import CHECKS, FILES, SOMEBODY, TOKEN, Project, count, nothing_left, story
from specs_tools import SPECS

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def provisioned(router: FakeRouter) -> list[str]:
    """Return the tier of each instance, in order of provision."""
    return [instance.tier_id for instance in router.instances]


# What each gives


@pytest.mark.parametrize(
    ("suite", "plugin", "passed", "instances"),
    [
        # Shared, factory, two of many, the client's, and the wider fixture's.
        ("fixtures", "hydrasmoke", 10, 6),
        # The shared one serves the loops of asyncio and of trio.
        ("async_anyio", "anyio.pytest_plugin", 8, 7),
        ("async_auto", "pytest_asyncio.plugin", 3, 4),
    ],
)
def test_each_fixture_under_each_plugin_for_coroutines(
    project: Project, router: FakeRouter, suite: str, plugin: str, passed: int, instances: int
) -> None:
    project.suite(suite).at(router, max_instances=9)
    result = project.live("-p", plugin, f"test_{suite}.py", "-v", ret=0, passed=passed)
    assert len(router.instances) == instances
    assert nothing_left(router)
    if suite == "async_anyio":
        result.says("*test_factory[[]asyncio]*", "*test_factory[[]trio]*")
    if suite == "fixtures":
        result.says("*provisioned 6, deleted 6, kept 0, leaked 0, unsure 0")


def test_the_offline_fixture_takes_a_scenario_and_a_virtual_clock(project: Project) -> None:
    project.suite("offline").run(passed=2)


# Specs


def test_each_spec_is_provisioned_once(project: Project, router: FakeRouter) -> None:
    project.suite("bare").write_all(SPECS).at(router, run_id="run", max_instances=7)
    project.live(".", passed=10)
    assert sorted(provisioned(router)) == sorted(
        ["root", "big", "whole", "class", "class", "module", "folder"]
    )
    assert nothing_left(router)
    # Their keys are counted from 0.
    keys = [instance.idempotency_key for instance in router.instances]
    assert keys == [f"run-{slot}" for slot in range(7)]


SHARED = """
import pytest

def test_both(smoke_instance, async_smoke_instance):
    assert smoke_instance.id == async_smoke_instance.id

def test_one(smoke_instance):
    smoke_instance.delete()

def test_two(smoke_instance):
    assert smoke_instance.status().status == 'running'

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
WIDER = """
@pytest.fixture(scope="module")
def by_{name}({name}): ...

def test_{name}(by_{name}): ...
"""
NO_SPECS = [
    "tier: no such field, did you mean tier_id?",
    "x: no such field; manifest: *, did you mean manifest_id?",
    "tier_id: *",
    "'tier' is not a mapping",
    "5 is not a mapping",
    "manifest_id: *",
]


def test_all_share_an_instance_and_what_asks_for_none_is_told(
    project: Project, router: FakeRouter
) -> None:
    names = ("smoke_instance", "async_smoke_instance", "smoke_spec", "tmp_path")
    wider = "".join(WIDER.format(name=name) for name in names)
    project.suite("bare").at(router).write("test_it.py", SHARED + wider)
    # An override may be a mapping; a fixture of wider scope can take none of a test's.
    result = project.live("test_it.py", errors=6 + 4, passed=4)
    # A test that deletes it harms no other.
    assert story(router)[:3] == ["provision", "delete", "provision"]
    assert provisioned(router) == ["tier-1", "tier-1", "mapped"]
    assert nothing_left(router)
    next_step = "*next step: give some of manifest_id, region_id, tier_id, agent_name"
    told = [f"E *ConfigError: this is not an instance spec: {words}" for words in NO_SPECS]
    result.says(*(line for words in told for line in (words, next_step)))
    advice = "hydra-smoke: * smoke_instance_factory: docs/write/instances.md"
    for name in names[:3]:
        result.says(f"ScopeMismatch: * {name} *", advice)
    # Others' fixtures have no advice.
    assert result.stdout.str().count("docs/write/instances.md") == 3


# Scopes

# Every test here tells its agent its name, so that the router knows the order.
TELLING = """
import pytest

@pytest.fixture(autouse=True)
def telling(smoke_instance, request):
    yield
    # In the tear-down, in which the instance is still the test's.
    smoke_instance.chat(request.node.name)
"""
CLASSES = """
class TestA:
    def test_a1(self): ...
    def test_a2(self): ...

class TestB:
    def test_b1(self): ...

def test_c(): ...
def test_d(): ...
"""
PACKAGES = {
    "conftest.py": TELLING,
    "one/__init__.py": "",
    "one/test_first.py": CLASSES,
    "one/test_second.py": "def test_e(): ...",
    "two/__init__.py": "",
    "two/test_third.py": "def test_f(): ...",
}
STORIES = {
    # Outside of any package it is the session.
    "package": "provision a1 a2 b1 c d e delete provision f delete",
    "module": "provision a1 a2 b1 c d delete provision e delete provision f delete",
    # A test outside of any class is one for itself.
    "class": "provision a1 a2 delete provision b1 delete "
    "provision c delete provision d delete provision e delete provision f delete",
}


@pytest.mark.parametrize("scope", STORIES)
def test_an_instance_is_deleted_at_the_end_of_its_scope(
    project: Project, router: FakeRouter, scope: str
) -> None:
    project.suite("bare").write_all(PACKAGES)
    project.at(router, scope=scope, max_instances=7, usage_settle=0.01).live(".", passed=7)
    assert " ".join(story(router)).replace("test_", "") == STORIES[scope]


ONE_BY_ONE = """
import pytest

def test_by_one(smoke_instance_factory):
    with pytest.raises(Exception, match="no room for 3 more"):
        smoke_instance_factory.many(3)
    for _ in range(2):
        smoke_instance_factory().delete()
    smoke_instance_factory()
"""


def test_deleted_ones_count_too(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, max_instances=2).write("test_it.py", ONE_BY_ONE)
    project.live("test_it.py", failed=1).says(
        "E *no room for 1 more: max_instances allows 2 in a run",
        "*next step: raise HYDRA_SMOKE_MAX_INSTANCES, share instances (scope), or *",
    )
    assert count(router, "provision") == 2


# A run that is attached to an instance: it is used, and never deleted


def somebody_s(router: FakeRouter) -> str:
    """Provision an instance that is no run's, and give its id."""
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    with SmokeClient(router.url, token=TOKEN) as client:
        client.provision(spec, "somebody-s")
    return router.instances[0].id


ATTACHED = """
import pytest

def test_factory(async_smoke_instance_factory): ...

def test_it(smoke_instance):
    assert smoke_instance.idempotency_key is None
    with pytest.raises(Exception, match='an attached instance is never deleted'):
        smoke_instance.delete()
"""


def test_an_attached_instance_is_waited_for_used_and_deleted_by_no_scope_and_no_test(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(Scenario(row_after=0))
    project.suite("fixtures").at(router, instance=somebody_s(router), scope="function")
    project.set(max_instances=1)
    [instance] = router.instances
    project.write("test_it.py", ATTACHED)
    checks = [f"{CHECKS}/test_{name}.py" for name in ("chat", "deletion", "instance")]
    result = project.live("-rs", "-k", "not test_fixtures or factory", ".", *checks)
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["skipped"]) == (12, 12)
    assert count(router, "provision") == 1
    # What strangers are not to delete is none of the router's.
    assert not any(it.route == "delete" and instance.id in it.path for it in router.requests)
    result.says(
        f"*instance {instance.id} (environment)*",
        "*provisioned 0, deleted 0, kept 0, leaked 0, unsure 0",
        f"attached {instance.id} (attached)",
        f"SKIPPED *attached to {instance.id}: nothing is provisioned",
    )


def test_attached_to_something_that_is_not_there(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, instance=SOMEBODY, ready_timeout=1)
    project.live("-rs", f"{CHECKS}/test_chat.py", errors=1, skipped=FILES["test_chat.py"] - 1).says(
        "E *NotFoundError: status was refused with 404*",
        "*provisioned 0, deleted 0, kept 0, leaked 0, unsure 0",
        f"*not run: attaching failed in {CHECKS}/test_chat.py::test_chat_answers: *",
    )
    # Nor does the run provision anything.
    config = load({}, project.path, fake=False).config
    run = Run(config, Ledger(config.output, config.run_id))
    with pytest.raises(ConfigError, match="this run is attached to an instance"):
        run.provision(InstanceSpec(manifest_id="m", region_id="r", tier_id="t"))
    run.close()
    assert count(router, "provision") == 0
