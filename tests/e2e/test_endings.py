"""The end of a run: what is deleted however it ends, what is told, and the verdict."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from inner import only
from plugin_tools import ASYNCIO, FILES, FIRST, SLOW_ROW, TOKEN, Project, count, nothing_left, until

from pytest_hydrasmoke import InstanceSpec, Report
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke.fake import FakeRouter, Scenario

UUID = "????????-????-????-????-????????????"


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project against `router`."""
    return project.suite("endings").at(router, run_id="run")


def pick(*names: str) -> list[str]:
    return [f"test_endings.py::test_{name}" for name in names]


# The summary


def test_the_summary_counts_and_gives_each_instance_its_phases(here: Project) -> None:
    result = here.live("pytest_hydrasmoke/checks/test_chat.py", *pick("leaves_two"))
    result.assert_outcomes(passed=1 + FILES["test_chat.py"])
    result.stdout.fnmatch_lines(
        [
            "*= hydra-smoke =*",
            "live router, run run: provisioned 3, deleted 3, kept 0, leaked 0",
            "",
            "slot  outcome  provision *row *ready *first_event *turn *llm_events *delete*",
            "0     deleted *?.?s* ?.?s* ?.?s* ?.?s*",
            "1     deleted *?.?s* ?.?s* ?.?s* ?.?s*",
            "2     deleted *?.?s* ?.?s* ?.?s* ?.?s* ?.?s* ?.?s* ?.?s*",
            "",
            "slot  chats  tokens  retries  polls  notes  drift  verdict",
            "0         0                0 *      0      0  ok",
            "1         0                0 *      0      0  ok",
            "2         1 *      0      0  ok",
            "",
            "[*] the slowest phase of an instance",
            f"deleted  {UUID} (key run-0)",
            f"deleted  {UUID} (key run-1)",
            f"deleted  {UUID} (key run-2)",
        ]
    )


def test_the_summary_tells_of_repeated_requests(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=503, times=2, retry_after=0)
    result = here.live(*pick("passes"))
    result.stdout.fnmatch_lines(["         note: 2 requests were repeated"])


def test_the_summary_of_a_run_that_needed_nothing(here: Project) -> None:
    result = here.live("-k", "unknown_key")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["live router, run run: provisioned 0, deleted 0, kept 0, leaked 0"]
    )


def test_the_summary_of_an_instance_that_was_never_asked_for() -> None:
    record = InstanceRecord(InstanceSpec(manifest_id="m", region_id="r", tier_id="t"), "run-0")
    report = Report(
        run_id="run",
        fake=True,
        url="",
        began=datetime(2026, 1, 2, tzinfo=UTC),
        seconds=1.0,
        exit_code=0,
        instances=(report_of(record, 0.0),),
    )
    first, *_, last = terminal.summary(report)
    assert first == [("fake router, run run: provisioned 0, deleted 0, kept 0, leaked 0", "")]
    assert last == [("claimed  no id (key run-0)", "")]


# The ledger, and what is kept


def runs(project: Project, output: str = ".hydrasmoke") -> list[str]:
    """Return the runs that have left a folder."""
    return [folder.name for folder in (project.path / output / "runs").iterdir()]


def test_a_run_has_a_folder_until_all_is_confirmed(here: Project) -> None:
    here.write(
        "test_it.py",
        "from pathlib import Path\n"
        "def test_it(smoke_instance):\n"
        "    assert Path('.hydrasmoke/runs/run/ledger.jsonl').is_file()\n",
    )
    here.live("test_it.py").assert_outcomes(passed=1)
    assert runs(here) == []
    assert (here.path / ".hydrasmoke" / ".gitignore").read_text("utf-8") == "*\n"


def test_its_place_can_be_set(here: Project) -> None:
    here.set(output="by-variable", keep="always", run_id="one").live(*pick("passes"))
    assert runs(here, "by-variable") == ["one"]
    here.set(run_id="other").live(*pick("passes"), "--hydra-smoke-output=by-option")
    assert runs(here, "by-option") == ["other"]
    assert not (here.path / ".hydrasmoke").exists()


