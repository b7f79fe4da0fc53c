"""A fake that is taught by a run's report has the manners of that run's router."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from plugin_tools import TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.presets import load

SECRET_REPLY = "What the agent says is nobody else's business."
SUITE = """
def test_two_turns_and_a_second_delete(smoke_instance_factory, smoke_client):
    with smoke_instance_factory() as instance:
        for _ in range(2):
            instance.chat("And this is what it was asked.").expect_llm_events(at_least=1)
        instance.delete()
        smoke_client.delete(instance.id)
"""
# Nothing whose sight is a matter of luck: the row comes late, the hostname is there from the first.
SLOW: dict[str, Any] = {"row_after": 0.3, "early_hostname": True, "reply": SECRET_REPLY}
ODD: dict[str, dict[str, Any]] = {
    "contrary": {"trouble": "none"},
    "default": {
        "after_delete": "row",
        "second_delete": 200,
        "provision_status": 201,
        "runtime": "anthropic",
        "extra": {"zone": "a"},
    },
    "flaky-router": {"runtime": "named", "trouble_calls": ("provision",)},
}


def manners(report: dict[str, Any]) -> dict[str, set[str]]:
    return {
        part: {json.dumps(form, sort_keys=True) for form in report["manners"][part]}
        for part in ("answers", "events", "drift")
    }


@pytest.mark.parametrize("name", ODD)
def test_a_round_trip(
    project: Project, routing: Callable[[Scenario], FakeRouter], name: str
) -> None:
    project.write("test_it.py", SUITE)
    project.set(ready_statuses="online,running", run_id="first")
    router = routing(replace(load(name), **SLOW, **ODD[name]))
    project.at(router).live("test_it.py").assert_outcomes(passed=1)
    report = project.path / ".hydrasmoke" / "report.json"
    first = report.rename(project.path / "first.json")

    project.set(run_id="second")
    result = project.fake("--hydra-smoke-scenario=first.json", "test_it.py")
    result.assert_outcomes(passed=1)
    seen, again = (json.loads(file.read_text("utf-8")) for file in (first, report))
    assert (seen["fake"], again["fake"]) == (False, True)
    assert manners(seen) == manners(again)
    assert len(manners(seen)["answers"]) > 5

    learned = repr(load(str(first)))
    assert SECRET_REPLY not in learned
    assert "what it was asked" not in learned
    assert TOKEN not in first.read_text("utf-8")


def test_a_report_without_replies_teaches_as_much(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    project.write("test_it.py", SUITE)
    project.at(routing(Scenario(reply=SECRET_REPLY)), report_replies="false")
    project.live("test_it.py").assert_outcomes(passed=1)
    report = project.path / ".hydrasmoke" / "report.json"
    assert SECRET_REPLY not in report.read_text("utf-8")
    assert load(str(report)).runtime == "openai"
