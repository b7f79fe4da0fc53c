"""What failures look like, and that a row of `docs/start/when-red.md` explains each of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from golden import GOLDEN, golden
from inner import only
from shown import ROOT, check, names, presentable, timeless

from pytest_hydrasmoke.fake import FakeRouter, Scenario

PAGE = ROOT / "docs" / "start" / "when-red.md"
PACKAGE = ROOT / "pytest_hydrasmoke"
TOKEN = "a-made-up-token-of-nobody"
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
    section: str = "ERRORS|FAILURES"


FAILURES: dict[str, Failing] = {
    "settings": Failing(
        settings={"URL": "router.example/api", "READY_TIMEOUT": "soon", "KEEP": "sometimes"}
    ),
    "unreachable": Failing(settings={"URL": "http://127.0.0.1:9", "READY_TIMEOUT": "0.6"}),
    "token": Failing(settings={"TOKEN": "another-made-up-token"}),
    "gateway": Failing(
        fault=lambda it: it.fail(
            "chat",
            status=503,
            times=99,
            body="<html><head><title>503 Service Temporarily Unavailable</title></head></html>",
        ),
        settings={"CHAT_TIMEOUT": "0.5"},
    ),
    "path": Failing(settings={"URL": "{url}/api"}),
    "rejected": Failing(
        settings={"TIER_ID": "x" * 80},
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
        scenario={"statuses": ((0, "queued"), (0.1, "booting"))}, settings={"READY_TIMEOUT": "1"}
    ),
    "row-late": Failing(
        scenario={"row_after": 2.0}, settings={"READY_TIMEOUT": "1", "DELETE_TIMEOUT": "20"}
    ),
    "reply-cut": Failing(fault=lambda it: it.break_stream("end", after_events=4)),
    "stream-cut": Failing(fault=lambda it: it.break_stream("cut")),
    "agent-error": Failing(fault=lambda it: it.break_stream("error")),
    "turn-late": Failing(
        fault=lambda it: it.break_stream("stall"), settings={"CHAT_TIMEOUT": "0.6"}
    ),
    "busy": Failing(TWO),
    "assertion": Failing(scenario={"reply": "I am not."}),
    "llm-events": Failing(
        USAGE, scenario={"llm_events_per_turn": 0}, settings={"LLM_EVENTS_TIMEOUT": "0.6"}
    ),
    "llm-events-twice": Failing(ONCE, scenario={"llm_events_per_turn": 2}),
    "llm-events-whose": Failing(AGAIN, settings={"USAGE_SETTLE": "0"}),
    "leak": Failing(
        fault=lambda it: it.fail("delete", status=500, times=999),
        settings={"DELETE_TIMEOUT": "0.6"},
    ),
    "budget": Failing(scenario={"row_after": 0.05}, settings={"BUDGETS": "row=0.001"}),
    "max-instances": Failing(
        "def test_five(smoke_instance_factory):\n    smoke_instance_factory.many(5)\n"
    ),
}


def fail(
    failing: Failing, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Run a suite that is to fail; gives the exit code, and what is said of the failure."""
    pytester.makepyfile(test_agent=failing.suite)
    with FakeRouter(Scenario(**{**QUICK, **failing.scenario}), TOKEN) as router:
        failing.fault(router)
        settings = {
            "URL": "{url}",
            "TOKEN": TOKEN,
            "MANIFEST_ID": "hermes-basic",
            "REGION_ID": "eu-central",
            "TIER_ID": "00000000-0000-4000-8000-000000000001",
            "RUN_ID": "nightly-7",
            "DELETE_TIMEOUT": "2",
            **failing.settings,
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"HYDRA_SMOKE_{name}", value.replace("{url}", router.url))
        result = pytester.runpytest_inprocess(*only(), "--hydra-smoke", "test_agent.py")
    said = result.stdout.str() + result.stderr.str()
    assert TOKEN not in said
    assert "another-made-up" not in said
    if result.ret == pytest.ExitCode.USAGE_ERROR:
        return int(result.ret), result.stderr.str()
    whole = re.search(
        r"^=+ (?:ERRORS|FAILURES) =+\n(.*?)^=+ (?:hydra-smoke|short)", said, re.M | re.S
    )
    assert whole is not None, said
    return int(result.ret), whole[1]


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_looks_as_it_did(
    name: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = fail(FAILURES[name], pytester, monkeypatch)
    assert code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
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