def test_what_is_kept_is_told_with_the_ways_to_it(here: Project, router: FakeRouter) -> None:
    result = here.live(*pick("passes"), "--hydra-smoke-keep=always")
    assert result.ret == 0
    [instance] = router.instances
    assert not instance.deleted
    begin = f"cd {here.path} && "
    attach = f"pytest --hydra-smoke --hydra-smoke-instance {instance.id}"
    result.stdout.fnmatch_lines(
        [
            "live router, run run: provisioned 1, deleted 0, kept 1, leaked 0",
            f"kept     {instance.id} (key run-0)",
            f"         attach: {begin}HYDRA_SMOKE_RUN_ID= {attach}",
            f"         delete: {begin}hydra-smoke sweep --run-id run",
        ]
    )
    assert runs(here) == ["run"]


def test_kept_on_failure_is_what_the_failing_test_used(here: Project, router: FakeRouter) -> None:
    # Each has an instance of its own, which ends once the last report of its test is in.
    here.set(keep="on-failure", scope="function")
    result = here.live(*pick("passes", "fails", "leaves_two"))
    result.assert_outcomes(passed=2, failed=1)
    assert [instance.deleted for instance in router.instances] == [True, False, True, True]
    result.stdout.fnmatch_lines(["*provisioned 4, deleted 3, kept 1, leaked 0"])


def test_an_instance_that_was_gone_before_did_not_fail_with_a_later_test(
    here: Project, router: FakeRouter
) -> None:
    result = here.live("test_gone_before.py")
    result.assert_outcomes(passed=1, failed=1)
    report = json.loads((here.path / ".hydrasmoke" / "report.json").read_text("utf-8"))
    assert [(it["outcome"], it["failed"]) for it in report["instances"]] == [
        ("deleted", False),
        ("deleted", True),
    ]


def test_the_fake_keeps_nothing(project: Project) -> None:
    # It ends with the run.
    project.suite("endings").set(keep="always")
    result = project.fake(*pick("passes"))
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 1, kept 0, leaked 0"])
    assert runs(project) == []


# What kills without any clean-up


@pytest.mark.parametrize(
    ("option", "has_plugin", "ini", "warned"),
    [
        ("thread", True, "signal", True),
        ("signal", True, "thread", False),
        (None, True, "thread", True),
        (None, True, "signal", False),
        (None, False, "thread", False),
    ],
)
def test_pytest_timeout_s_thread_method_is_warned_of(
    option: str | None, has_plugin: bool, ini: str, warned: bool
) -> None:
    # A stand-in: the tests do without that plugin.
    plugins = SimpleNamespace(has_plugin=lambda name: has_plugin and name == "timeout")
    config: Any = SimpleNamespace(
        getoption=lambda name, default: option, getini=lambda name: ini, pluginmanager=plugins
    )
    warnings = terminal.timeout_warning(config)
    assert bool(warnings) == warned
    assert all("kills without any clean-up" in warning for warning in warnings)


def test_the_warning_is_in_the_header(project: Project) -> None:
    project.suite("endings").write(
        "conftest.py", "def pytest_addoption(parser): parser.addoption('--timeout-method')\n"
    )
    result = project.fake("--timeout-method=thread", "-k", "passes")
    result.stdout.fnmatch_lines(["hydra-smoke: WARNING: pytest-timeout's thread method kills *"])


# Nothing was tested


@pytest.mark.parametrize(
    "names", [["skips"], ["plain"], ["plain", "skips"]], ids=["skipped", "plain", "both"]
)
def test_a_run_that_executed_no_smoke_test_fails(here: Project, names: list[str]) -> None:
    result = here.live(*pick(*names))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["hydra-smoke: no smoke test was executed: the run proves nothing"])


