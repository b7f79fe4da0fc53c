"""What a run's processes write as it goes on: nothing of it is lost with any of them."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from inner import only
from plugin_tools import QUICK, TOKEN, Project, count, nothing_left, shows_token, until

from pytest_hydrasmoke.fake import FakeRouter

CRASHES = """
import os

def test_a(smoke_instance):
    smoke_instance.chat("one")

def test_b(smoke_instance_factory):
    smoke_instance_factory().chat("two")

def test_c(smoke_instance):
    smoke_instance.chat("three")
    smoke_instance.chat("four")
    os._exit(9)

def test_d(smoke_instance_factory):
    smoke_instance_factory().chat("five")
"""
SLEEPS = """
import time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(smoke_instance_factory, number):
    smoke_instance_factory().chat("hello")
    time.sleep(60)
"""
KILLED = """
import os

def test_it(smoke_instance):
    smoke_instance.chat("some words of a test")
    os.kill(os.getpid(), 9)
"""


def turns(report: dict[str, Any]) -> list[str]:
    found = [
        (it["began"], turn["at"], turn["message"])
        for it in report["instances"]
        for turn in it["turns"]
    ]
    return sorted(message for *_, message in found)


def test_a_crash_of_a_worker_loses_no_turn_and_fails_what_it_hit(
    project: Project, router: FakeRouter
) -> None:
    router.scenario = QUICK
    project.write("test_it.py", CRASHES)
    project.at(router, run_id="run")
    result = project.pytester.runpytest_inprocess(
        *only("xdist"), "--hydra-smoke", "-n1", "test_it.py"
    )
    result.assert_outcomes(passed=3, failed=1)
    report = project.report()
    assert turns(report) == ["five", "four", "one", "three", "two"]
    assert {it["id"].partition("::")[2]: it["outcome"] for it in report["tests"]} == {
        "test_a": "passed",
        "test_b": "passed",
        "test_c": "failed",
        "test_d": "passed",
    }
    assert [it["failed"] for it in report["instances"]] == [True, False, False]
    [failure] = report["instances"][0]["failures"]
    assert failure["test"] == "test_it.py::test_c"
    assert "crashed while running" in failure["message"]
    assert nothing_left(router)


def test_an_interrupt_beside_workers_loses_no_turn_and_no_test(
    project: Project, router: FakeRouter
) -> None:
    router.scenario = QUICK
    project.write("test_it.py", SLEEPS)
    project.at(router, run_id="run")
    with project.started(
        "-m", "pytest", *only("xdist"), "--hydra-smoke", "-n2", "test_it.py"
    ) as process:
        until(lambda: count(router, "chat") == 2)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    report = project.report()
    assert turns(report) == ["hello", "hello"]
    assert (report["ended"], report["not_run"]) == ("signal: INT", 4)
    assert [it["outcome"] for it in report["tests"]] == ["interrupted", "interrupted"]
    assert nothing_left(router)


def test_a_killed_run_leaves_what_it_wrote_to_its_owner_until_a_sweep(
    project: Project, router: FakeRouter
) -> None:
    router.scenario = QUICK
    project.write("test_it.py", KILLED)
    project.at(router, run_id="run")
    with project.started("-m", "pytest", *only(), "--hydra-smoke", "test_it.py") as process:
        assert process.wait(30) == -signal.SIGKILL
    folder = project.path / ".hydrasmoke" / "runs" / "run" / "journal"
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text("utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"Opened", "Claimed", "Became", "Attempt", "TurnBegan", "Turn"} <= {
        line["is"] for line in lines
    }
    assert "some words of a test" in text
    assert not shows_token(text)
    assert project.command("sweep", "--run-id", "run").ret == 0
    assert not file.exists()
    assert nothing_left(router)


def test_without_replies_no_word_of_a_chat_is_on_the_disk(
    project: Project, router: FakeRouter
) -> None:
    router.scenario = QUICK
    project.write("test_it.py", KILLED)
    project.at(router, run_id="run", report_replies="false")
    with project.started("-m", "pytest", *only(), "--hydra-smoke", "test_it.py") as process:
        process.wait(30)
    [file] = (project.path / ".hydrasmoke" / "runs" / "run" / "journal").iterdir()
    text = file.read_text("utf-8")
    assert '"Turn"' in text
    assert "some words" not in text
    assert "I am ready" not in text


def test_a_run_that_has_ended_leaves_no_journal(project: Project, router: FakeRouter) -> None:
    router.scenario = QUICK
    project.write("test_it.py", "def test_it(smoke_instance): pass")
    project.at(router, run_id="run", keep="always").live("test_it.py")
    left = project.path / ".hydrasmoke" / "runs" / "run"
    assert (left / "ledger.jsonl").exists(), "an instance was kept"
    assert not (left / "journal").exists()


@pytest.mark.parametrize("journal", ["a file", "a link"])
def test_what_stands_in_its_place_is_nobodys_to_remove(
    journal: str, project: Project, router: FakeRouter, tmp_path_factory: pytest.TempPathFactory
) -> None:
    router.scenario = QUICK
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    text = f"""
from pathlib import Path

def pytest_configure(config):
    place = Path({str(project.path / ".hydrasmoke" / "runs" / "run")!r}) / "journal"
    place.parent.mkdir(parents=True)
    if {journal == "a file"}:
        place.write_text("")
    else:
        place.symlink_to({str(elsewhere)!r})
"""
    project.write("conftest.py", text)
    project.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('hello')")
    result = project.at(router, run_id="run").live()
    assert [*Path(elsewhere).iterdir()] == []
    assert TOKEN not in result.stdout.str()
    assert result.ret == 4, "what lies there is nobody's to remove"
