"""One cause is one failure (G29): what needs what was shown not to work is skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from plugin_tools import CHECKS, FILES, QUICK, Project, alone_or_workers, count, nothing_left

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Routing = Callable[[Scenario], FakeRouter]

NEVER = Scenario(row_after=0, statuses=((0, "booting"),))


def shown_once(result: pytest.RunResult, by: str, *, leaks: int = 0) -> int:
    """See one failure, and skips that name it; returns how many there are of those."""
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1 + leaks
    # A line of its own for each place in the code that skips.
    skips = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert skips
    assert all(f"not run: {by}" in line for line in skips)
    return outcomes["skipped"]


# The bundled checks

SOME = [f"{CHECKS}/test_{name}.py" for name in ("chat", "deletion", "instance")]
"""All but those of what is refused."""
COUNT = sum(FILES[path.rpartition("/")[2]] for path in SOME)
COUNTS = """
def test_it(smoke_instance):
    smoke_instance.chat("hello").expect_llm_events()
"""


@alone_or_workers
def test_a_boot_that_times_out_is_one_failure_and_is_not_tried_again(
    project: Project, routing: Routing, workers: tuple[str, ...]
) -> None:
    router = routing(NEVER)
    project.suite("bare").at(router, ready_timeout=1)
    result = project.live(*workers, "-rs", *SOME)
    skipped = shown_once(result, "the boot of made-up/nowhere/tier-1 failed in ")
    assert 10 < skipped == COUNT - 1 - result.parseoutcomes().get("passed", 0)
    assert "was not ready in time" in result.stdout.str()
    # The second one, which the deletion's check has for itself, had begun beside it.
    assert len(router.instances) == 2
    assert nothing_left(router)
    outcomes = [it["outcome"] for it in project.report()["tests"]]
    assert outcomes.count("error") == 1
    assert "failed" not in outcomes


@alone_or_workers
def test_an_agent_that_is_cut_is_one_failure(
    project: Project, routing: Routing, workers: tuple[str, ...]
) -> None:
    router = routing(replace(QUICK, agent_dies="cut"))
    result = project.suite("bare").at(router).live(*workers, "-rs", *SOME)
    skipped = shown_once(result, f"chat was shown to fail in {CHECKS}/test_chat.py::")
    # The deletion is proved all the same.
    assert skipped < 8
    assert result.parseoutcomes()["passed"] == COUNT - 1 - skipped
    assert nothing_left(router)


@alone_or_workers
def test_usage_that_is_not_counted_is_waited_for_once(
    project: Project, routing: Routing, workers: tuple[str, ...]
) -> None:
    router = routing(replace(QUICK, llm_events_per_turn=0))
    project.suite("bare").at(router, llm_events_timeout=1)
    result = project.live(*workers, "-rs", *SOME)
    skipped = shown_once(result, f"llm_events was shown to fail in {CHECKS}/")
    assert skipped < 8
    assert result.parseoutcomes()["passed"] == COUNT - 1 - skipped
    assert nothing_left(router)


def test_usage_that_a_team_s_test_has_waited_for_is_not_waited_for_again(
    project: Project, routing: Routing
) -> None:
    router = routing(replace(QUICK, llm_events_per_turn=0))
    project.suite("bare").at(router, llm_events_timeout=1).write("test_it.py", COUNTS)
    result = project.live("-rs", "test_it.py", *SOME)
    shown_once(result, "llm_events was shown to fail in test_it.py::test_it (LlmEventsError)")
    assert nothing_left(router)


def test_what_a_team_expects_to_fail_shows_nothing(project: Project, routing: Routing) -> None:
    text = COUNTS.replace("def test_it", "import pytest\n@pytest.mark.xfail\ndef test_it")
    text = text.replace("expect_llm_events()", "expect_llm_events(timeout=0.1)")
    router = routing(replace(QUICK, llm_events_lag=1.0))
    project.suite("bare").at(router, usage_settle=3).write("test_it.py", text)
    checks = f"{CHECKS}/test_chat.py::test_llm_events_of_a_chat_are_recorded"
    project.live("test_it.py", checks).assert_outcomes(xfailed=1, passed=1)


def test_a_delete_that_fails_is_one_failure_and_each_leak_is_told_once(
    project: Project, router: FakeRouter
) -> None:
    router.fail("delete", status=500, times=10_000)
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
    result = (
        project.suite("bare")
        .at(router)
        .live(f"{CHECKS}/test_refusals.py::test_token_is_required", "-rs")
    )
    result.assert_outcomes(failed=2)


# A team's tests


THREE = """
import pytest

def test_one(smoke_instance):
    smoke_instance.chat("one")

def test_two(smoke_instance):
    smoke_instance.chat("two")

def test_other(smoke_config):
    pass
"""


def test_a_second_try_of_the_test_that_failed_boots_anew(
    project: Project, router: FakeRouter
) -> None:
    router.fail("provision", status=422)
    project.suite("bare").at(router).write("test_it.py", THREE)
    result = project.live("-p", "pytest_rerunfailures", "--reruns=1", "test_it.py")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert count(router, "provision") == 2


def test_what_was_not_run_is_run_once_the_failure_is_mended(
    project: Project, router: FakeRouter
) -> None:
    router.fail("provision", status=422)
    project.suite("bare").at(router).write("test_it.py", THREE)
    project.live("test_it.py").assert_outcomes(errors=1, skipped=1, passed=1)
    project.live("--lf", "test_it.py").assert_outcomes(passed=1)
    project.live("test_it.py").assert_outcomes(passed=3)


def test_the_first_failure_ends_a_run_that_is_to_stop_there(
    project: Project, router: FakeRouter
) -> None:
    router.fail("provision", status=422)
    project.suite("bare").at(router).write("test_it.py", THREE)
    result = project.live("-x", "test_it.py")
    result.assert_outcomes(errors=1)
    assert project.report()["not_run"] == 2


def test_no_run_is_green_whose_tests_were_not_tried(project: Project, router: FakeRouter) -> None:
    # The failure that they point to does not count: it was expected.
    router.fail("provision", status=422)
    project.suite("bare").at(router).write(
        "test_it.py", THREE.replace("def test_one", "@pytest.mark.xfail\ndef test_one")
    )
    result = project.live("test_it.py")
    result.assert_outcomes(xfailed=1, skipped=1, passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["hydra-smoke: smoke tests not run: 1, since another one failed*"])
