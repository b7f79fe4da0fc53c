"""What is told of a run that ended before its tests were over; it is never called green."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from inner import only
from plugin_tools import Project, nothing_left, until

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Output = pytest.CaptureFixture[str]
THREE = """
import pytest
def test_one(smoke_instance): ...
def test_two(smoke_instance): {does}
def test_three(smoke_instance): {last}
def test_plain(): ...
"""


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("bare").at(router, run_id="today", group="nightly", bundled_checks="false")


def write(project: Project, does: str = "...", last: str = "...") -> Project:
    project.write("test_it.py", THREE.format(does=does, last=last))
    return project


def told(project: Project) -> dict[str, Any]:
    """Read what the report says."""
    text = (project.path / ".hydrasmoke" / "report.json").read_text("utf-8")
    report: dict[str, Any] = json.loads(text)
    return report


EXITS = {
    "in a test": ("pytest.exit('enough', 0)", "...", "1 passed, 1 interrupted, 1 not run"),
    "in the last test": ("...", "pytest.exit('enough', 0)", "2 passed, 1 interrupted"),
}


@pytest.mark.parametrize("name", EXITS)
def test_an_exit_with_0_in_the_middle_is_not_green(
    here: Project, router: FakeRouter, capsys: Output, name: str
) -> None:
    does, last, words = EXITS[name]
    result = write(here, does, last).live("test_it.py", "--junit-xml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert nothing_left(router)
    result.stdout.fnmatch_lines(
        [
            f"smoke tests: {words}",
            "ended before its tests were over: pytest.exit: enough",
            "hydra-smoke: not all smoke tests came to their end: the run proves nothing about *",
        ]
    )
    report = told(here)
    assert (report["exit_code"], report["ended"]) == (1, "pytest.exit: enough")
    assert report["not_run"] == int("not run" in words)
    page = (here.path / ".hydrasmoke" / "report.html").read_text("utf-8")
    assert "<h1>Failed</h1>" in page
    assert f"<dd>{words}</dd>" in page
    assert "not all smoke tests came to their end" in page
    assert "pytest.exit: enough" in page
    junit = (here.path / "junit.xml").read_text("utf-8")
    assert 'name="hydra_smoke.ended" value="pytest.exit: enough"' in junit
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == 1
    assert "FAILED failure: run today " in capsys.readouterr().out


WAITS = """
import pytest
@pytest.fixture
def before({needs}): {does}
def test_one(smoke_instance): ...
@pytest.mark.parametrize("smoke_instance", [{{"agent_name": "slow"}}], indirect=True, ids=["slow"])
def test_two(before, smoke_instance): ...
def test_three(smoke_instance): ...
"""
SECOND = "test_it.py::test_two[slow]"


def check_interrupted(project: Project, *keys: str) -> None:
    """Check that the second of three tests is told as interrupted, with its instances."""
    report = told(project)
    outcomes = [("test_it.py::test_one", "passed"), (SECOND, "interrupted")]
    assert [(it["id"], it["outcome"]) for it in report["tests"]] == outcomes
    assert report["tests"][1]["instances"] == list(keys)
    assert report["not_run"] == 1
    using = [it["idempotency_key"] for it in report["instances"] if SECOND in it["tests"]]
    assert using == list(keys)
    page = (project.path / ".hydrasmoke" / "report.html").read_text("utf-8")
    assert f"not all smoke tests came to their end: interrupted in {SECOND}" in page


def test_a_test_that_waits_for_its_instance_is_interrupted(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(Scenario(row_after=0, statuses=((0, "starting"), (1.5, "running"))))
    here = project.suite("bare").at(router, run_id="today", bundled_checks="false")
    here.set(scope="module").write("test_it.py", WAITS.format(needs="", does="..."))
    with here.started("-m", "pytest", *only(), "--hydra-smoke", "test_it.py") as process:
        until(lambda: len(router.instances) == 2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert f"smoke tests: 1 passed, 1 interrupted, 1 not run\ninterrupted in {SECOND}\n" in output
    check_interrupted(here, "today-1")


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["alone", "xdist"])
@pytest.mark.parametrize("needs", ["", "smoke_instance"], ids=["before", "after"])
def test_an_exit_in_a_set_up_is_told_as_one_in_a_test(
    here: Project, router: FakeRouter, needs: str, workers: tuple[str, ...]
) -> None:
    here.write("test_it.py", WAITS.format(needs=needs, does="pytest.exit('enough')"))
    result = here.live(*workers, "test_it.py")
    summary = ["smoke tests: 1 passed, 1 interrupted, 1 not run", f"interrupted in {SECOND}"]
    result.stdout.fnmatch_lines(summary, consecutive=True)
    check_interrupted(here, *(["today-1"] if needs else []))
    assert nothing_left(router)


def test_an_exit_in_a_test_without_an_instance_is_no_smoke_test(here: Project) -> None:
    write(here)
    here.write("test_a.py", "import pytest\ndef test_plain(): pytest.exit('enough')\n")
    here.live().stdout.fnmatch_lines(["smoke tests: 3 not run"])
    assert told(here)["tests"] == []


def test_an_exit_with_0_before_a_hook_of_the_collection_s_end(here: Project) -> None:
    here.write("conftest.py", "import pytest\ndef pytest_runtestloop(): pytest.exit('no', 0)")
    result = write(here).live("test_it.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["smoke tests: 3 not run", "*no smoke test was executed*"])


def test_an_exit_with_0_after_the_last_test_is_what_was_asked_for(here: Project) -> None:
    here.write(
        "conftest.py",
        "import pytest\n"
        "def pytest_runtest_logfinish(nodeid):\n"
        "    if 'three' in nodeid: pytest.exit('enough', 0)\n",
    )
    result = write(here).live("test_it.py")
    assert result.ret == 0
    report = told(here)
    assert (report["exit_code"], report["not_run"]) == (0, 0)
    assert report["ended"] == "pytest.exit: enough"


STOPS = {
    "-x": (("-x",), 1, "stopped: stopping after 1 failures"),
    "in workers": (("-p", "xdist", "-n1", "-x"), 2, "stopped: *stopping after 1 failures*"),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_that_was_asked_for_keeps_its_exit_code(here: Project, name: str) -> None:
    arguments, code, ended = STOPS[name]
    result = write(here, "assert 0").live(*arguments, "test_it.py")
    assert result.ret == code
    result.stdout.fnmatch_lines(["smoke tests: 1 passed, 1 failed, 1 not run"])
    report = told(here)
    assert report["not_run"] == 1
    pytest.LineMatcher([report["ended"]]).fnmatch_lines([ended])
    result.stdout.no_fnmatch_line("*came to their end*")


@pytest.mark.parametrize(
    "selection", [("-k", "one or plain"), ("--deselect=test_it.py::test_two",)]
)
def test_what_is_deselected_is_not_missed(here: Project, selection: tuple[str, ...]) -> None:
    result = write(here).live("test_it.py", *selection)
    assert result.ret == 0
    report = told(here)
    assert (report["not_run"], report["ended"]) == (0, None)
    result.stdout.no_fnmatch_line("*not run*")


@pytest.mark.parametrize("dist", ["load", "each"])
def test_all_tests_of_workers_are_run(here: Project, dist: str) -> None:
    result = write(here).live("-p", "xdist", "-n2", f"--dist={dist}", "test_it.py")
    assert result.ret == 0
    assert (told(here)["not_run"], told(here)["ended"]) == (0, None)


ENDINGS = {
    "an exit": ("pytest.exit('enough')", (), "pytest.exit: enough"),
    "an exit without words": ("pytest.exit()", (), "pytest.exit"),
    "no such file": ("...", ("no_such.py",), "usage error: file or directory not found: *"),
    "too many": ("...", ("--hydra-smoke-scope",), "usage error: these tests need at least 3 *"),
    "an internal error": ("...", ("-p", "breaks"), "internal error: RuntimeError: no *"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_report_says_what_ended_its_run(here: Project, name: str) -> None:
    does, arguments, ended = ENDINGS[name]
    if name == "too many":
        here.set(scope="function", max_instances=2)
        arguments = ()
    if name == "an internal error":
        here.write("conftest.py", "def pytest_runtest_logfinish(): raise RuntimeError('no luck')")
        arguments = ()
    assert write(here, does).live("test_it.py", *arguments).ret not in (0, 1)
    pytest.LineMatcher([told(here)["ended"]]).fnmatch_lines([ended])


REFUSED = {
    "no such file": ({}, "no_such.py", "file or directory not found: no_such.py"),
    "too many": ({"scope": "function", "max_instances": 2}, "test_it.py", "these tests need at *"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_usage_error_is_told_once_and_alone(here: Project, name: str) -> None:
    settings, file, words = REFUSED[name]
    result = write(here.set(**settings)).live(file)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {words}"])
    result.stdout.no_fnmatch_line("*= hydra-smoke =*")
    result.stdout.no_fnmatch_line(f"*{words}*")


def test_a_usage_error_of_workers_is_told_once_and_alone(here: Project) -> None:
    write(here.set(scope="function", max_instances=2))
    result = here.live("-p", "xdist", "-n1", "test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.no_fnmatch_line("*= hydra-smoke =*")
    assert (result.stdout.str() + result.stderr.str()).count("these tests need at least") == 1


def test_a_usage_error_hides_no_warning(here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_MAX_INSTANCE", "1")
    result = write(here).live("no_such.py", "-q")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*= hydra-smoke =*", "*HYDRA_SMOKE_MAX_INSTANCE is not a *"])
    result.stdout.no_fnmatch_line("*provisioned*")


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist", "-n1")])
def test_a_broken_module_is_named(here: Project, arguments: tuple[str, ...]) -> None:
    write(here).write("test_broken.py", "import no_such_module")
    result = here.live(*arguments)
    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED)
    assert told(here)["ended"] == "collection errors: test_broken.py"
    # xdist runs the others all the same.
    words = "3 passed" if arguments else "3 not run"
    result.stdout.fnmatch_lines([f"smoke tests: {words}"])


def test_of_many_broken_modules_some_are_named(here: Project) -> None:
    for number in range(12):
        here.write(f"test_broken_{number:02}.py", "import no_such_module")
    here.live()
    assert told(here)["ended"].endswith(" test_broken_09.py and 2 more")


def test_an_interrupt_is_named(here: Project) -> None:
    write(here, "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        here.live("test_it.py")
    assert told(here)["ended"] == "interrupt"


def test_where_replies_are_kept_out_so_are_words_of_tests(here: Project) -> None:
    write(here, "pytest.exit('it said: no')").set(report_replies="false").live("test_it.py")
    assert told(here)["ended"] == "pytest.exit"
