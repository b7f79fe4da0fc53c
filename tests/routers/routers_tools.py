"""A router of a test's own making, and a run of the bundled checks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from gates import serving
from plugin_tools import TOKEN, Project
from twin import Twin, build

PATIENCE = {
    "ready_timeout": 4,
    "chat_timeout": 2,
    "llm_events_timeout": 2,
    "delete_timeout": 2,
    "usage_settle": 0.5,
}
"""Deadlines of a run: what is wrong for good is to be told soon."""


@dataclass(frozen=True)
class Router:
    """A twin with some of its rules replaced."""

    what: str
    rules: Mapping[str, Any]
    settings: Mapping[str, object] = field(default_factory=dict)
    hurried: bool = True
    """Whether the run's own last look may come at once."""

    def make(self) -> Twin:
        made = type("Router", (Twin,), {"token": TOKEN, **self.rules})
        assert self.rules.keys() <= vars(Twin).keys(), "a rule that the twin does not have"
        return made()


def smoke(project: Project, router: Router, *checks: str) -> tuple[Twin, pytest.RunResult]:
    """Run the bundled checks, all or these, and nothing else, against a router."""
    twin = router.make()
    with serving(build(twin)) as url:
        project.suite("bare").at(url, **{**PATIENCE, **router.settings})
        slow = () if router.hurried else ("-p", "no:hurried")
        return twin, project.live(*slow, *checks)


BEGINNINGS = ("E ", "LEAK: ", "CONFLICT: ", "not confirmed as deleted", "expected: ", "got: ")
"""How a failure's lines begin; those of an error without a frame of a test have no `E`."""


def failures(result: pytest.RunResult) -> str:
    """Return the words of all failures on a line: of tests, of set-ups, of leaks, of the start."""
    lines = [line.strip() for line in (*result.stdout.lines, *result.stderr.lines)]
    told: list[str] = []
    of_start = False
    for line in lines:
        of_start = line.startswith("ERROR: ") or (of_start and bool(line))
        if of_start or line.startswith(BEGINNINGS):
            told.append(line.removeprefix("E "))
    return " ".join(" ".join(told).split())
