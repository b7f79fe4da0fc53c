"""What makes a run red is decided with its last test: no hook that ends the process hides it."""

from __future__ import annotations

import pytest
from plugin_tools import Project, nothing_left

from pytest_hydrasmoke.fake import FakeRouter

ONE = "def test_one(smoke_instance): ...\n"
ENDS = """
import os, pytest

@pytest.hookimpl({order})
def {hook}:
    os._exit(int({status}))
"""
HOOKS = {
    "first in sessionfinish": ("tryfirst=True", "pytest_sessionfinish(exitstatus)", "exitstatus"),
    "last in sessionfinish": ("trylast=True", "pytest_sessionfinish(exitstatus)", "exitstatus"),
    "terminal summary": ("", "pytest_terminal_summary(exitstatus)", "exitstatus"),
    "unconfigure": (
        *("", "pytest_unconfigure(config)"),
        "config.pluginmanager.get_plugin('session').exitstatus",
    ),
}
TESTS = {
    "alone": (ONE, ()),
    "-x": (ONE, ("-x",)),
    "--maxfail": (ONE, ("--maxfail=3",)),
    "workers": (ONE, ("-p", "xdist", "-n2")),
    "Ctrl-C": (f"{ONE}def test_two(): raise KeyboardInterrupt\n", ()),
    "an exit with 0": (f"import pytest\n{ONE}def test_two(): pytest.exit('enough', 0)\n", ()),
}


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    return project.suite("bare").at(router, bundled_checks="false", delete_timeout="5")


def ends(here: Project, hook: str) -> None:
    order, name, status = HOOKS[hook]
    here.write("conftest.py", ENDS.format(order=order, hook=name, status=status))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_leak_is_red_whoever_ends_the_process(
    here: Project, router: FakeRouter, hook: str
) -> None:
    router.fail("delete", status=500, times=999)
    ends(here, hook)
    text, arguments = TESTS["alone"]
    here.write("test_it.py", text)
    assert here.process("--hydra-smoke", *arguments, "test_it.py").ret == 1
    [instance] = here.report()["instances"]
    assert (instance["outcome"], here.report()["exit_code"]) == ("leaked", 1)


@pytest.mark.parametrize("case", [it for it in TESTS if it != "alone"])
def test_a_leak_is_red_however_the_tests_end(here: Project, router: FakeRouter, case: str) -> None:
    router.fail("delete", status=500, times=999)
    ends(here, "first in sessionfinish")
    text, arguments = TESTS[case]
    here.write("test_it.py", text)
    ran = here.process("--hydra-smoke", *arguments, "test_it.py")
    assert ran.ret == (2 if case == "Ctrl-C" else 1)
    [instance] = here.report()["instances"]
    assert instance["outcome"] == "leaked"


def test_what_proves_nothing_is_red_whoever_ends_the_process(here: Project) -> None:
    ends(here, "first in sessionfinish")
    here.write("test_it.py", "import pytest\ndef test_one(smoke_instance): pytest.skip('no')\n")
    assert here.process("--hydra-smoke", "test_it.py").ret == 1
    assert here.report()["exit_code"] == 1


def test_a_green_run_stays_green_and_leaves_nothing_whoever_ends_the_process(
    here: Project, router: FakeRouter
) -> None:
    ends(here, "first in sessionfinish")
    here.write("test_it.py", ONE)
    assert here.process("--hydra-smoke", "test_it.py").ret == 0
    assert nothing_left(router)
    swept = here.command("sweep")
    assert swept.ret == 0
    assert "LEFT" not in swept.stdout.str()


def test_what_the_run_itself_reports_is_no_failed_test_of_another_run(
    here: Project, router: FakeRouter
) -> None:
    router.fail("delete", status=500, times=999)
    here.write("test_it.py", ONE)
    here.live("test_it.py", "-p", "cacheprovider", ret=1)
    failed = here.path / ".pytest_cache" / "v" / "cache" / "lastfailed"
    assert not failed.exists() or "hydra-smoke" not in failed.read_text()


def test_the_reason_of_an_end_is_what_came_first(here: Project, router: FakeRouter) -> None:
    router.fail("delete", status=500, times=999)
    here.write("test_it.py", ONE)
    here.live("-x", "test_it.py", ret=1)
    assert here.report()["ended"] is None
