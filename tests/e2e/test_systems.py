"""Whole runs on another system, as far as it can be played here."""

from __future__ import annotations

from plugin_tools import Project, nothing_left

from pytest_hydrasmoke.fake import FakeRouter


def test_a_run_with_workers_that_take_themselves_for_windows(
    project: Project, router: FakeRouter
) -> None:
    project.suite("windows").at(router, ready_timeout=60, llm_events_timeout=60)
    result = project.process("-p", "xdist", "-n2", "--hydra-smoke", "test_windows.py")
    result.assert_outcomes(passed=4)
    assert len(router.instances) == 1
    assert nothing_left(router)
    assert "did not report" not in result.stdout.str()
    assert list((project.path / ".hydrasmoke" / "runs").iterdir()) == []
