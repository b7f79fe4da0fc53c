"""The files of a run: which there are, what is not in them, and what is when they can't be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from plugin_tools import FIRST, QUICK, Project, shows_token

from pytest_hydrasmoke.fake import FakeRouter, Scenario

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "reference" / "report-schema.json"
PAGES = ["report.html", "trace.har"]
CHATS = """
def test_it_answers(smoke_instance):
    turn = smoke_instance.chat("Are you a walrus?")
    assert "no walrus" in turn.text

def test_it_does_not(smoke_instance):
    smoke_instance.chat("And now?")
    raise AssertionError("as it should")
"""


@pytest.fixture
def router(routing: Callable[[Scenario], FakeRouter]) -> FakeRouter:
    return routing(replace(QUICK, reply="I am no walrus."))


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    """A project in which one test passes and one fails."""
    project.suite("bare").at(router, run_id="run").write("test_it.py", CHATS)
    return project


def left(project: Project) -> dict[str, str]:
    """Read the files that a run left, and see that no token is in them."""
    paths = sorted((project.path / ".hydrasmoke").glob("*.*"))
    texts = {it.name: it.read_text("utf-8") for it in paths if it.name != ".gitignore"}
    assert not any(map(shows_token, texts.values()))
    return texts


@pytest.mark.parametrize(
    ("report", "fails", "pages"),
    [
        ("never", True, []),
        ("on-failure", False, []),
        ("on-failure", True, PAGES),
        ("always", False, PAGES),
    ],
)
def test_pages_are_written_when_they_are_asked_for(
    here: Project, report: str, fails: bool, pages: list[str]
) -> None:
    result = here.set(report=report).live("test_it.py", *([] if fails else ["-k", "not does_not"]))
    assert result.ret == fails
    assert sorted(left(here)) == sorted(["report.json", *pages])
    line = "hydra-smoke: what happened is in *report.html"
    assert any(fnmatch(it, line) for it in result.outlines) == bool(pages)


def test_the_files_tell_of_the_run_and_its_failure(here: Project, router: FakeRouter) -> None:
    assert here.live("test_it.py").ret == 1
    files = left(here)
    report = json.loads(files["report.json"])
    Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(report)
    [instance] = report["instances"]
    assert instance["id"] == router.instances[0].id
    page = files["report.html"]
    assert "<h1>Failed</h1>" in page
    assert "test_it.py::test_it_does_not" in page
    assert "AssertionError: as it should" in page
    assert "I am no walrus." in page
    entries = json.loads(files["trace.har"])["log"]["entries"]
    of_the_run = len(router.requests) - len(FIRST)
    assert len(entries) == of_the_run, "what is asked first is no instance's"
    chat = next(it for it in entries if it["request"]["url"].endswith("/chat"))
    assert chat["request"]["postData"]["text"] == '{"message": "Are you a walrus?"}'
    assert chat["response"]["content"]["text"] == "I am no walrus."
    assert "Authorization" not in files["trace.har"]


def test_the_report_tells_of_the_pipeline_and_the_budgets(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_pipeline = {"GITLAB_CI": "true", "CI_PIPELINE_ID": "78", "CI_COMMIT_SHA": "0a1b2c"}
    for name, value in of_the_pipeline.items():
        monkeypatch.setenv(name, value)
    here.set(group="nightly", budgets="ready=60")
    assert here.live("test_it.py", "-k", "not does_not").ret == 0
    report = json.loads(left(here)["report.json"])
    unknown = dict.fromkeys(("job", "attempt", "branch", "url"))
    assert report["pipeline"] == {"group": "nightly", "commit": "0a1b2c", **unknown}
    assert report["budgets"] == {"ready": 60}


def test_replies_can_be_kept_out_of_all_of_them(here: Project) -> None:
    here.set(report_replies="false")
    assert here.live("test_it.py").ret == 1
    for name, text in left(here).items():
        assert "walrus" not in text, name
        assert "And now?" not in text, name


def test_files_that_can_not_be_written_change_no_outcome(here: Project) -> None:
    for name in ("report.json", "report.html", "trace.har"):
        # A folder of that name is in the way.
        (here.path / ".hydrasmoke" / name / "in the way").mkdir(parents=True)
    here.set(report="always")
    result = here.live("test_it.py", "-k", "not does_not")
    assert result.ret == 0
    result.assert_outcomes(passed=1, deselected=1)
    for name in ("report.json", "report.html", "trace.har"):
        result.stdout.fnmatch_lines(
            [f"hydra-smoke: {name} was not written: Is a directory (*.hydrasmoke)"]
        )
    assert not list(Path(here.path, ".hydrasmoke").glob(".report*"))