def test_a_run_without_a_call_of_a_smoke_test_fails_in_workers_too(here: Project) -> None:
    result = here.run("-p", "xdist", "--hydra-smoke", "-n1", *pick("plain", "skips"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["hydra-smoke: no smoke test was executed: *"])


NAMED = """
import pytest

def test_plain():
    pass

def test_skips(smoke_instance):
    pytest.skip("not today")
"""


def test_a_folder_s_name_makes_no_test_a_smoke_test(here: Project) -> None:
    (here.path / "hydra_smoke").mkdir()
    here.write("hydra_smoke/test_named.py", NAMED)
    result = here.live("hydra_smoke")
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["smoke tests: 1 skipped", "hydra-smoke: no smoke test was executed: *"]
    )


ASKS = """
import pytest

def test_asks(request):
    request.getfixturevalue("smoke_instance")

def test_ends_the_run(request):
    request.getfixturevalue("smoke_instance")
    pytest.exit("enough", returncode=0)
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n1")], ids=["alone", "worker"])
def test_a_test_that_asks_for_an_instance_at_run_time_is_a_smoke_test(
    here: Project, workers: tuple[str, ...]
) -> None:
    here.write("test_asks.py", ASKS)
    result = here.run(*workers, "--hydra-smoke", "test_asks.py::test_asks")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["smoke tests: 1 passed"])


def test_a_run_that_such_a_test_ends_is_not_green(here: Project) -> None:
    here.write("test_asks.py", ASKS)
    result = here.live("test_asks.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["smoke tests: 1 passed, 1 interrupted", "hydra-smoke: not all smoke tests came to *"]
    )


def test_a_smoke_test_in_a_worker_counts_as_executed(here: Project) -> None:
    # Under the longest run id there can be.
    here.set(run_id="r" * 64)
    result = here.run("-p", "xdist", "--hydra-smoke", "-n1", *pick("plain", "passes"))
    result.assert_outcomes(passed=2)
    assert result.ret == 0


def test_an_expected_failure_is_an_execution(here: Project) -> None:
    result = here.live(*pick("expected_failure"))
    result.assert_outcomes(xfailed=1)
    assert result.ret == 0


def test_a_run_without_any_test_keeps_pytest_s_own_exit_code(here: Project) -> None:
    result = here.live("-k", "no_such_test")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.no_fnmatch_line("*no smoke test was executed*")


def test_other_failures_are_not_talked_over(here: Project) -> None:
    result = here.live(*pick("setup"))
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*no smoke test was executed*")


# Leaks


@pytest.fixture
def leaking(here: Project, router: FakeRouter) -> Project:
    """A project against a router that deletes nothing."""
    router.fail("delete", status=500, times=999)
    return here.set(delete_timeout=0.6)


def test_a_leak_is_a_failed_report_of_its_own(leaking: Project, router: FakeRouter) -> None:
    result = leaking.live(*pick("passes"), "--junit-xml=junit.xml", "-rA")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [instance] = router.instances
    result.stdout.fnmatch_lines(
        [
            f"*_ leak of {instance.id} _*",
            f"LEAK: {instance.id} (key run-0) may still run and cost money",
            "not confirmed as deleted, it may still run: delete was refused with 500*",
            "*phase: *delete, after *",
            f"To delete it: cd {leaking.path} && hydra-smoke sweep --run-id run",
            f"leaked   {instance.id} (key run-0)",
            f"         delete: cd {leaking.path} && hydra-smoke sweep --run-id run",
            f"FAILED hydra-smoke::leak::{instance.id}*",
        ]
    )
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 0, kept 0, leaked 1"])
    junit = (leaking.path / "junit.xml").read_text("utf-8")
    assert TOKEN not in junit
    failures = ElementTree.fromstring(junit).findall(".//testcase/failure")
    assert len(failures) == 1
    assert f"LEAK: {instance.id} (key run-0)" in (failures[0].text or "")


def test_a_leak_of_the_fake_is_red_and_of_no_cost(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.suite("endings").set(run_id="run", ready_timeout=0.3, delete_timeout=0.3)
    project.write("no_row.toml", "row_after = inf")
    scenario = "--hydra-smoke-scenario=no_row.toml"
    result = project.fake(*pick("passes"), scenario, "--junit-xml=junit.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "LEAK: * (key run-0) was not proved to be deleted",
            "not confirmed as deleted: *but shows no instance for its key",
            "The fake router ended with its run: there is nothing to delete",
            "*provisioned 1, deleted 0, kept 0, leaked 1",
        ]
    )
    page = (project.path / ".hydrasmoke/report.html").read_text("utf-8")
    told = {
        "terminal": result.stdout.str() + result.stderr.str(),
        "page": page,
        "report": (project.path / ".hydrasmoke/report.json").read_text("utf-8"),
        "JUnit": (project.path / "junit.xml").read_text("utf-8"),
        "GitHub": summary.read_text("utf-8"),
    }
    for name, text in told.items():
        for word in ("may still run", "money", "sweep", "costs"):
            assert word not in text, f"{name} says {word}"
        assert "but shows no instance for its key" in text, name
        if name != "report":
            assert "was not proved to be deleted" in text, name
            assert "The fake router ended with its run: there is nothing to delete" in text, name


def test_a_leak_hides_no_failure_of_a_test(leaking: Project) -> None:
    result = leaking.live(*pick("fails", "passes"))
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["E *AssertionError: a failure of the test's own", "LEAK: *", "*leaked 1"]
    )


def test_a_leak_is_written_before_anybody_is_told(leaking: Project) -> None:
    leaking.write(
        "conftest.py",
        "from pathlib import Path\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.nodeid.startswith('hydra-smoke::leak'):\n"
        "        assert '\"leaked\"' in Path('.hydrasmoke/report.json').read_text()\n"
        "        raise BrokenPipeError\n",
    )
    result = leaking.live(*pick("passes"))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*provisioned 1, deleted 0, kept 0, leaked 1",
            f"hydra-smoke: the leak of {UUID} was not shown everywhere: BrokenPipeError()",
        ]
    )


def test_where_the_output_has_stalled_others_end_before_it_is_told(leaking: Project) -> None:
    # Made up: an output that stalls is a matter of processes, which are ended elsewhere.
    leaking.write(
        "conftest.py",
        "from pytest_hydrasmoke._plugin.stalled_output import StalledOutput\n"
        "StalledOutput.is_stalled = True\n"
        "told = []\n"
        "def pytest_runtest_logreport(report):\n"
        "    told.append(report.nodeid.partition('::')[0])\n"
        "def pytest_sessionfinish():\n"
        "    assert 'hydra-smoke' not in told\n"
        "def pytest_unconfigure():\n"
        "    assert 'hydra-smoke' in told\n",
    )
    process = leaking.process("--hydra-smoke", *pick("passes"))
    assert process.ret == pytest.ExitCode.TESTS_FAILED
    process.stdout.fnmatch_lines(["*provisioned 1, deleted 0, kept 0, leaked 1"])


def test_every_leak_is_told(leaking: Project, router: FakeRouter) -> None:
    result = leaking.live(*pick("leaves_two"))
    result.assert_outcomes(passed=1, failed=2)
    for instance in router.instances:
        result.stdout.fnmatch_lines([f"LEAK: {instance.id} *"])


def test_a_leak_at_the_end_of_a_narrow_scope_is_told_at_the_end(
    leaking: Project, router: FakeRouter
) -> None:
    leaking.set(scope="function")
    result = leaking.live(*pick("passes", "expected_failure"))
    result.assert_outcomes(passed=1, xfailed=1, failed=2)
    assert count(router, "provision") == 2


def test_leaks_in_workers_are_told_by_the_main_process(
    leaking: Project, router: FakeRouter
) -> None:
    result = leaking.run(
        *("-p", "xdist", "--hydra-smoke", "-n2", "--dist=each", "--junit-xml=junit.xml"),
        *pick("passes", "factory"),
    )
    # One is shared, and the main process's to delete; each worker has another for itself.
    result.assert_outcomes(passed=4, failed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    junit = (leaking.path / "junit.xml").read_text("utf-8")
    assert len(router.instances) == 3
    for instance in router.instances:
        result.stdout.fnmatch_lines([f"LEAK: {instance.id} *"])
        assert f"LEAK: {instance.id} " in junit
    result.stdout.fnmatch_lines(["*provisioned 3, deleted 0, kept 0, leaked 3"])


def test_a_leak_without_an_id_is_told_by_its_key(project: Project) -> None:
    # The request may have arrived, and no row was ever seen: nobody can tell.
    never = Scenario(row_after=999, provision_instance_id="absent")
    with FakeRouter(never, TOKEN) as router:
        # Its key is free; from then on, nothing is known of it.
        router.fail("poll", status=500, times=999, after=FIRST.count("poll") + 1)
        project.suite("endings").at(router, run_id="run", delete_timeout=0.6, ready_timeout=0.6)
        result = project.live(*pick("passes"))
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(["LEAK: no id (key run-0) *", "FAILED hydra-smoke::leak::run-0*"])


def test_a_leak_of_one_of_many_is_told(leaking: Project, router: FakeRouter) -> None:
    # Of two, one is refused and the other can't be deleted.
    router.fail("provision", status=422, after=1)
    leaking.write(
        "test_it.py",
        "import pytest\n"
        "@pytest.mark.asyncio\n"
        "async def test_it(async_smoke_instance_factory):\n"
        "    await async_smoke_instance_factory.many(2)\n",
    )
    result = leaking.live(*ASYNCIO, "test_it.py")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E *RejectedError: *", "LEAK: *", "*leaked 1"])


def test_a_leak_of_a_failed_provision_is_told(leaking: Project, router: FakeRouter) -> None:
    router.fail("status", status=400, after=FIRST.count("status"))
    result = leaking.live(*pick("passes"))
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 0, kept 0, leaked 1"])


def test_a_leak_where_no_test_was_left_to_run(leaking: Project, router: FakeRouter) -> None:
    # Provisioned in a set-up, skipped after it: the exit code is the leak's.
    leaking.write(
        "test_it.py",
        "import pytest\ndef test_it(smoke_instance):\n    pytest.skip('not today')\n",
    )
    result = leaking.live("test_it.py")
    result.assert_outcomes(skipped=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


# However it ends


@pytest.mark.parametrize("names", [["fails", "passes"], ["setup", "passes"]])
def test_stopped_at_the_first_failure(here: Project, router: FakeRouter, names: list[str]) -> None:
    result = here.live("-x", *pick(*names))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 1, *", "*stopping after 1 failures*"])
    assert nothing_left(router)


def test_a_set_up_that_fails_after_the_instance(here: Project, router: FakeRouter) -> None:
    result = here.live(*pick("setup", "passes"))
    result.assert_outcomes(passed=1, errors=1)
    assert count(router, "provision") == 1
    assert nothing_left(router)


def test_pytest_exit(here: Project, router: FakeRouter) -> None:
    here.write("test_it.py", "import pytest\ndef test_it(smoke_instance): pytest.exit('enough')\n")
    result = here.live("test_it.py", *pick("passes"))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*provisioned 1, deleted 1, *"])
    assert nothing_left(router)


def test_pytest_exit_with_a_code_of_its_own(here: Project, router: FakeRouter) -> None:
    assert here.live(*pick("exits", "passes")).ret == 7
    assert nothing_left(router)


def test_pytest_exit_with_a_code_of_its_own_hides_no_leak(leaking: Project) -> None:
    # Pytest itself leaves out its summary then.
    result = leaking.live(*pick("exits"))
    assert result.ret == 7
    assert "LEAK: " in result.stdout.str() + result.stderr.str()


def test_a_broken_collection(here: Project, router: FakeRouter) -> None:
    here.write("test_broken.py", "import no_such_module\n")
    result = here.live()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    # Asked what a run must know, and nothing else.
    assert [request.route for request in router.requests] == list(FIRST)


def interrupted(process: subprocess.Popen[str], times: int = 1) -> tuple[int, str]:
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def pytest_arguments(*arguments: str) -> list[str]:
    return ["-m", "pytest", *only(), "--hydra-smoke", *arguments]


def test_an_interrupt_in_a_test_deletes_everything(here: Project, router: FakeRouter) -> None:
    with here.started(*pytest_arguments(*pick("hangs"))) as process:
        until(lambda: len(router.instances) == 2)
        code, output = interrupted(process)
    assert code == 128 + signal.SIGINT
    assert "provisioned 2, deleted 2, kept 0, leaked 0" in output
    assert "\ninterrupted in test_endings.py::test_hangs\n" in output
    # The shared instance, and the one that the test itself provisioned.
    rows = [line.split() for line in output.splitlines() if line.startswith(("0 ", "1 "))]
    assert [row[-1] for row in rows[-2:]] == ["interrupted", "interrupted"]
    assert nothing_left(router)


@pytest.mark.parametrize("given", ["present", "null", "absent"])
def test_a_row_that_comes_late_is_deleted_all_the_same(project: Project, given: Any) -> None:
    # Not there yet is not gone: a 404 says no more than that.
    late = Scenario(row_after=0.9, statuses=((0, "running"),), provision_instance_id=given)
    with FakeRouter(late, TOKEN) as router:
        result = project.suite("endings").at(router, ready_timeout=0.5).live(*pick("passes"))
        result.assert_outcomes(errors=1)
        until(lambda: router.instances[0].status is not None)
        assert nothing_left(router)


def test_an_interrupt_in_provisioning_deletes_what_comes_of_it(project: Project) -> None:
    with FakeRouter(SLOW_ROW, TOKEN) as router:
        project.suite("endings").at(router, delete_timeout=20)
        with project.started(*pytest_arguments(*pick("passes"))) as process:
            until(lambda: router.instances and router.requests[-1].route == "poll")
            code, output = interrupted(process)
        assert nothing_left(router)
    assert code == 128 + signal.SIGINT
    assert "provisioned 1, deleted 1, kept 0, leaked 0" in output
    report = json.loads((project.path / ".hydrasmoke" / "report.json").read_text("utf-8"))
    assert [it["interrupted"] for it in report["instances"]] == ["row"]
    assert report["ended"] == "signal: INT"


def test_an_interrupt_in_provisioning_of_several(project: Project) -> None:
    with FakeRouter(SLOW_ROW, TOKEN) as router:
        project.suite("endings").at(router, delete_timeout=20)
        with project.started(*pytest_arguments(*pick("leaves_two"))) as process:
            until(lambda: len(router.instances) == 2)
            code, output = interrupted(process)
        assert len(router.instances) == 2
        assert nothing_left(router)
    assert code == 128 + signal.SIGINT
    assert "provisioned 2, deleted 2, kept 0, leaked 0" in output


def test_an_interrupt_of_the_clean_up_leaves_the_rest_to_the_last_hook(
    here: Project, router: FakeRouter
) -> None:
    # Raised in the main thread, where the first of two deletions is waited for.
    here.write(
        "conftest.py",
        "from pytest_hydrasmoke._run.session import SmokeSession\n"
        "dispose = SmokeSession.dispose\n"
        "def once(self, records):\n"
        "    SmokeSession.dispose = dispose\n"
        "    raise KeyboardInterrupt\n"
        "SmokeSession.dispose = once\n",
    )
    process = here.process("--hydra-smoke", *pick("leaves_two"))
    assert process.ret != 0
    assert nothing_left(router)
    report = json.loads((here.path / ".hydrasmoke" / "report.json").read_text("utf-8"))
    assert report["exit_code"] != 0
    assert [it["outcome"] for it in report["instances"]] == ["deleted", "deleted"]


def test_the_fake_is_gone_however_the_run_ends(project: Project) -> None:
    project.suite("endings").write(
        "test_url.py",
        "import pathlib, pytest\n"
        "def test_url(smoke_config):\n"
        "    pathlib.Path('url').write_text(smoke_config.url)\n"
        "    pytest.exit('enough')\n",
    )
    project.fake("test_url.py")
    with pytest.raises(httpx.TransportError):
        httpx.get((project.path / "url").read_text("utf-8"), trust_env=False)
