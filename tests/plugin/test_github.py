"""A run on GitHub Actions: its job summary and its annotations."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_tools import TOKEN, Project, alone_or_workers

from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def here(project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project against `router`, in a step of a job."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    return project.suite("endings").at(router, run_id="run")


def errors(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


def summary(project: Project) -> str:
    return (project.path / "summary.md").read_text("utf-8")


def pick(*names: str) -> list[str]:
    return [f"test_endings.py::test_{name}" for name in names]


def test_a_passing_run_has_a_summary_and_no_annotation(here: Project, router: FakeRouter) -> None:
    result = here.live(*pick("passes"))
    assert result.ret == 0
    assert summary(here).startswith("## hydra-smoke: passed\n")
    assert f"| `{router.instances[0].id}` | `run-0` | deleted |" in summary(here)
    assert errors(result) == []


def test_set_up_and_leaks_are_annotated_and_assertions_are_not(
    here: Project, router: FakeRouter
) -> None:
    router.fail("delete", status=500, times=999)
    here.set(delete_timeout=0.6)
    here.write("test_other.py", "def test_of_others(no_such_fixture): ...\n")
    result = here.live(*pick("fails", "setup"), "test_other.py")
    [instance] = router.instances
    leak, setup = errors(result)
    assert leak.startswith(f"::error title=leak of {instance.id}::")
    assert f"LEAK: {instance.id} (key run-0) may still run" in leak
    assert f"%0ATo delete it: cd {here.path} && hydra-smoke sweep --run-id run" in leak
    assert setup.startswith("::error title=setup of test_endings.py%3A%3Atest_setup::")
    assert setup.endswith("RuntimeError: broken set-up")
    assert TOKEN not in summary(here)
    assert "### Leaked" in summary(here)


@alone_or_workers
def test_teardown_is_annotated(here: Project, workers: tuple[str, ...]) -> None:
    here.write(
        "test_it.py",
        "import pytest\n"
        "@pytest.fixture\n"
        "def untidy(smoke_instance):\n"
        "    yield\n"
        "    raise RuntimeError('::error::100% untidy')\n"
        "def test_it(untidy): ...\n",
    )
    result = here.live(*workers, "test_it.py")
    title = "::error title=teardown of test_it.py%3A%3Atest_it"
    assert errors(result) == [f"{title}::RuntimeError: ::error::100%25 untidy"]
    assert summary(here).count("## hydra-smoke: failed") == 1


def test_no_more_than_github_shows(here: Project) -> None:
    here.write(
        "test_it.py",
        "import pytest\n"
        "@pytest.fixture(params=range(12))\n"
        "def broken(smoke_config, request): raise RuntimeError('broken')\n"
        "def test_it(broken): ...\n",
    )
    told = errors(here.live("test_it.py"))
    assert len(told) == 10
    assert told[-1] == "::error title=hydra-smoke::3 more errors are in this step's log"


def test_a_summary_that_can_not_be_written_is_a_line(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here.path))
    result = here.live(*pick("passes"))
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["hydra-smoke: GitHub's job summary was not written: IsADirectoryError*"]
    )


def test_elsewhere_there_is_neither(project: Project, router: FakeRouter) -> None:
    project.suite("endings").at(router)
    result = project.live(*pick("setup"))
    assert errors(result) == []
    assert list(Path(project.path).glob("*.md")) == []


def test_replies_that_are_kept_out_of_reports_are_not_in_it(
    here: Project, router: FakeRouter
) -> None:
    router.break_stream("error")
    here.set(report_replies="false")
    here.write("test_it.py", "def test_it(smoke_instance): smoke_instance.chat('secret words')\n")
    here.live("test_it.py")
    assert "### Failures" in summary(here)
    assert "secret words" not in summary(here)
    assert "the agent has failed" not in summary(here)
