"""What was requested, and never named: one red line, no leak, a code that no hook hides."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter

EXPECTED = """
import pytest
from pytest_hydrasmoke import HydraSmokeError

def test_it(smoke_instance_factory):
    with pytest.raises(HydraSmokeError):
        smoke_instance_factory()
"""
"""The test passes: nothing but what is unsure can make its run red."""
EXITS = """
import os
def pytest_sessionfinish(exitstatus):
    os._exit(int(exitstatus))
"""
FAULTS: dict[str, tuple[Callable[[FakeRouter], None], str]] = {
    "501": (lambda it: it.fail("provision", status=501, times=99), "answered with 501"),
    "a lost answer": (lambda it: it.drop("provision", times=99), "the answer was lost *"),
}


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    limits = {"delete_timeout": 1, "ready_timeout": 2}
    project.suite("bare").at(router, run_id="run", bundled_checks="false", **limits)
    project.write("test_it.py", EXPECTED)
    return project


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_with_nothing_else_is_red_by_one_line(
    here: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    summary = here.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    fails, answer = FAULTS[fault]
    fails(router)
    result = here.live("test_it.py", "--junit-xml=junit.xml", passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    line = f"unsure 1: requested, and no answer ever named them: run-0 ({answer}). To look *"
    counts = "provisioned 0, deleted 0, kept 0, leaked 0, unsure 1"
    result.says(f"*{counts}", f"hydra-smoke: {line} hydra-smoke sweep --run-id run")
    result.says("::error title=hydra-smoke::unsure 1: requested*")
    assert "LEAK" not in result.stdout.str() + result.stderr.str()
    report = here.report()
    [instance] = report["instances"]
    assert (instance["outcome"], report["exit_code"]) == ("unsure", 1)
    assert "### Unsure\n" in summary.read_text("utf-8")
    [suite] = ElementTree.parse(here.path / "junit.xml").iter("testsuite")
    values = {it.get("name"): it.get("value") for it in suite.iter("property")}
    assert (values["hydra_smoke.unsure"], values["hydra_smoke.leaked"]) == ("1", "0")
    assert [it.get("name") for it in suite.iter("testcase")] == ["test_it"]
    # A sweep does not know, either, until a row can no longer come.
    here.command("sweep", "--wait", "0", ret=1).says("unsure   (key run-0): no row yet*")


def test_no_hook_that_ends_the_process_hides_it(here: Project, router: FakeRouter) -> None:
    router.fail("provision", status=501, times=99)
    here.write("conftest.py", EXITS)
    assert here.process("--hydra-smoke", "test_it.py").ret == 1
    assert here.report()["exit_code"] == 1
