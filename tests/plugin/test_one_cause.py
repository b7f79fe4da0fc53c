"""One cause is one failure (G29): what needs what was shown not to work is skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from plugin_tools import (
    ASYNCIO,
    CHECKS,
    FILES,
    QUICK,
    Project,
    alone_or_workers,
    count,
    nothing_left,
    story,
)

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.scenario import AfterDelete

Routing = Callable[[Scenario], FakeRouter]

NEVER = Scenario(row_after=0, statuses=((0, "booting"),))
SOME = [f"{CHECKS}/test_{name}.py" for name in ("chat", "deletion", "instance")]
"""All bundled checks but those of what is refused."""
COUNT = sum(FILES[path.rpartition("/")[2]] for path in SOME)
COUNTS = """
import pytest

{mark}
def test_it(smoke_instance):
    smoke_instance.chat("hello").expect_llm_events({timeout})
"""


def shown_once(result: pytest.RunResult, by: str, *, leaks: int = 0) -> int:
    """See one failure, and skips that name it; returns how many there are of those."""
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1 + leaks
    # A line of its own for each place in the code that skips.
    skips = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert skips
    assert all(f"not run: {by}" in line for line in skips)
    return outcomes["skipped"]


UNCOUNTED = replace(QUICK, llm_events_per_turn=0)
BY_TEAM = "llm_events was shown to fail in test_it.py::test_it (LlmEventsError)"
# The scenario, the tests, and settings; then what the skips name, how many there may be, and how
# many instances.
ONE_CAUSE: dict[str, tuple[Scenario, list[str], dict[str, Any], str, range, int]] = {
    # The second one, which the deletion's check has for itself, had begun beside it.
    "boot": (
        *(NEVER, SOME, {"ready_timeout": 1}),
        *("the boot of made-up/nowhere/tier-1 failed in ", range(11, COUNT), 2),
    ),
    # The deletion is proved all the same.
    "chat": (
        *(replace(QUICK, agent_dies="cut"), SOME, {}),
        *(f"chat was shown to fail in {CHECKS}/test_chat.py::", range(1, 8), 2),
    ),
    "usage of a team's test": (
        *(UNCOUNTED, ["test_it.py", SOME[0]], {"llm_events_timeout": 1}),
        *(BY_TEAM, range(1, 8), 1),
    ),
}


@alone_or_workers
@pytest.mark.parametrize("name", ONE_CAUSE)
def test_what_fails_in_the_checks_is_one_failure_and_is_not_tried_again(
    project: Project, routing: Routing, workers: tuple[str, ...], name: str
) -> None:
    scenario, tests, settings, by, skips, instances = ONE_CAUSE[name]
    router = routing(scenario)
    project.suite("bare").at(router, **settings)
    project.write("test_it.py", COUNTS.format(mark="", timeout=""))
    result = project.live(*workers, "-rs", *tests)
    skipped = shown_once(result, by)
    assert skipped in skips
    known = sum(FILES.get(path.rpartition("/")[2], 1) for path in tests)
    assert result.parseoutcomes().get("passed", 0) == known - 1 - skipped
    assert len(router.instances) == instances
    assert nothing_left(router)
    if scenario is NEVER:
        result.says(
            "E *ProvisionTimeoutError: the instance was not ready in time: *",
            "*phase: *ready, after *",
            "*last seen: status 'booting'",
        )
        outcomes = [it["outcome"] for it in project.report()["tests"]]
        assert (outcomes.count("error"), outcomes.count("failed")) == (1, 0)


def test_what_a_team_expects_to_fail_shows_nothing(project: Project, routing: Routing) -> None:
    text = COUNTS.format(mark="@pytest.mark.xfail", timeout="timeout=0.1")
    router = routing(replace(QUICK, llm_events_lag=1.0))
    project.suite("bare").at(router, usage_settle=3).write("test_it.py", text)
    checks = f"{CHECKS}/test_chat.py::test_llm_events_of_a_chat_are_recorded"
    project.live("test_it.py", checks, xfailed=1, passed=1)


def test_a_delete_that_fails_is_one_failure_and_each_leak_is_told_once(
    project: Project, router: FakeRouter
) -> None:
    router.fail("delete", status=501, times=10_000)
    project.suite("bare").at(router, delete_timeout=0.6)
    result = project.live("-rs", f"{CHECKS}/test_deletion.py", f"{CHECKS}/test_refusals.py")
    shown_once(result, "a refusal by delete was shown to fail in ", leaks=2)
    text = result.stdout.str()
    assert "does not refuse" not in text
    for instance in router.instances:
        assert text.count(f"LEAK: {instance.id} ") == 1


def test_a_router_that_refuses_nobody_is_told_by_each_call(
    project: Project, router: FakeRouter
) -> None:
    # That is no call that fails, and one call shows nothing of another.
    router.fail("poll", status=200, times=10_000, body={"found": False})
    project.suite("bare").at(router)
    project.live(f"{CHECKS}/test_refusals.py::test_token_is_required", "-rs", failed=2)


# A team's tests

TEAM = """
import pytest

