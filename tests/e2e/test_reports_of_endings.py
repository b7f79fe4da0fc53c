"""However a run ends that could begin, `report.json` is of that run, and says how it ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin_tools import QUICK, Project, nothing_left

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter

PASSES = "def test_it(smoke_instance): ...\n"
LAST_WEEK = '{\n  "schema_version": 2,\n  "run_id": "last-week"\n}\n'


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`, in which last week's report lies."""
    project.suite("bare").at(router, run_id="today")
    project.write(".hydrasmoke/report.json", LAST_WEEK)
    return project


def told(project: Project) -> dict[str, Any]:
    """Read what the report says."""
    text = (project.path / ".hydrasmoke" / "report.json").read_text("utf-8")
    report: dict[str, Any] = json.loads(text)
    return report


HOOKS = {
    "an internal error": ("pytest_runtest_logreport(report)", "raise RuntimeError", 3),
    "the collection is at its end": ("pytest_collection_finish(session)", "raise RuntimeError", 3),
    "the session begins": ("pytest_sessionstart(session)", "raise RuntimeError", 3),
    "an exit as it begins": ("pytest_sessionstart(session)", "pytest.exit('no', 9)", 9),
    "another's settings": ("pytest_configure(config)", "raise pytest.UsageError('no')", 4),
    "the session ends": ("pytest_sessionfinish(session)", "raise RuntimeError", 1),
    "an exit as it ends": ("pytest_sessionfinish(session)", "pytest.exit('no', 9)", 9),
    "another's verdict": ("pytest_sessionfinish(session)", "session.exitstatus = 6", 6),
    "the summary": ("pytest_terminal_summary(config)", "raise RuntimeError", 1),
    "the very end": ("pytest_unconfigure(config)", "raise RuntimeError", 1),
}


@pytest.mark.parametrize("name", HOOKS)
def test_what_another_s_hook_makes_of_a_run(here: Project, router: FakeRouter, name: str) -> None:
    hook, does, code = HOOKS[name]
    here.write(
        "conftest.py",
        f"import pytest\n@pytest.hookimpl(trylast=True)\ndef {hook}:\n    {does}\n",
    )
    here.write("test_it.py", PASSES)
    result = here.live("test_it.py")
    assert result.ret != 0
    report = told(here)
    assert (report["run_id"], report["exit_code"]) == ("today", code)
    assert all(it["outcome"] == "deleted" for it in report["instances"])
    assert not router.instances or nothing_left(router)


BROKEN = """
@pytest.fixture(scope="session")
def broken(smoke_instance_factory):
    smoke_instance_factory()
    raise RuntimeError

def test_it(broken): ...
"""
TESTS = {
    "an exit": ("def test_it(smoke_instance): pytest.exit('enough')", (), 2),
    "an exit with a code": ("def test_it(smoke_instance): pytest.exit('enough', 7)", (), 7),
    "the first failure": ("def test_it(smoke_instance): assert 0", ("-x",), 1),
    "a set-up for all": (BROKEN, ("--maxfail=1",), 1),
    "nothing to run": (PASSES, ("-k", "none", "-o", "python_files=test_it.py"), 5),
    "a broken module": ("import no_such_module", (), 2),
    "no such file": (PASSES, ("no_such_file.py",), 4),
}


@pytest.mark.parametrize("name", TESTS)
def test_what_tests_make_of_a_run(here: Project, name: str) -> None:
    text, arguments, code = TESTS[name]
    here.set(bundled_checks="false").write("test_it.py", f"import pytest\n{text}\n")
    assert here.live("test_it.py", *arguments).ret == code
    report = told(here)
    assert (report["run_id"], report["exit_code"]) == ("today", code)


def test_an_interrupt(here: Project) -> None:
    here.write("test_it.py", "def test_it(smoke_instance): raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        here.live("test_it.py")
    assert (told(here)["run_id"], told(here)["exit_code"]) == ("today", 2)


def test_a_worker_that_breaks(here: Project) -> None:
    here.write(
        "conftest.py",
        "import os\n"
        "def pytest_runtest_logstart():\n"
        "    if 'PYTEST_XDIST_WORKER' in os.environ: raise RuntimeError\n",
    )
    here.write("test_it.py", PASSES)
    result = here.run("-p", "xdist", "--hydra-smoke", "-n1", "test_it.py")
    assert told(here)["run_id"] == "today"
    assert told(here)["exit_code"] == result.ret == pytest.ExitCode.TESTS_FAILED


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
    here.write("test_it.py", PASSES)
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
    here.write("test_it.py", PASSES)
    result = here.live("test_it.py")
    assert result.ret == 6
    result.stderr.fnmatch_lines(["hydra-smoke: report.json was not written: Is a directory *"])


def test_a_report_that_is_true_is_written_once(here: Project) -> None:
    here.write(
        "conftest.py",
        "import os\ndef pytest_sessionfinish():\n    os.utime('.hydrasmoke/report.json', (1, 1))\n",
    )
    here.write("test_it.py", PASSES)
    assert here.live("test_it.py").ret == 0
    assert (here.path / ".hydrasmoke" / "report.json").stat().st_mtime == 1


def test_a_token_with_a_field_s_name_in_it_takes_nothing_out_of_a_report(
    project: Project,
) -> None:
    token = "made-up-exit_code-of-pipelines"
    with FakeRouter(QUICK, token) as router:
        project.suite("bare").at(router, run_id="today", token=token, group="nightly")
        project.write("test_it.py", PASSES)
        result = project.run("-p", "xdist", "--hydra-smoke", "-n1", "test_it.py")
    assert result.ret == 0
    assert told(project)["exit_code"] == 0
    assert told(project)["pipeline"]["group"] == "nightly"


def test_a_history_does_not_take_a_run_that_broke_off_for_a_green_one(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("conftest.py", "def pytest_sessionstart(): raise RuntimeError\n")
    here.live()
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1
    told = (
        "FAILED failure: run today of group today (exit code 3, internal error: RuntimeError): no "
        "test of it failed"
    )
    assert told in capsys.readouterr().out.splitlines()
