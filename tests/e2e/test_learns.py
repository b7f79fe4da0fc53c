"""A fake that replays a run's recordings has the manners of that run's router."""

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
    "flaky-router": {
        "after_delete": "row",
        "second_delete": 200,
        "provision_status": 201,
        "runtime": "anthropic",
        "extra": {"zone": "a"},
        "trouble_calls": ("provision",),
    },
}
RECORD = "--hydra-smoke-record=recordings"


def manners(project: Project) -> dict[str, set[str]]:
    report = json.loads((project.path / ".hydrasmoke/report.json").read_text("utf-8"))
    return {
        part: {json.dumps(form, sort_keys=True) for form in report["manners"][part]}
        for part in ("answers", "events", "drift")
    }


@pytest.mark.parametrize("name", ODD)
def test_a_round_trip(
    project: Project, routing: Callable[[Scenario], FakeRouter], name: str
) -> None:
    project.write("test_it.py", SUITE)
    project.set(ready_statuses="online,running", run_id="first", usage_settle=5)
    router = routing(replace(load(name), **SLOW, **ODD[name]))
    project.at(router).live(RECORD, "test_it.py", passed=1)
    seen = manners(project)

    project.set(run_id="second")
    project.fake("--hydra-smoke-scenario=recordings", "test_it.py", passed=1)
    again = manners(project)
    # A replay is at once, and in no trouble: no poll comes before the row, no chat before ready.
    assert {part: again[part] - seen[part] for part in seen} == {part: set() for part in seen}
    assert len(again["answers"]) > 5

    file = (project.path / "recordings/router.json").read_text("utf-8")
    for word in (SECRET_REPLY, "what it was asked", TOKEN, "first"):
        assert word not in file


def test_another_manner_is_told_where_it_was_recorded_otherwise(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    project.write("test_it.py", "def test_one(smoke_instance): smoke_instance.chat('hello')")
    project.set(ready_statuses="online,running")
    quick = replace(load("default"), row_after=0.0)
    first = project.at(routing(quick)).live(RECORD, "test_it.py")
    first.stdout.no_fnmatch_line("*drift:*")
    other = routing(replace(quick, provision_status=202, statuses=((0.0, "online"),)))
    second = project.at(other).live(RECORD, "test_it.py", passed=1)
    second.stdout.fnmatch_lines(
        [
            "hydra-smoke: drift: success code of provision: 202, and router.json has 200",
            "hydra-smoke: drift: status of a ready instance: online, and router.json has running",
            "hydra-smoke: recordings in *",
        ],
        consecutive=True,
    )
    assert project.at(other).live(RECORD, "test_it.py").ret == 0
    known = json.loads((project.path / "recordings/router.json").read_text("utf-8"))
    assert known["provision_status"] == [200, 202]