{mark}
def test_one(smoke_instance):
    smoke_instance.chat("one")

async def test_two(async_smoke_instance):
    await async_smoke_instance.chat("two")

@pytest.mark.parametrize("smoke_instance", [{{"tier_id": "other"}}], indirect=True)
def test_other(smoke_instance):
    pass
"""


@pytest.fixture
def team(project: Project, router: FakeRouter) -> Project:
    """A team's tests at a router that refuses the first request for an instance."""
    router.fail("provision", status=422)
    # Its tests' own coroutines; one after the other, so that it is known who comes first.
    project.suite("async_auto").at(router, scope="module", max_instances=9)
    project.write("test_it.py", TEAM.format(mark=""))
    return project


def test_a_boot_that_was_refused_is_told_once_pointed_to_and_tried_again_by_the_next_run(
    team: Project, router: FakeRouter
) -> None:
    result = team.live(*ASYNCIO, "-rs", "test_it.py", errors=1, skipped=1, passed=1)
    assert [instance.tier_id for instance in router.instances] == ["other"]
    result.says(
        "E *RejectedError: provision was refused with 422*",
        "*provisioned 1, deleted 1, kept 0, leaked 0, unsure 0",
        (
            "SKIPPED *: not run: the boot of made-up/nowhere/tier-1 failed in "
            "test_it.py::test_one: provision was refused with 422*"
        ),
    )
    team.live(*ASYNCIO, "--lf", "test_it.py", passed=1)


def test_a_second_try_of_the_test_that_failed_boots_anew(team: Project, router: FakeRouter) -> None:
    team.live(*ASYNCIO, "-p", "pytest_rerunfailures", "--reruns=1", "test_it.py", ret=0, passed=3)
    assert count(router, "provision") == 3


