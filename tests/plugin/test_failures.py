"""Which failures a run's reports tell: each once, with its instance, and none that was expected."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_tools import ASYNCIO, Project

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._plugin.outcomes import failures_of
from pytest_hydrasmoke.fake import FakeRouter

EXPECTED = """
import pytest
from pytest_hydrasmoke import ChatError, RejectedError

def test_a(smoke_instance):
    with pytest.raises(ChatError):
        smoke_instance.chat("hello")

def test_b(smoke_instance_factory):
    with pytest.raises(RejectedError):
        smoke_instance_factory(tier_id="x" * 81)
"""
FOUR = """
import pytest

@pytest.fixture(scope="module")
def mine(smoke_instance_factory):
    return smoke_instance_factory()

def test_uses_it(mine):
    mine.status()

def test_fails_without_it(smoke_instance):
    mine = smoke_instance
    assert mine is None

def test_fails_in_a_phase(smoke_instance):
    smoke_instance.chat("hello")

async def test_set_up(async_smoke_instance_factory, refused): ...

@pytest.fixture
async def refused(async_smoke_instance_factory):
    await async_smoke_instance_factory(tier_id="refused")
"""
SECOND_TIME = """
import pytest

attempts = []

@pytest.mark.flaky(reruns=1)
def test_not_cured(smoke_instance):
    smoke_instance.chat("hello")

@pytest.mark.flaky(reruns=1)
def test_a(smoke_instance):
    smoke_instance.chat("hello")

@pytest.mark.flaky(reruns=1)
def test_b(smoke_instance):
    attempts.append(1)
    assert len(attempts) != 1
"""


def failures(project: Project) -> list[dict[str, Any]]:
    return [failure for it in project.report()["instances"] for failure in it["failures"]]


def test_errors_that_tests_expect_are_no_failures(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = project.write("summary.md", "")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    router.break_stream("cut")
    project.write("test_it.py", EXPECTED)
    ended = project.at(router, report="always").live("test_it.py")
    ended.assert_outcomes(passed=2)
    assert failures(project) == []
    assert not any(instance["failed"] for instance in project.report()["instances"])
    assert "What went wrong" not in project.left("report.html")
    assert "Failures" not in summary.read_text("utf-8")


def test_a_failure_is_told_once_and_of_the_instance_that_its_test_used(
    project: Project, router: FakeRouter
) -> None:
    router.break_stream("cut")
    # However long its words are.
    detail = [{"loc": ["body", f"field_{n}"], "msg": "is wrong " * 9} for n in range(9)]
    router.fail("provision", status=422, body={"detail": detail}, after=2, times=9)
    project.suite("async_auto").write("test_it.py", FOUR)
    project.at(router, run_id="r" * 60)
    result = project.live(*ASYNCIO, "test_it.py")
    result.assert_outcomes(passed=1, failed=2, errors=1)
    told = [(it["phase"], it["test"].partition("::")[2]) for it in failures(project)]
    assert told == [
        *((None, "test_fails_without_it"), ("turn", "test_fails_in_a_phase")),
        ("provision", "test_set_up"),
    ]
    instances = project.report()["instances"]
    failed = {it["idempotency_key"]: it["failed"] for it in instances}
    assert failed == {f"{'r' * 60}-{at}": at > 0 for at in range(3)}
    page = project.left("report.html")
    assert ("What went wrong" in page, "Nothing went wrong" in page) == (True, False)
    # No frame of the plugin for coroutines is shown.
    shown = result.stdout.str().partition("ERROR at setup of test_set_up")[2]
    shown = shown.partition("= FAILURES =")[0]
    assert "RejectedError: provision was refused with 422" in shown
    assert "pytest_asyncio" not in shown


def test_what_a_rerun_cured_is_told_as_cured(project: Project, router: FakeRouter) -> None:
    router.break_stream("cut", times=3)
    project.write("test_it.py", SECOND_TIME)
    project.at(router, report="always")
    ended = project.live("-p", "pytest_rerunfailures", "test_it.py")
    assert ended.parseoutcomes() == {"failed": 1, "passed": 2, "rerun": 3}
    assert [(it["phase"], it["test"][17:], it["cured"]) for it in failures(project)] == [
        *[("turn", "not_cured", False)] * 2,
        *(("turn", "a", True), (None, "b", True)),
    ]
    assert project.left("report.html").count(", cured by a rerun") == 2
    # Where all are cured, nothing went wrong.
    router.break_stream("cut")
    ended = project.live("-p", "pytest_rerunfailures", "test_it.py", "-k", "test_a")
    assert ended.parseoutcomes() == {"passed": 1, "rerun": 1, "deselected": 2}
    assert "What went wrong" not in project.left("report.html")


def test_a_failure_is_found_in_groups_and_causes_and_told_once() -> None:
    error = ChatError("cut")
    error.failure = 7
    other = LookupError("of a test's own")
    other.__cause__ = error
    expected = RuntimeError("after it")
    expected.__context__, expected.__suppress_context__ = error, True
    group = ExceptionGroup("several", [other, ValueError("no matter"), error])
    assert list(failures_of(group)) == [7]
    assert list(failures_of(expected)) == []
