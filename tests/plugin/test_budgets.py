"""Budgets: what a phase may take, and what becomes of a run in which one took longer."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from plugin_tools import Project

from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke.fake import FakeRouter

LIVES = """
def test_it_lives(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    turn.expect_llm_events()
"""


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project of one test, in which an instance goes through every phase."""
    project.suite("bare").at(router, run_id="run").write("test_it.py", LIVES)
    return project


def test_every_phase_has_a_limit(here: Project, router: FakeRouter) -> None:
    tiny = ", ".join(f"{phase} = 0.000001" for phase in PHASES)
    here.table(f"budgets = {{ {tiny} }}")
    result = here.live("test_it.py", "--junit-xml=junit.xml", "-rf")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, failed=len(PHASES))
    seen = f"seen on {router.instances[0].id} (key run-0)"
    for phase in PHASES:
        result.stdout.fnmatch_lines(
            [
                f"*_ budget of {phase} _*",
                f"BUDGET: {phase} took *.* s, the limit is 1e-06 s",
                seen,
                f"If that is acceptable, raise the limit: budgets = {{ {phase} = ... }}",
            ]
        )
        result.stdout.fnmatch_lines([f"FAILED hydra-smoke::budget::{phase}*"])
    report = here.report()
    assert [it["phase"] for it in report["breaches"]] == list(PHASES)
    assert all(it["value"] > it["limit"] == 1e-06 for it in report["breaches"])
    assert report["exit_code"] == 1
    junit = ElementTree.fromstring((here.path / "junit.xml").read_text("utf-8"))
    cases = junit.findall(".//testcase[@classname='hydra-smoke.budget']")
    assert [it.get("name") for it in cases] == list(PHASES)
    failures = [it.findtext("failure", "") for it in cases]
    assert [text.partition(" took ")[0] for text in failures] == [f"BUDGET: {it}" for it in PHASES]


def test_budgets_that_are_kept_say_nothing_and_the_environment_beats_the_table(
    here: Project,
) -> None:
    here.table("budgets = { ready = 0.000001 }")
    here.set(budgets=",".join(f"{phase}=60" for phase in PHASES))
    result = here.live("test_it.py")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*BUDGET*")


def test_a_breach_hides_no_failure_and_no_leak(here: Project, router: FakeRouter) -> None:
    router.fail("delete", status=500, times=999)
    here.set(budgets="row=0.000001", delete_timeout=0.6)
    here.write("test_it.py", "def test_it(smoke_instance): raise RuntimeError('its own')\n")
    result = here.live("test_it.py")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*its own", "LEAK: *", "BUDGET: row took *"])


def test_an_unknown_phase_in_the_table_is_told_with_the_nearest(here: Project) -> None:
    here.table("budgets = { firstevent = 5 }")
    result = here.live("test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    meant = "(did you mean first_event?): it must be one of provision, row, ready, *"
    result.stderr.fnmatch_lines(
        [f"  - budgets = *(pyproject.toml): 'firstevent' can't have a budget {meant}"]
    )


def test_several_instances_break_it_once_and_a_phase_that_never_was_has_kept_its_own(
    here: Project,
) -> None:
    here.set(budgets="row=0.000001,turn=0.000001")
    here.write(
        "test_it.py", "def test_it(smoke_instance_factory): smoke_instance_factory.many(2)\n"
    )
    here.live("test_it.py").assert_outcomes(passed=1, failed=1)
    assert [it["phase"] for it in here.report()["breaches"]] == ["row"]
