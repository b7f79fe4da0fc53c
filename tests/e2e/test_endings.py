"""However a run ends, all is deleted, and its exit code and reports say so: a table of endings."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import ending_tools as ends
import pytest
from ending_tools import ASKS_NOTHING, NOT_ALL, NOTHING, Ending, check, check_output
from handlers import as_in_a_terminal
from plugin_tools import QUICK, Project, alone_or_workers
from sizes import sampled

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._plugin.run_report import code
from pytest_hydrasmoke.fake import FakeRouter

SET_UP = """
import pytest
@pytest.fixture(scope="session")
def broken(smoke_instance_factory):
    smoke_instance_factory()
    raise RuntimeError
@pytest.mark.usefixtures("broken")
def test_one(): ...
def test_two(smoke_instance): ...
"""
SKIPS = "import pytest\ndef test_one(smoke_instance): pytest.skip('not today')\n"
FAILS_AND_SKIPS = """
import pytest
tries = []
def test_one(smoke_instance):
    tries.append(1)
    if len(tries) > 1:
        pytest.skip("not a second time")
    assert 0
"""
STUBBED = """
import pytest
@pytest.fixture
def smoke_instance(): return "a stub, for work without a router"
def test_one(smoke_instance): assert smoke_instance
def test_two(smoke_client, smoke_spec): assert smoke_client and smoke_spec
"""
PLAIN = "def test_plain(): ...\n"
XFAILS = "import pytest\n@pytest.mark.xfail\ndef test_one(smoke_instance): assert 0\n"
ASKS = "def test_one(request): request.getfixturevalue('smoke_instance')\n"
ASKS_AND_EXITS = """
import pytest
def test_two(request):
    request.getfixturevalue("smoke_instance")
    pytest.exit("enough", returncode=0)
