"""Who may record into a folder: one run at a time, and only where it can be written."""

from __future__ import annotations

import subprocess
import sys

import pytest
from plugin_tools import Project, problems
from recorder_tools import RECORD

from pytest_hydrasmoke.fake import FakeRouter

HOLDS = """
import sys
from pathlib import Path
from pytest_hydrasmoke._recordings.store import Recordings

recordings = Recordings(Path("recordings"))
recordings.begin()
print("held", flush=True)
sys.stdin.read()
"""


def test_two_runs_do_not_record_into_one_folder(project: Project, router: FakeRouter) -> None:
    project.at(router).write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('a')")
    mark = project.path / "recordings/.hydra-smoke.lock"
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(
        command, cwd=project.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "held\n"
            refused = project.live(*RECORD, "test_it.py")
        finally:
            other.kill()
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(
        [
            f"ERROR: record: another run records into {mark.parent}, and only one at a time may",
            "*wait until that run is over, or give this one another folder",
        ]
    )
    assert router.instances == ()
    # Its lock has died with it.
    assert mark.exists()
    project.live(*RECORD, "test_it.py").assert_outcomes(passed=1)
    assert not mark.exists()


def test_a_run_that_does_not_begin_lets_others_record(project: Project, router: FakeRouter) -> None:
    project.at(router).write("file", "")
    refused = project.live(*RECORD, "--hydra-smoke-output=file")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["ERROR: the ledger in *"])
    assert list((project.path / "recordings").iterdir()) == []


def test_a_folder_that_can_t_be_written_ends_the_run_before_collection(
    project: Project, router: FakeRouter
) -> None:
    project.at(router, record="pyproject.toml/recordings").table()
    result = project.live()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*record: */pyproject.toml/recordings can't be written: Not a*")
    project.set(record="pyproject.toml", report_replies="false")
    listed = problems(project.live())
    assert [it.partition(" = ")[0] for it in listed] == ["record", "record"]
