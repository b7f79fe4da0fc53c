"""A run on GitHub Actions: its job summary and its annotations."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_tools import CHECKS, TOKEN, Project, alone_or_workers

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


def line_of(project: Project, name: str) -> int:
    text = (project.path / "test_endings.py").read_text("utf-8").splitlines()
    return 1 + next(at for at, line in enumerate(text) if f"def test_{name}(" in line)


def pick(*names: str) -> list[str]:
    return [f"test_endings.py::test_{name}" for name in names]


def test_a_passing_run_has_a_summary_and_no_annotation(here: Project, router: FakeRouter) -> None:
    result = here.live(*pick("passes"))
    assert result.ret == 0
    assert summary(here).startswith("## hydra-smoke: passed\n")
    assert f"| `{router.instances[0].id}` | `run-0` | deleted |" in summary(here)
    assert errors(result) == []


UNTIDY = """
import pytest

@pytest.fixture
def untidy(smoke_instance):
    yield
    raise RuntimeError('::error::100% untidy')

def test_it(untidy): ...

def test_without_an_instance(smoke_config): assert smoke_config is None, 'why not'
"""


@alone_or_workers
def test_failures_are_annotated_at_their_tests_after_leaks(
    here: Project, router: FakeRouter, workers: tuple[str, ...]
) -> None:
    router.fail("delete", status=500, times=999)
    here.set(delete_timeout=0.6)
    here.write("test_other.py", "def test_of_others(no_such_fixture): ...\n")
    here.write("test_untidy.py", UNTIDY)
    result = here.live(*workers, *pick("fails", "setup"), "test_other.py", "test_untidy.py")
    [instance] = router.instances
    leak, failed, setup, teardown, without = errors(result)
    assert leak.startswith(f"::error title=leak of {instance.id}::")
    assert f"LEAK: {instance.id} (key run-0) may still run" in leak
    assert f"%0ATo delete it: cd {here.path} && hydra-smoke sweep --run-id run" in leak
    place = "::error file=test_endings.py,line={},title={}test_endings.py%3A%3Atest_{}::"
    assert failed.startswith(place.format(line_of(here, "fails") + 1, "", "fails"))
    assert "AssertionError" in failed or "assert" in failed
    assert setup.startswith(place.format(line_of(here, "setup"), "setup of ", "setup"))
    assert setup.endswith("RuntimeError: broken set-up")
    title = "::error file=test_untidy.py,line=7,title=teardown of test_untidy.py%3A%3Atest_it"
    assert teardown == f"{title}::RuntimeError: ::error::100%25 untidy"
    assert TOKEN not in summary(here)
    assert summary(here).count("## hydra-smoke: failed") == 1
    assert "### Leaked" in summary(here)
    # One without an instance is in the summary and on the page, too.
    title = "::error file=test_untidy.py,line=11,title=test_untidy.py%3A%3Atest_without_an_instance"
    assert without.startswith(f"{title}::AssertionError: why not")
    words = "AssertionError: why not"
    assert f"`test_untidy.py::test_without_an_instance`:\n\n```text\n{words}" in summary(here)
    assert words in here.left("report.html")
    assert here.report()["tests"][-1]["failure"].startswith(words)


def test_places_are_the_repository_s(
    here: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here.path.parent))
    [line] = errors(here.live(*pick("fails")))
    assert line.startswith(f"::error file={here.path.name}/test_endings.py,line=")
    # A test of elsewhere, and a bundled one, have no place there.
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here.path / "app"))
    here.set(run_id="another")
    [line] = errors(here.live(*pick("fails")))
    assert line.startswith("::error title=test_endings.py%3A%3Atest_fails::")


def test_a_bundled_check_is_annotated_without_a_file(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/")
    here.set(expect_text="no such words")
    [line] = errors(here.live(f"{CHECKS}/test_chat.py::test_chat_answers"))
    title = f"{CHECKS}/test_chat.py%3A%3Atest_chat_answers"
    assert line.startswith(f"::error title={title}::Failed: no match of expect_text")


def test_specs_of_a_matrix_and_budgets_are_told_in_the_summary(here: Project) -> None:
    here.set(budgets="row=0.000001").write(
        "test_it.py",
        "import pytest\n"
        "TIERS = [{'tier_id': 'small'}, {'tier_id': 'large'}]\n"
        "@pytest.mark.parametrize('smoke_instance', TIERS, indirect=True)\n"
        "def test_it(smoke_instance): ...\n",
    )
    result = here.live("test_it.py")
    assert result.parseoutcomes()["passed"] == 2
    assert "| instance | key | spec | outcome |" in summary(here)
    assert "| `made-up/nowhere/small` | deleted |" in summary(here)
    assert "### Budgets that were not kept" in summary(here)
    # The run's reason: no test of its own has failed.
    assert len(errors(result)) == 1


def test_a_red_run_in_which_no_test_failed_is_an_error_too(here: Project) -> None:
    here.write("test_it.py", "def test_it(): ...\n")
    [line] = errors(here.live("test_it.py"))
    assert line.startswith("::error title=hydra-smoke::no smoke test was executed: the run proves")


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


def test_words_that_are_kept_out_of_reports_are_nowhere(here: Project, router: FakeRouter) -> None:
    router.break_stream("error")
    here.set(report_replies="false").write(
        "test_it.py",
        "def test_cut(smoke_instance): smoke_instance.chat('secret words')\n"
        "def test_told(smoke_instance): assert 0, 'what the agent said'\n",
    )
    _, told = errors(here.live("test_it.py"))
    assert told.endswith("::AssertionError")
    assert "### Failures" in summary(here)
    assert "secret words" not in summary(here)
    assert "the agent has failed" not in summary(here)
