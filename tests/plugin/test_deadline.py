"""A run with a deadline ends in time to delete what there is, whatever its tests do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from handlers import as_in_a_terminal
from plugin_tools import QUICK, Project, alone_or_workers, count, nothing_left

from pytest_hydrasmoke.fake import FakeRouter, Scenario

Routing = Callable[[Scenario], FakeRouter]

SLEEPS = """
import time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    time.sleep(60)

def test_b(smoke_instance):
    smoke_instance.chat("never")
"""
BOOTS = "def test_a(smoke_instance): ...\n"
PASSES = "def test_a(smoke_instance): smoke_instance.chat('here')\n"


@pytest.fixture(autouse=True)
def terminal() -> Iterator[None]:
    with as_in_a_terminal():
        yield


@alone_or_workers
def test_what_hangs_is_ended_in_time_for_a_deletion(
    project: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    # Longer than what is left after a signal of somebody else's.
    router.fail("delete", status=503, times=6)
    project.suite("bare").at(router, deadline=40, delete_timeout=25).write("test_it.py", SLEEPS)
    result = project.live(*workers, "test_it.py")
    assert result.ret == 128 + 15
    assert nothing_left(router)
    assert count(router, "chat") == 1
    assert count(router, "delete") > 6
    report = project.report()
    assert report["ended"].startswith("deadline: the run may take 40 s, and was ended 20 s before")
    assert report["not_run"] == 1
    result.stdout.fnmatch_lines(["hydra-smoke: deadline: the run may take 40 s, *"])


def test_a_test_that_takes_the_signal_for_itself_does_not_outlast_it(
    project: Project, router: FakeRouter
) -> None:
    taken = SLEEPS.replace(
        "    time.sleep", "    signal.signal(signal.SIGTERM, lambda *_: None)\n    time.sleep"
    )
    project.suite("bare").at(router, deadline=8).write("test_it.py", f"import signal\n{taken}")
    assert project.live("test_it.py").ret == 128 + 2
    assert nothing_left(router)
    assert project.report()["ended"].startswith("deadline: ")


def test_a_boot_does_not_outlast_it(project: Project, routing: Routing) -> None:
    router = routing(replace(QUICK, statuses=((0, "booting"),)))
    project.suite("bare").at(router, ready_timeout=60).write("test_it.py", BOOTS)
    result = project.live("--hydra-smoke-deadline=8", "test_it.py")
    assert result.ret == 128 + 15
    assert [it["outcome"] for it in project.report()["instances"]] == ["deleted"]
    assert nothing_left(router)


def test_a_router_that_is_down_does_not_outlast_it(
    project: Project, router: FakeRouter, capfd: pytest.CaptureFixture[str]
) -> None:
    router.fail("poll", status=503, times=10_000)
    project.suite("bare").at(router, ready_timeout=60).write("test_it.py", BOOTS)
    assert project.live("--hydra-smoke-deadline=4", "test_it.py").ret == 128 + 15
    said = capfd.readouterr().err
    assert said.startswith("hydra-smoke: deadline: the run may take 4 s, ")


def test_a_run_that_is_quicker_knows_nothing_of_it(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, deadline=60).write("test_it.py", PASSES)
    result = project.live("test_it.py")
    result.assert_outcomes(passed=1)
    assert "deadline:" not in result.stdout.str()
