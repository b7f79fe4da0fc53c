"""What a run's processes write as it goes on: nothing of it is lost with any of them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from inner import only
from plugin_tools import TOKEN, Project, nothing_left, shows_token

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke.fake import FakeRouter

# It may end well for whoever looks at its exit code alone.
ENDS_AT_ONCE = """
import os

def test_it(smoke_instance):
    smoke_instance.chat("some words of a test")
    os._exit(0)
"""
LOOKS = """
from pathlib import Path

def test_it(smoke_instance):
    smoke_instance.chat("some words of a test")
    [file] = Path(".hydrasmoke/runs/run/journal").iterdir()
    text = file.read_text("utf-8")
    assert '"Turn"' in text
    assert "some words" not in text
    assert "I am ready" not in text
"""


def test_a_run_that_ends_at_once_leaves_a_red_report_and_all_that_it_wrote_until_a_sweep(
    project: Project, router: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("test_it.py", ENDS_AT_ONCE)
    project.at(router, run_id="run")
    with project.started("-m", "pytest", *only(), "--hydra-smoke", "test_it.py") as process:
        assert process.wait(60) == 0
    [file] = (project.path / ".hydrasmoke" / "runs" / "run" / "journal").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text("utf-8")
    kinds = {json.loads(line)["is"] for line in text.splitlines()}
    assert {"Opened", "Claimed", "Became", "Attempt", "TurnBegan", "Turn"} <= kinds
    assert "some words of a test" in text
    assert not shows_token(text)
    report = Report.model_validate_json(project.left("report.json"))
    assert (report.run_id, report.ended, report.exit_code) == ("run", "did not end", 1)
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1
    line = "FAILED failure: run run (did not end): no test of it failed"
    assert line in capsys.readouterr().out.splitlines()
    assert main(["sweep", "--run-id", "run"]) == 0
    assert not file.exists()
    assert nothing_left(router)


def test_a_run_that_has_ended_leaves_no_journal_and_without_replies_it_has_no_word_of_a_chat(
    project: Project, router: FakeRouter
) -> None:
    project.write("test_it.py", LOOKS)
    project.at(router, run_id="run", keep="always", report_replies="false")
    project.live("test_it.py", passed=1)
    left = project.path / ".hydrasmoke" / "runs" / "run"
    assert (left / "ledger.jsonl").exists(), "an instance was kept"
    assert not (left / "journal").exists()


@pytest.mark.parametrize("journal", ["a file", "a link"])
def test_what_stands_in_its_place_is_nobodys_to_remove(
    journal: str, project: Project, router: FakeRouter, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    place = project.write(".hydrasmoke/runs/run/journal", "")
    if journal == "a link":
        place.unlink()
        place.symlink_to(elsewhere)
    project.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('hello')")
    result = project.at(router, run_id="run").live()
    assert [*Path(elsewhere).iterdir()] == []
    assert TOKEN not in result.stdout.str()
    assert result.ret == 4, "what lies there is nobody's to remove"
