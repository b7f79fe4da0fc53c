"""Which failures a run's reports tell: each once, with its instance, and none that was expected."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_tools import ASYNCIO, QUICK, TOKEN, Project

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._plugin.outcomes import failures_of
from pytest_hydrasmoke.fake import FakeRouter, Scenario

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
THREE = """
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
"""
SECOND_TIME = """
import pytest

attempts = []

@pytest.mark.flaky(reruns=1)
def test_a(smoke_instance):
    attempts.append(1)
    smoke_instance.chat("hello")

@pytest.mark.flaky(reruns=1)
def test_b(smoke_instance):
    attempts.append(1)
    assert len(attempts) != 3
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


@pytest.mark.parametrize("run_id", ["short", "r" * 60])
def test_a_failure_is_told_with_its_instance_whatever_its_words(
    run_id: str, project: Project, router: FakeRouter
) -> None:
    detail = [
        {"loc": ["body", f"field_{n}"], "msg": "is wrong " * 9, "type": "x"} for n in range(9)
    ]
    router.fail("provision", status=422, body={"detail": detail}, times=9)
    project.write("test_it.py", "def test_a(smoke_instance): pass")
    project.at(router, run_id=run_id).live("test_it.py").assert_outcomes(errors=1)
    [instance] = project.report()["instances"]
    [failure] = instance["failures"]
    assert (failure["phase"], failure["test"]) == ("provision", "test_it.py::test_a")
    assert instance["idempotency_key"] == f"{run_id}-0"
    assert "What went wrong" in project.left("report.html")
    assert "Nothing went wrong" not in project.left("report.html")


def test_a_failure_is_told_once_and_of_the_instance_that_its_test_used(
    project: Project, router: FakeRouter
) -> None:
    router.break_stream("cut")
    project.write("test_it.py", THREE)
    project.at(router).live("test_it.py").assert_outcomes(passed=1, failed=2)
    told = [(it["phase"], it["test"].partition("::")[2]) for it in failures(project)]
    assert told == [(None, "test_fails_without_it"), ("turn", "test_fails_in_a_phase")]
    failed = {
        it["idempotency_key"].rpartition("-")[2]: it["failed"]
        for it in project.report()["instances"]
    }
    assert failed == {"0": False, "1": True}


def test_what_a_rerun_cured_is_told_as_cured(project: Project, router: FakeRouter) -> None:
    router.break_stream("cut")
    project.write("test_it.py", SECOND_TIME)
    project.at(router, report="always")
    ended = project.live("-p", "pytest_rerunfailures", "test_it.py")
    assert ended.parseoutcomes() == {"passed": 2, "rerun": 2}
    first, second = failures(project)
    assert (first["phase"], first["test"], first["cured"]) == ("turn", "test_it.py::test_a", True)
    assert (second["phase"], second["test"], second["cured"]) == (None, "test_it.py::test_b", True)
    assert project.left("report.html").count(", cured by a rerun") == 2
    assert "What went wrong" not in project.left("report.html")


def test_what_no_rerun_cured_is_a_failure(project: Project) -> None:
    with FakeRouter(QUICK, TOKEN) as router:
        router.break_stream("cut", times=2)
        project.write("test_it.py", SECOND_TIME)
        project.at(router).live("-p", "pytest_rerunfailures", "test_it.py")
    assert [failure["cured"] for failure in failures(project)] == [False, False, True]


def test_asking_what_is_left_changes_nothing(project: Project) -> None:
    text = """
def test_a(smoke_instance_factory):
    session = smoke_instance_factory._session
    smoke_instance_factory()
    [record] = session.records
    state = record.state
    assert session.pending == []
    assert record.state is state
"""
    with FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), TOKEN) as router:
        project.write("test_it.py", text)
        project.at(router, keep="always").live("test_it.py").assert_outcomes(passed=1)


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


def test_an_error_of_a_set_up_is_shown_without_frames_of_the_loops_plugin(
    project: Project, router: FakeRouter
) -> None:
    router.fail("provision", status=422)
    project.suite("async_auto").at(router)
    project.write("test_it.py", "async def test_a(async_smoke_instance): ...")
    result = project.live(*ASYNCIO, "test_it.py")
    result.assert_outcomes(errors=1)
    shown = result.stdout.str().partition("ERROR at setup of test_a")[2]
    assert "RejectedError: provision was refused with 422" in shown
    assert "pytest_asyncio" not in shown
