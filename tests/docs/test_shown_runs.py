"""Runs that pages show, or have settings for: each looks, and does, as its page says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import get_args

import pytest
from blocks import blocks
from other_form import give_form
from plugin_tools import TOKEN, Project
from shown import ROOT, check
from sizes import sampled

from pytest_hydrasmoke._plugin.repeats import in_words
from pytest_hydrasmoke.fake import FakeRouter, Scenario, replies
from pytest_hydrasmoke.fake.scenario import Runtime

BUDGETS = ROOT / "docs" / "pipelines" / "budgets.md"
EDITORS = ROOT / "docs" / "start" / "editors.md"
RECORDINGS = ROOT / "docs" / "reference" / "recordings.md"
RUNTIMES = ROOT / "docs" / "write" / "runtimes.md"
VARYING = ROOT / "docs" / "write" / "varying.md"


def failed(project: Project, pattern: str, *options: str) -> tuple[str, pytest.RunResult]:
    """Run `test_agent.py` on the fake, and find in its output how it has failed."""
    result = project.fake(*options, "test_agent.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = re.search(pattern, result.stdout.str(), re.M | re.S)
    assert found is not None
    return found[1], result


def test_a_breach_of_a_budget(project: Project) -> None:
    project.set(budgets="row=0.001")
    project.write("test_agent.py", "def test_it(smoke_instance): ...\n")
    failures = r"^=+ FAILURES =+\n(.*?)^=+ hydra-smoke"
    said, _ = failed(project, failures, "--hydra-smoke-run-id=nightly-7")
    check(BUDGETS, "breach", said)


SILENT = """
def test_it_answers(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    assert turn.text
"""


def test_the_events_of_a_reply_in_which_nobody_found_a_text(project: Project) -> None:
    project.write("test_agent.py", SILENT)
    frames = re.search(r"```none\n(event: speech\n.*?)```", RUNTIMES.read_text("utf-8"), re.DOTALL)
    assert frames is not None
    turn = {
        "run": 1,
        "instance": "shared",
        "spec": {},
        "message": "Are you ready?",
        "llm_events": None,
        "end": "closed",
        "chunks": [[0, f"{frames[1]}\n"]],
    }
    head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2020-01-31"}
    recording = {**head, "of": "test_agent.py::test_it_answers", "turns": [turn]}
    project.write("recordings/one.json", json.dumps(recording))
    assertion = r"^>       assert turn.text\n(.*?)\n\n"
    said, _ = failed(project, assertion, "--hydra-smoke-scenario=recordings/")
    check(RUNTIMES, "no-text", said)


OPENS = r"""
import re
import pytest

@pytest.mark.hydra_smoke_runs(5, at_least=4)
def test_says_when_it_opens(smoke_instance):
    turn = smoke_instance.chat("When do you open on Monday?")
    found = re.search(r"\b(8|08|eight)\b", turn.text, re.IGNORECASE)
    assert found, turn.text
"""
AGENT = """
[[replies]]
match = "on Monday"
text = ["In the morning.", "We open at 8:00.", "At nine, I think."]
"""


def test_the_runs_of_a_test_that_has_failed(project: Project) -> None:
    # Nobody counts LLM events here.
    project.set(usage_settle=0.05)
    project.write("test_agent.py", OPENS)
    project.write("agent.toml", AGENT)
    assertion = r"^=+ FAILURES =+\n.*?^(>       assert found.*?\n\n).*^=+ hydra-smoke"
    said, result = failed(project, assertion, "--hydra-smoke-scenario=agent.toml")
    check(VARYING, "runs", said)
    for number in (1, 2, 3):
        result.stdout.fnmatch_lines([f"on smoke-*-0, run {number}: * events in *"])


def test_the_table_of_rates_is_true() -> None:
    table = VARYING.read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) to (\d+) % \|$", table, re.M)
    assert len(rows) == 5
    for runs, passed, low, high in rows:
        said = f"true rates between {low} and {high} % fit that"
        assert in_words(int(passed), int(runs)) == said


def test_an_editor_finds_a_projects_tests_alone_and_runs_one_by_its_path(project: Project) -> None:
    test = "def test_greeting(smoke_instance):\n    assert smoke_instance.chat('Ready?').text\n"
    project.write("tests/test_agent.py", test)
    (block,) = (it for it in blocks(EDITORS) if it.language == "json")
    folder, *switches = json.loads(block.text)["python.testing.pytestArgs"]
    result = project.run("--collect-only", "-q", folder, *switches)
    assert result.ret == 0
    assert [it for it in result.outlines if "::" in it] == ["tests/test_agent.py::test_greeting"]
    one = f"{project.path / folder / 'test_agent.py'}::test_greeting"
    result = project.run(f"--rootdir={project.path}", *switches, one)
    result.assert_outcomes(passed=1)


# A hook that keeps addresses out, wherever a runtime splits them.

SPLIT = Scenario(row_after=0, statuses=((0, "running"),), reply='Ask "me", or (me@corp.example).')
ADDRESSED = """
def test_it(smoke_instance):
    print("said", smoke_instance.chat("I am you@corp.example!").text)
"""
WAYS = [*((runtime, b"\n") for runtime in get_args(Runtime)), ("text", b"\r\n")]


@pytest.mark.parametrize("way", sampled("pages", WAYS, [("anthropic", b"\n"), ("text", b"\r\n")]))
def test_the_hook_of_recordings_masks_what_events_split(
    project: Project, monkeypatch: pytest.MonkeyPatch, way: tuple[Runtime, bytes]
) -> None:
    monkeypatch.setattr(replies, "_PIECE", re.compile(r"(?s).{1,3}"))
    [hook] = [it for it in blocks(RECORDINGS) if it.name == "conftest.py"]
    project.write("conftest.py", hook.text)
    project.write("test_it.py", ADDRESSED)
    with give_form(FakeRouter(replace(SPLIT, runtime=way[0]), TOKEN), line_end=way[1]) as router:
        live = project.at(router).live("--hydra-smoke-record=recordings", "-rP", "test_it.py")
    live.stdout.fnmatch_lines([f"said {SPLIT.reply}"])
    text = (project.path / "recordings/test_it/test_it.json").read_text()
    [turn] = json.loads(text)["turns"]
    assert turn["message"] == f"I am {'x' * 16}!"
    # The address, in pieces of three characters.
    stream = "".join(chunk for _, chunk in turn["chunks"])
    assert not re.search(r"e@c|orp|\.ex", stream)
    replayed = project.fake("--hydra-smoke-scenario=recordings", "-rP", "test_it.py")
    masked = SPLIT.reply.replace("me@corp.example", "x" * 15)
    replayed.stdout.fnmatch_lines([f"said {masked}"])
