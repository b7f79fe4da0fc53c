"""From its start on, a run has a report of its own, which is red until the run has ended."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_tools import QUICK, Project, alone_or_workers, nothing_left

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.folder import make_output
from pytest_hydrasmoke.fake import FakeRouter

PASSES = "def test_it(smoke_instance): ...\n"
EARLIER = '{\n  "schema_version": 2,\n  "run_id": "earlier"\n}\n'
OURS = ("report.html", "report.json", "trace.har")


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`, in which an earlier run has left its report."""
    project.suite("bare").at(router, run_id="today", bundled_checks="false")
    project.write("test_it.py", PASSES)
    make_output(project.path / ".hydrasmoke")
    project.write(".hydrasmoke/report.json", EARLIER)
    return project


@pytest.fixture
def after_a_green_run(here: Project) -> Project:
    """A project in which an earlier run was green and has left all of its files."""
    here.set(run_id="earlier")
    assert here.live("--hydra-smoke-report=always", "test_it.py").ret == 0
    assert files_of(here) == OURS
    return here.set(run_id="today")


def files_of(project: Project) -> tuple[str, ...]:
    folder = project.path / ".hydrasmoke"
    return tuple(sorted(it.name for it in folder.iterdir() if it.name[0] != "." and it.is_file()))


def told(project: Project) -> dict[str, Any]:
    """Read what the report says, which is a whole one."""
    Report.model_validate_json(project.left("report.json"))
    return project.report()


def test_a_run_that_ends_at_once_has_a_red_report(
    after_a_green_run: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    after_a_green_run.write("test_it.py", "import os\ndef test_it(smoke_instance): os._exit(0)\n")
    assert after_a_green_run.process("--hydra-smoke", "test_it.py").ret == 0
    report = told(after_a_green_run)
    assert (report["run_id"], report["ended"], report["exit_code"]) == ("today", "did not end", 1)
    assert files_of(after_a_green_run) == ("report.json",)
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1
    line = "FAILED failure: run today (did not end): no test of it failed"
    assert line in capsys.readouterr().out.splitlines()


@alone_or_workers
def test_it_is_there_while_tests_run_and_replaced_at_the_end(
    here: Project, workers: tuple[str, ...]
) -> None:
    here.write(
        "test_it.py",
        "import json\nfrom pathlib import Path\n\n"
        "def test_it(smoke_instance):\n"
        "    report = json.loads(Path('.hydrasmoke/report.json').read_text())\n"
        "    assert (report['run_id'], report['ended']) == ('today', 'did not end')\n"
        "    Path('began').write_text(report['began'])\n",
    )
    assert here.live(*workers, "test_it.py").ret == 0
    report = told(here)
    assert (report["run_id"], report["ended"], report["exit_code"]) == ("today", None, 0)
    assert report["began"] == (here.path / "began").read_text()


def test_a_run_that_its_preflight_refused_says_why(
    after_a_green_run: Project, router: FakeRouter
) -> None:
    after_a_green_run.set(run_id="earlier")
    assert after_a_green_run.live("test_it.py").ret == 4
    report = told(after_a_green_run)
    assert (report["run_id"], report["exit_code"]) == ("earlier", 4)
    assert report["ended"].startswith("refused: run id used before: earlier (")
    assert files_of(after_a_green_run) == ("report.json",)
    # Of what the run before it left, it knows nothing.
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1


def test_a_run_whose_settings_are_wrong_has_none(here: Project) -> None:
    here.set(ready_timeout="soon")
    assert here.live("test_it.py").ret == 4
    assert here.left("report.json") == EARLIER


def test_a_disk_that_takes_no_report_at_first_stops_no_run(here: Project) -> None:
    here.write(
        "conftest.py",
        "import errno, os\n"
        "from pytest_hydrasmoke._report import files\n"
        "replace = files.replace\n"
        "def full(path, text): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "files.replace = full\n"
        "def pytest_sessionstart(): files.replace = replace\n",
    )
    here.write(
        "test_it.py",
        "import os\n"
        "def test_it(smoke_instance): assert not os.path.exists('.hydrasmoke/report.json')\n",
    )
    result = here.live("test_it.py")
    assert result.ret == 0
    assert "not written" not in result.stdout.str() + result.stderr.str()
    assert (told(here)["run_id"], told(here)["exit_code"]) == ("today", 0)


def test_the_file_of_another_tool_stays_for_the_time_being(
    project: Project, router: FakeRouter
) -> None:
    make_output(project.path / ".hydrasmoke")
    project.write(".hydrasmoke/report.json", '{"summary": {}}')
    project.suite("bare").at(router).write(
        "test_it.py",
        "from pathlib import Path\n"
        "def test_it(smoke_instance):\n"
        "    assert Path('.hydrasmoke/report.json').read_text() == '{\"summary\": {}}'\n",
    )
    project.live("test_it.py").assert_outcomes(passed=1)


def test_an_interrupt_of_what_is_written(here: Project, router: FakeRouter) -> None:
    here.write(
        "conftest.py",
        "from pytest_hydrasmoke._report import files\n"
        "replace = files.replace\n"
        "def once(path, text):\n"
        "    files.replace = replace\n"
        "    raise KeyboardInterrupt\n"
        "def pytest_sessionstart():\n"
        "    files.replace = once\n"
        "def pytest_sessionfinish():\n"
        "    files.replace = replace\n",
    )
    with pytest.raises(KeyboardInterrupt):
        here.live("test_it.py")
    assert nothing_left(router)
    assert (told(here)["run_id"], told(here)["exit_code"]) == ("today", 1)


def test_what_can_not_be_mended_is_said(here: Project) -> None:
    here.write(
        "conftest.py",
        "import pathlib\n"
        "def pytest_sessionfinish(session):\n"
        "    session.exitstatus = 6\n"
        "    report = pathlib.Path('.hydrasmoke/report.json')\n"
        "    report.unlink()\n"
        "    report.mkdir()\n",
    )
    result = here.live("test_it.py")
    assert result.ret == 6
    result.stderr.fnmatch_lines(["hydra-smoke: report.json was not written: Is a directory *"])


def test_a_report_that_is_true_is_written_once(here: Project) -> None:
    here.write(
        "conftest.py",
        "import os\ndef pytest_sessionfinish():\n    os.utime('.hydrasmoke/report.json', (1, 1))\n",
    )
    assert here.live("test_it.py").ret == 0
    assert (here.path / ".hydrasmoke" / "report.json").stat().st_mtime == 1


@alone_or_workers
def test_a_token_with_a_field_s_name_in_it_takes_nothing_out_of_a_report(
    project: Project, workers: tuple[str, ...]
) -> None:
    token = "made-up-exit_code-of-pipelines"
    with FakeRouter(QUICK, token) as router:
        project.suite("bare").at(router, run_id="today", token=token, group="nightly")
        project.write("test_it.py", PASSES)
        result = project.live(*workers, "test_it.py")
    assert result.ret == 0
    assert told(project)["exit_code"] == 0
    assert told(project)["pipeline"]["group"] == "nightly"


def test_a_history_does_not_take_a_run_that_broke_off_for_a_green_one(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("conftest.py", "def pytest_sessionstart(): raise RuntimeError\n")
    here.live()
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1
    words = (
        "FAILED failure: run today (exit code 3, internal error: RuntimeError): no "
        "test of it failed"
    )
    assert words in capsys.readouterr().out.splitlines()
