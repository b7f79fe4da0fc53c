"""A run takes one boot's time, however many instances its tests are certain to need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from plugin_tools import CHECKS, QUICK, Project, nothing_left

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Routing = Callable[[Scenario], FakeRouter]

BOOTS = replace(QUICK, statuses=((0, "booting"), (0.3, "running")))
MATRIX = """
import pytest

TIERS = ["tier-1", "tier-2", "tier-3", "tier-4"]

@pytest.mark.parametrize("smoke_instance", [{"tier_id": it} for it in TIERS], indirect=True)
def test_it(smoke_instance):
    assert smoke_instance.spec.tier_id in TIERS
"""
FACTORY = """
def test_own(smoke_instance_factory):
    assert len(smoke_instance_factory.many(3)) == 3
"""


def boots_together(router: FakeRouter) -> bool:
    """Return whether all instances were requested before the first one was ready."""
    provisioned = [n for n, it in enumerate(router.requests) if it.route == "provision"]
    chats = [n for n, it in enumerate(router.requests) if it.route in ("delete", "chat")]
    return max(provisioned) < min(chats)


def test_a_matrix_boots_side_by_side(project: Project, routing: Routing) -> None:
    router = routing(BOOTS)
    project.suite("bare").at(router).write("test_it.py", MATRIX)
    project.live("test_it.py").assert_outcomes(passed=4)
    assert sorted(it.tier_id for it in router.instances) == [f"tier-{n}" for n in range(1, 5)]
    assert boots_together(router)
    assert nothing_left(router)


def test_the_second_instance_of_the_checks_boots_beside_the_first(
    project: Project, routing: Routing
) -> None:
    router = routing(BOOTS)
    project.suite("bare").at(router)
    result = project.live(f"{CHECKS}/test_chat.py::test_chat_answers", f"{CHECKS}/test_deletion.py")
    result.assert_outcomes(passed=2)
    assert len(router.instances) == 2
    assert boots_together(router)


def test_it_does_not_where_tests_may_need_its_place(project: Project, routing: Routing) -> None:
    router = routing(BOOTS)
    project.suite("bare").at(router).write("test_it.py", MATRIX.replace(', "tier-4"', "") + FACTORY)
    # Three tiers, three of the factory, and the check's own: never more than six at a time.
    project.set(max_instances=7)
    result = project.live("test_it.py", f"{CHECKS}/test_deletion.py")
    result.assert_outcomes(passed=5)
    # The check's own one, which is deleted first, has the last slot, and not the fourth.
    first = next(it.path for it in router.requests if it.route == "delete")
    [own] = [it for it in router.instances if str(it.id) in first]
    assert own.idempotency_key.endswith("-6")
    assert nothing_left(router)


@pytest.mark.parametrize(
    ("change", "booted"),
    [
        ("", ["tier-1", "tier-2", "tier-3", "tier-4"]),
        ("pytestmark = pytest.mark.skipif(True, reason='never')", []),
        ("@pytest.fixture\ndef smoke_instance(): ...", []),
    ],
    ids=["all", "skipped", "not the plugin's"],
)
def test_only_what_is_certain_boots(
    project: Project, router: FakeRouter, change: str, booted: list[str]
) -> None:
    text = MATRIX.replace("import pytest\n", f"import pytest\n{change}\n", 1)
    project.suite("bare").at(router).write("test_it.py", text)
    project.write("test_a.py", "def test_a(smoke_instance): assert False\n")
    project.live("-x", "test_a.py", "test_it.py").assert_outcomes(failed=1)
    # The first one alone was needed; the others are deleted all the same.
    assert sorted({it.tier_id for it in router.instances}) == sorted({"tier-1", *booted})
    assert nothing_left(router)


def test_narrower_scopes_boot_one_after_the_other(project: Project, routing: Routing) -> None:
    router = routing(BOOTS)
    project.suite("bare").at(router).table('scope = "function"')
    project.write("test_it.py", MATRIX)
    project.live("test_it.py").assert_outcomes(passed=4)
    assert not boots_together(router)