"""
ANOTHER = "def test_one(smoke_instance): ...\ndef test_two(): raise KeyboardInterrupt\n"
BROKEN = {f"test_broken_{number:02}.py": "import no_such_module" for number in range(12)}
FAILED = "hydra-smoke: smoke tests failed: 1, and the run was to end as if they had not"
LAST_WEEK = '{\n  "schema_version": 2,\n  "run_id": "last-week"\n}\n'
MAIN = "pytest_cmdline_main(): return 0"
WORKER = ("-p", "xdist", "-n1", "test_it.py")


# What a careless exit, or another's plugin, may say.
THE_TOKEN = "os.environ['HYDRA_SMOKE_TOKEN']"
MIDDLE = {"tests": "1 passed, 1 interrupted, 1 not run", "outcomes": "passed interrupted"}
NONE_RUN = {"tests": "3 not run", "outcomes": "", "instances": 0}
UNBEGUN = {"tests": "", "outcomes": "", "instances": 0, "summary": False}
ENDINGS = {
    # What tests make of a run. A report that is true is not written again.
    "all pass": Ending(
        *(0, None, "1 passed", "passed"),
        text=ends.SEES,
        hook="pytest_sessionfinish(): os.utime('.hydrasmoke/report.json', (1, 1))",
    ),
    "a full disk as it begins": Ending(
        *(0, None, "1 passed", "passed"),
        text=ends.SEES_NONE,
        files={"conftest.py": ends.FULL_AT_FIRST},
    ),
    "some are selected": Ending(
        *(0, None, "1 passed", "passed"),
        arguments=("test_it.py", "-k", "one or two or plain", "--deselect=test_it.py::test_two"),
    ),
    "an exit with 0": Ending(
        *(1, "pytest.exit: enough"),
        **MIDDLE,
        does="pytest.exit('enough', 0)",
        verdict=NOT_ALL,
        words=("ended before its tests were over: pytest.exit: enough",),
    ),
    "an exit with a code": Ending(
        *(7, "pytest.exit: enough of [*]*"),
        **MIDDLE,
        does=f"pytest.exit('enough of ' + {THE_TOKEN}, 7)",
        summary=False,
    ),
    "an exit with 0 in the last teardown": Ending(
        *(1, "pytest.exit: enough"),
        hook="pytest_runtest_teardown(item):\n  if 'three' in item.name: pytest.exit('enough', 0)",
        verdict=NOT_ALL,
    ),
    "an exit with 0 after a failure": Ending(
        *(1, "pytest.exit: enough", "2 passed, 1 failed", "passed passed failed"),
        last="assert 0",
        hook="pytest_runtest_logfinish(nodeid):\n  if 'three' in nodeid: pytest.exit('enough', 0)",
        words=(FAILED,),
    ),
    "another's verdict on a failure": Ending(
        *(1, None, "2 passed, 1 failed", "passed passed failed"),
        last="assert 0",
        hook="pytest_sessionfinish(session): session.exitstatus = 0",
    ),
    "an attempt that failed, and a skip": Ending(
        *(1, None, "1 skipped", "skipped"),
        text=FAILS_AND_SKIPS,
        arguments=("-p", "pytest_rerunfailures", "--reruns=1", "test_it.py"),
        verdict=NOTHING,
    ),
    "an exit without words": Ending(2, "pytest.exit", **MIDDLE, does="pytest.exit()"),
    "an exit where replies are kept out": Ending(
        *(2, "pytest.exit"),
        **MIDDLE,
        does="pytest.exit('it said: no')",
        settings={"report_replies": "false"},
    ),
    "an interrupt": Ending(
        2, "interrupt", **MIDDLE, does="raise KeyboardInterrupt", interrupts=True
    ),
    "an interrupt of another's test": Ending(
        *(2, "interrupt", "1 passed", "passed"), text=ANOTHER, interrupts=True
    ),
    "an interrupt of what is written": Ending(
        *(2, "interrupt"), files={"conftest.py": ends.BREAKS_OFF}, interrupts=True
    ),
    "an interrupt of the clean-up": Ending(
        *(2, "interrupt", "1 passed", "passed"),
        text="def test_one(smoke_instance_factory): smoke_instance_factory.many(3)",
        files={"conftest.py": ends.BREAKS_CLEAN_UP},
        instances=3,
        interrupts=True,
    ),
    "the first failure": Ending(
        *(1, "stopped: stopping after 1 failures", "1 passed, 1 failed, 1 not run"),
        outcomes="passed failed",
        does="assert 0",
        arguments=("-x", "test_it.py"),
        words=("*stopping after 1 failures*",),
    ),
    "a stop": Ending(
        *(2, "stopped: told to", "1 passed, 2 not run", "passed"),
        hook="pytest_runtest_teardown(item): item.session.shouldstop = 'told to'",
    ),
    "a set-up that fails": Ending(
        *(1, None, "1 passed, 1 error", "error passed"), text=SET_UP, instances=2
    ),
    "an expected failure": Ending(0, None, "1 xfailed", "xfailed", text=XFAILS),
    "an exit with 0 of one that asks at run time": Ending(
        *(1, "pytest.exit: enough", "1 passed, 1 interrupted", "passed interrupted"),
        text=ASKS + ASKS_AND_EXITS,
        verdict=NOT_ALL,
    ),
    # What was not tested.
    "a folder's name is no marker": Ending(
        *(1, None, "1 skipped", "skipped"),
        files={"hydra_smoke/test_named.py": SKIPS + PLAIN},
        arguments=("hydra_smoke",),
        verdict=NOTHING,
    ),
    "none asks": Ending(
        *(1, None, "2 passed", "passed passed"), text=STUBBED, instances=0, verdict=ASKS_NOTHING
    ),
    "one may ask with a client of its own": Ending(
        *(0, None, "1 passed", "passed"),
        text="def test_one(smoke_config): assert smoke_config.url",
        instances=0,
    ),
    "none": Ending(5, None, "", "", instances=0, arguments=("test_it.py", "-k", "none")),
    "broken modules": Ending(
        *(2, "collection errors: test_broken_00.py, * test_broken_09.py and 2 more"),
        **NONE_RUN,
        files=BROKEN,
        arguments=(),
    ),
    # What other's hooks make of a run.
    "a report": Ending(
        *(3, "internal error: RuntimeError", "1 interrupted, 2 not run", "interrupted"),
        hook="pytest_runtest_logreport(report): raise RuntimeError",
        summary=False,
    ),
    "a test's end": Ending(
        *(3, "internal error: RuntimeError: no luck with [*]*", "1 passed, 2 not run", "passed"),
        hook=f"pytest_runtest_logfinish(): raise RuntimeError('no luck with ' + {THE_TOKEN})",
        summary=False,
    ),
    "an exit with 0 at the last test's end": Ending(
        *(0, "pytest.exit: enough"),
        hook="pytest_runtest_logfinish(nodeid):\n  if 'three' in nodeid: pytest.exit('enough', 0)",
    ),
    "an exit with 0 before the first": Ending(
        *(1, "pytest.exit: no"),
        **NONE_RUN,
        hook="pytest_runtestloop(): pytest.exit('no', 0)",
        order="tryfirst=True",
        verdict=NOTHING,
    ),
    "the session begins": Ending(
        *(3, "internal error: RuntimeError"),
        **UNBEGUN,
        hook="pytest_sessionstart(session): raise RuntimeError",
    ),
    "another's settings": Ending(
        *(4, None),
        **UNBEGUN,
        hook="pytest_configure(config): raise pytest.UsageError('no')",
    ),
    "the session ends": Ending(
        *(1, None),
        hook="pytest_sessionfinish(session): raise RuntimeError",
        returned=3,
        summary=False,
    ),
    "an exit as it ends": Ending(
        9, None, hook="pytest_sessionfinish(): pytest.exit('no', 9)", summary=False
    ),
    "an exit with 0 as it ends": Ending(
        0, None, hook="pytest_sessionfinish(): pytest.exit('no', 0)", summary=False
    ),
    "another's verdict": Ending(
        6, None, hook="pytest_sessionfinish(session): session.exitstatus = 6"
    ),
    "the summary": Ending(
        1, None, hook="pytest_terminal_summary(config): raise RuntimeError", returned=3
    ),
    "the very end": Ending(
        1, None, hook="pytest_unconfigure(config): raise RuntimeError", returned=3
    ),
    # A signal at its end shows no traceback; an interrupt without one is pytest's.
    **{
        f"a signal in {hook}": Ending(
            *(143, "signal: TERM"),
            hook=f"{hook}: signal.raise_signal(signal.SIGTERM)",
            order="",
            summary=summary,
            err=f"{who}: interrupted by SIGTERM at the run's end",
        )
        for hook, who, summary in (
            ("pytest_hydra_smoke_report(report)", "Exit", False),
            ("pytest_sessionfinish()", "Exit", False),
            ("pytest_terminal_summary()", "Exit", True),
            ("pytest_unconfigure()", "hydra-smoke", True),
        )
    },
    **{
        f"an interrupt in {hook}": Ending(
            *(1, None),
            hook=f"{hook}: raise KeyboardInterrupt",
            order="",
            interrupts=True,
        )
        for hook in ("pytest_sessionfinish()", "pytest_unconfigure()")
    },
    # Usage errors are told once, and alone.
    "no such file": Ending(
        *(4, "usage error: file or directory not found: no_such.py"),
        **UNBEGUN,
        arguments=("no_such.py",),
    ),
    "too many": Ending(
        *(4, "usage error: these tests need at least 3 *"),
        **{**UNBEGUN, "tests": "3 not run"},
        settings={"scope": "function", "max_instances": 2},
    ),
}
IN_WORKERS = {
    "all pass": Ending(0, None, "1 passed", "passed", text=ends.SEES, arguments=WORKER),
    "two": Ending(0, None, arguments=("-p", "xdist", "-n2", "test_it.py")),
    "each": Ending(
        *(0, None, "3 passed", "passed passed passed"),
        arguments=("-p", "xdist", "-n2", "--dist=each", "test_it.py"),
    ),
    "the first failure": Ending(
        *(2, "stopped: *stopping after 1 failures*", "1 passed, 1 failed, 1 not run"),
        outcomes="passed failed",
        does="assert 0",
        arguments=("-x", *WORKER),
    ),
    # xdist runs the others all the same.
    "a broken module": Ending(
        *(1, "collection errors: test_broken.py"),
        files={"test_broken.py": "import no_such_module"},
        arguments=WORKER[:3],
    ),
    "too many": Ending(
        *(4, "*these tests need at least 3 *"),
        **{**UNBEGUN, "tests": "3 not run"},
        settings={"scope": "function", "max_instances": 2},
        arguments=WORKER,
    ),
    "nothing is executed": Ending(
        1, None, "1 skipped", "skipped", text=SKIPS + PLAIN, arguments=WORKER, verdict=NOTHING
    ),
    "asked for at run time": Ending(0, None, "1 passed", "passed", text=ASKS, arguments=WORKER),
    "a worker that breaks": Ending(
        *(1, "internal error: AssertionError*", "1 interrupted", "interrupted"),
        text="def test_one(smoke_instance): ...",
        hook="pytest_runtest_logstart():\n"
        "  if 'PYTEST_XDIST_WORKER' in os.environ: raise RuntimeError",
        order="tryfirst=True",
        arguments=WORKER,
        instances=0,
        verdict=NOTHING,
    ),
}


TABLE = {**ENDINGS, **{f"workers: {name}": row for name, row in IN_WORKERS.items()}}


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`, in which last week's report lies."""
    project.suite("bare").at(router, run_id="today", group="nightly", bundled_checks="false")
    project.write(".hydrasmoke/report.json", LAST_WEEK)
    return project


