"""What a run's processes write as it goes on: nothing of it is lost with any of them."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import pytest
from inner import only
from plugin_tools import TOKEN, Project, count, nothing_left, shows_token, turns, until

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter

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


@pytest.mark.kill
def test_an_interrupt_beside_workers_loses_no_turn_and_no_test(
    project: Project, router: FakeRouter
) -> None:
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
    report = project.report()
    assert (report["run_id"], report["ended"], report["exit_code"]) == ("run", "did not end", 1)
    assert main(["sweep", "--run-id", "run"]) == 0
    assert not file.exists()
    assert nothing_left(router)


def test_without_replies_no_word_of_a_chat_is_on_the_disk(
    project: Project, router: FakeRouter
) -> None:
    project.write(
        "test_it.py",
        "from pathlib import Path\n"
        "def test_it(smoke_instance):\n"
        "    smoke_instance.chat('some words of a test')\n"
        "    [file] = Path('.hydrasmoke/runs/run/journal').iterdir()\n"
        "    text = file.read_text('utf-8')\n"
        "    assert '\"Turn\"' in text\n"
        "    assert 'some words' not in text\n"
        "    assert 'I am ready' not in text\n",
    )
    project.at(router, run_id="run", report_replies="false").live("test_it.py").assert_outcomes(
        passed=1
    )


def test_a_run_that_has_ended_leaves_no_journal(project: Project, router: FakeRouter) -> None:
    project.write("test_it.py", "def test_it(smoke_instance): pass")
    project.at(router, run_id="run", keep="always").live("test_it.py")
    left = project.path / ".hydrasmoke" / "runs" / "run"
    assert (left / "ledger.jsonl").exists(), "an instance was kept"
    assert not (left / "journal").exists()


@pytest.mark.parametrize("journal", ["a file", "a link"])
def test_what_stands_in_its_place_is_nobodys_to_remove(
    journal: str, project: Project, router: FakeRouter, tmp_path_factory: pytest.TempPathFactory
) -> None:
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