def test_no_run_is_green_whose_tests_were_not_tried(team: Project) -> None:
    # The failure that they point to does not count: it was expected.
    team.write("test_it.py", TEAM.format(mark="@pytest.mark.xfail"))
    result = team.live(*ASYNCIO, "test_it.py", xfailed=1, skipped=1, passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.says("hydra-smoke: smoke tests not run: 1, since another one failed*")


IN_VAIN = """
import pytest

{mark}
def test_first(smoke_instance_factory):
    smoke_instance_factory()

def test_same(smoke_instance):
    smoke_instance.chat("hello")

def test_factory(smoke_instance_factory):
    smoke_instance_factory(tier_id="other")

async def test_async_factory(async_smoke_instance_factory):
    await async_smoke_instance_factory.many(2)
"""


@alone_or_workers
@pytest.mark.parametrize(
    ("status", "error"),
    # On a busy machine, the last attempt may end by its deadline, in a TransportTimeoutError.
    [(401, "Unauthorized"), (501, "Router"), (None, "Transport*"), (422, None), (403, None)],
)
def test_no_boot_begins_after_one_that_the_router_failed(
    project: Project,
    router: FakeRouter,
    workers: tuple[str, ...],
    status: int | None,
    error: str | None,
) -> None:
    project.suite("async_auto").at(router, delete_timeout=2, ready_timeout=2, max_instances=9)
    project.write("test_it.py", IN_VAIN.format(mark=""))
    if status is None:
        router.drop("provision", times=99)
    else:
        router.fail("provision", status=status, times=99)
    result = project.live(*ASYNCIO, *workers, "-rs", "test_it.py")
    if error is None:
        assert (result.parseoutcomes()["failed"], result.parseoutcomes()["errors"]) == (3, 1)
        return
    assert (result.parseoutcomes()["failed"], result.parseoutcomes()["skipped"]) == (1, 3)
    by = f"not run: boot was shown to fail in test_it.py::test_first ({error}Error)"
    result.says("*provisioned 0, deleted 0, *", f"not run: 3, {by[9:]}")
    sent = [it.body for it in router.requests if it.route == "provision"]
    assert sent
    assert all(body == sent[0] for body in sent)


SIDE_BY_SIDE = """
import pytest

def test_first(smoke_instance): ...

@pytest.mark.parametrize("smoke_instance", [{"tier_id": "other"}], indirect=True)
def test_other(smoke_instance): ...

def test_factory(smoke_instance_factory):
    smoke_instance_factory()
"""


def test_the_first_failure_of_several_is_the_one_that_is_named(
    project: Project, router: FakeRouter
) -> None:
    project.suite("bare").at(router, delete_timeout=1, max_instances=9)
    project.write("test_it.py", SIDE_BY_SIDE)
    router.fail("provision", status=501, times=99)
    # Both boots had begun when the first of them failed.
    result = project.live("-rs", "test_it.py", errors=2, skipped=1)
    result.says(
        "SKIPPED *: not run: boot was shown to fail in test_it.py::test_first (RouterError)"
    )


@pytest.mark.parametrize("ends", ["xfail", "rerun"])
def test_boots_go_on_after_a_failure_that_counts_for_nothing(
    project: Project, router: FakeRouter, ends: str
) -> None:
    project.suite("async_auto").at(router, delete_timeout=1, max_instances=9)
    mark = "@pytest.mark.xfail" if ends == "xfail" else ""
    project.write("test_it.py", IN_VAIN.format(mark=mark))
    router.fail("provision", status=501)
    again = () if ends == "xfail" else ("-p", "pytest_rerunfailures", "--reruns=1")
    result = project.live(*ASYNCIO, *again, "test_it.py")
    assert result.parseoutcomes()["passed"] == (4 if again else 3)


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
    project: Project, routing: Routing, gone: AfterDelete
) -> None:
    router = routing(replace(QUICK, after_delete=gone))
    project.suite("async_auto").at(router).write("test_it.py", VANISHES)
    result = project.live(*ASYNCIO, "-rs", "test_it.py", passed=1, failed=4, skipped=2)
    assert count(router, "chat") == 1
    pointing = "SKIPPED *: not run: * was found to be gone at the router in test_it.py::test_first"
    result.says(
        "E *NotFoundError: chat was refused with 404*",
        {
            "404": "*its first DELETE found nothing, although it was seen alive before*",
            "row": "*was gone before this run deleted it*",
        }[gone],
        *(pointing, pointing),
    )


def test_one_that_only_was_not_found_is_used_again(project: Project, router: FakeRouter) -> None:
    router.fail("chat", status=404)
    project.suite("bare").at(router).write("test_it.py", VANISHES)
    project.live("test_it.py", "-k", "first or second", failed=1, passed=1, deselected=4)
    assert nothing_left(router)


def test_an_instance_that_fails_is_deleted_at_once(project: Project, routing: Routing) -> None:
    router = routing(replace(NEVER, statuses=((0, "failed"),)))
    project.suite("async_auto").at(router).write("test_it.py", TEAM.format(mark=""))
    result = project.live(*ASYNCIO, "test_it.py", "-k", "one or two")
    result.assert_outcomes(errors=1, skipped=1, deselected=1)
    # It was never ready: its boot might go on, so that the run's end asks once more.
    assert story(router) == ["provision", "delete", "delete"]
    # A sweep looks again once its boot would be over.
    [run] = project.runs()
    ledger = read(folder_of(project.path / ".hydrasmoke", run))
    assert [it.state for it in ledger.open] == [State.GONE]
    result.says("*provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")