@pytest.mark.parametrize("name", sampled("kill", TABLE, ENDINGS))
def test_a_run_ends(
    here: Project, router: FakeRouter, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    row = TABLE[name]
    row.write(here)
    raised = pytest.raises(KeyboardInterrupt) if row.interrupts else nullcontext()
    with raised, as_in_a_terminal():
        check_output(row, here.live(*row.arguments, "--junit-xml=junit.xml"))
    if row.err:
        said = capfd.readouterr()
        assert said.err.splitlines()[-1] == row.err
        assert "Traceback" not in said.err + said.out
    check(here, router, row)
    if row.text == ends.SEES:
        assert here.report()["began"] == (here.path / "began").read_text()
    written = (here.path / ".hydrasmoke" / "report.json").stat().st_mtime
    assert (written == 1) == ("utime" in row.hook)
    if name == "the session begins":
        words = "exit code 3, internal error: RuntimeError): no test of it failed"
        assert f"FAILED failure: run today ({words}" in capfd.readouterr().out.splitlines()


def test_what_no_summary_showed_is_on_standard_error(here: Project) -> None:
    result = here.write("test_it.py", SKIPS) and here.live("test_it.py", "-p", "no:terminal")
    assert result.ret == 1
    assert not result.outlines
    assert sum(line.startswith(NOTHING[:-1]) for line in result.errlines) == 1


@pytest.mark.parametrize("hook", ["sessionfinish", "unconfigure"])
def test_a_process_that_is_left_at_its_end_leaves_with_the_code_of_the_run(
    here: Project, hook: str
) -> None:
    here.write("conftest.py", f"import sys\ndef pytest_{hook}(): sys.exit(0)\n")
    here.write("test_it.py", "def test_it(smoke_instance): assert 0\n")
    result = here.process("--hydra-smoke", "test_it.py")
    assert result.ret == here.report()["exit_code"] == 1


@pytest.mark.parametrize("does", ["pytest_configure(): pytest.exit('no', 0)", MAIN])
def test_what_ends_before_it_begins_proves_nothing(
    here: Project, does: str, capfd: pytest.CaptureFixture[str]
) -> None:
    here.write("test_it.py", ASKS)
    here.write("conftest.py", f"import pytest\ndef {does}\n")
    assert here.live("test_it.py").ret == 1
    words = "hydra-smoke: pytest ended before the run began: it proves nothing"
    assert capfd.readouterr().err.splitlines().count(words) == 1
    assert here.pytester.runpytest("test_it.py").ret == 0
    assert here.live("--collect-only", "test_it.py").ret == 0


def test_what_can_not_be_mended_is_said(here: Project) -> None:
    here.write("test_it.py", PLAIN + ASKS)
    here.write(
        "conftest.py",
        "import pathlib\n"
        "def pytest_sessionfinish(session):\n"
        "    session.exitstatus = 6\n"
        "    report = pathlib.Path('.hydrasmoke/report.json')\n"
        "    report.unlink()\n"
        "    report.mkdir()\n",
    )
    result = here.live("test_it.py", ret=6)
    result.stderr.fnmatch_lines(["hydra-smoke: report.json was not written: Is a directory *"])


def test_a_run_that_its_preflight_refused_says_why(here: Project) -> None:
    here.write("test_it.py", ASKS)
    folder = here.path / ".hydrasmoke"
    files = lambda: {it.name for it in folder.iterdir() if it.is_file()} - {".gitignore"}  # noqa: E731
    assert here.live("--hydra-smoke-report=always", "test_it.py").ret == 0
    assert files() == {"report.html", "report.json"}
    assert here.live("test_it.py").ret == 4
    report = here.report()
    assert (report["run_id"], report["exit_code"]) == ("today", 4)
    assert report["ended"].startswith("refused: run id used before: today (")
    # Of what the run before it left, it knows nothing.
    assert files() == {"report.json"}
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1


def test_wrong_settings_and_the_file_of_another_tool_leave_what_is_there(here: Project) -> None:
    here.set(ready_timeout="soon").write("test_it.py", ASKS)
    assert here.live("test_it.py").ret == 4
    assert here.left("report.json") == LAST_WEEK
    here.set(ready_timeout=5).write(".hydrasmoke/report.json", '{"summary": {}}')
    here.write(
        "test_it.py",
        "from pathlib import Path\n"
        "def test_it(smoke_instance):\n"
        "    assert Path('.hydrasmoke/report.json').read_text() == '{\"summary\": {}}'\n",
    )
    here.live("test_it.py", passed=1)


@alone_or_workers
def test_a_token_with_a_field_s_name_in_it_takes_nothing_out_of_a_report(
    here: Project, workers: tuple[str, ...]
) -> None:
    token = "made-up-exit_code-of-pipelines"
    with FakeRouter(QUICK, token) as router:
        here.at(router, token=token).write("test_it.py", ASKS)
        assert here.live(*workers, "test_it.py").ret == 0
    report = here.report()
    assert (report["exit_code"], report["pipeline"]["group"]) == (0, "nightly")


@pytest.mark.parametrize(
    ("before", "more", "after"),
    [
        (0, {}, 0),
        (0, {"failed": True}, 1),
        (5, {"broken": True}, 1),
        (2, {"failed": True, "broken": True}, 2),
        (7, {"failed": True}, 7),
        (7, {"failed": True, "signal": 15}, 143),
    ],
)
def test_an_exit_code_hides_nothing(before: int, more: dict[str, Any], after: int) -> None:
    assert code(before, **{"failed": False, "signal": None, "broken": False, **more}) == after
