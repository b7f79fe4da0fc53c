"""What failures look like, and that a row of `docs/start/when-red.md` explains each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from golden import GOLDEN, golden
from plugin_tools import TOKEN, Project
from shown import ROOT, check, names, presentable, timeless

from pytest_hydrasmoke.fake import FakeRouter, Scenario

PAGE = ROOT / "docs" / "start" / "when-red.md"
PACKAGE = ROOT / "pytest_hydrasmoke"
QUICK: Mapping[str, Any] = {"row_after": 0, "statuses": ((0, "running"),)}
LINES = 40
"""A failure is at most a page."""

CHAT = """
def test_greeting(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    assert "ready" in turn.text
"""
USAGE = """
def test_usage(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    turn.expect_llm_events(at_least=1, providers={"anthropic"})
"""
ONCE = """
def test_usage(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    turn.expect_llm_events(exactly=1)
"""
AGAIN = """
def test_greeting(smoke_instance):
    smoke_instance.chat("Are you ready?")


def test_usage(smoke_instance):
    turn = smoke_instance.chat("And now?")
    turn.expect_llm_events(exactly=1)
"""
TWO = """
def test_two_turns_at_once(smoke_instance):
    with smoke_instance.stream_chat("Are you ready?"):
        smoke_instance.chat("And now?")
"""


def nothing(router: FakeRouter) -> None: ...


@dataclass(frozen=True)
class Failing:
    """One way to fail: a suite, and a router to run it against."""

    suite: str = CHAT
    scenario: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fault: Callable[[FakeRouter], None] = nothing
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


FAILURES: dict[str, Failing] = {
    "settings": Failing(
        settings={"url": "router.example/api", "ready_timeout": "soon", "keep": "sometimes"}
    ),
    "unreachable": Failing(settings={"url": "http://127.0.0.1:9", "ready_timeout": "0.6"}),
    "token": Failing(settings={"token": "another-made-up-token"}),
    "gateway": Failing(
        fault=lambda it: it.fail(
            "chat",
            status=503,
            times=99,
            body="<html><head><title>503 Service Temporarily Unavailable</title></head></html>",
        ),
        settings={"chat_timeout": "0.5"},
    ),
    "path": Failing(settings={"url": "{}/api"}),
    "rejected": Failing(
        settings={"tier_id": "x" * 80},
        fault=lambda it: it.fail(
            "provision",
            status=422,
            body={
                "detail": [
                    {"type": "value_error", "loc": ["body", "tier_id"], "msg": "no such tier"}
                ]
            },
        ),
    ),
    "contract": Failing(
        # The first two are the questions with which the run begins.
        fault=lambda it: it.fail("status", status=200, body={"id": 17, "hostname": None}, after=2)
    ),
    "boot-failed": Failing(scenario={"statuses": ((0, "queued"), (0.5, "provision_failed"))}),
    "boot-late": Failing(
        scenario={"statuses": ((0, "queued"), (0.1, "booting"))}, settings={"ready_timeout": "1"}
    ),
    "row-late": Failing(
        scenario={"row_after": 2.0}, settings={"ready_timeout": "1", "delete_timeout": "20"}
    ),
    "reply-cut": Failing(fault=lambda it: it.break_stream("end", after_events=4)),
    "stream-cut": Failing(fault=lambda it: it.break_stream("cut")),
    "agent-error": Failing(fault=lambda it: it.break_stream("error")),
    "turn-late": Failing(
        fault=lambda it: it.break_stream("stall"), settings={"chat_timeout": "0.6"}
    ),
    "busy": Failing(TWO),
    "assertion": Failing(scenario={"reply": "I am not."}),
    "llm-events": Failing(
        USAGE, scenario={"llm_events_per_turn": 0}, settings={"llm_events_timeout": "0.6"}
    ),
    "llm-events-twice": Failing(ONCE, scenario={"llm_events_per_turn": 2}),
    "llm-events-whose": Failing(AGAIN, settings={"usage_settle": "0"}),
    "leak": Failing(
        fault=lambda it: it.fail("delete", status=500, times=999),
        settings={"delete_timeout": "0.6"},
    ),
    "budget": Failing(scenario={"row_after": 0.05}, settings={"budgets": "row=0.001"}),
    "max-instances": Failing(
        "def test_five(smoke_instance_factory):\n    smoke_instance_factory.many(5)\n"
    ),
}


def fail(failing: Failing, project: Project) -> str:
    """Run a suite that is to fail; gives what is said of the failure."""
    project.write("test_agent.py", failing.suite.lstrip())
    with FakeRouter(Scenario(**{**QUICK, **failing.scenario}), TOKEN) as router:
        failing.fault(router)
        settings = {"run_id": "nightly-7", "delete_timeout": "2", **failing.settings}
        project.at(router, **{name: it.format(router.url) for name, it in settings.items()})
        result = project.live("test_agent.py")
    said = result.stdout.str() + result.stderr.str()
    assert "another-made-up" not in said
    if result.ret == pytest.ExitCode.USAGE_ERROR:
        return result.stderr.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    whole = re.search(
        r"^=+ (?:ERRORS|FAILURES) =+\n(.*?)^=+ (?:hydra-smoke|short)", said, re.M | re.S
    )
    assert whole is not None, said
    return whole[1]


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_looks_as_it_did(name: str, project: Project) -> None:
    said = fail(FAILURES[name], project)
    assert len(said.splitlines()) <= LINES
    golden(f"failure-{name}", presentable(said), alike=timeless)
    if name in names(PAGE):
        check(PAGE, name, said)


def rows(head: str) -> list[tuple[str, ...]]:
    """Return the words that the first cells of the page's tables with this head name as code."""
    tables = re.findall(rf"^\| {head} \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE.read_text("utf-8"), re.M)
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    return [tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells]


def test_a_row_of_the_page_explains_each_failure() -> None:
    said = {name: (GOLDEN / f"failure-{name}.txt").read_text("utf-8") for name in FAILURES}
    found = [
        [name for name, text in said.items() if all(it in text for it in seen)]
        for seen in rows("you see")
    ]
    # Its words are of one failure only.
    assert sorted(found) == sorted([name] for name in FAILURES)


def test_the_other_messages_on_the_page_are_the_package_s() -> None:
    package = "".join(it.read_text("utf-8") for it in PACKAGE.glob("**/*.py"))
    others = rows("you also see")
    assert all(others)
    assert [it for seen in others for it in seen if it not in package] == []


def test_no_output_of_a_failure_is_left_from_before() -> None:
    there = {it.stem.removeprefix("failure-") for it in GOLDEN.glob("failure-*.txt")}
    assert there == {*FAILURES}
