"""The names of phases, which reports and budgets use."""

from __future__ import annotations

from pytest_hydrasmoke._core.phases import PHASES


def test_the_phases_are_the_documented_ones() -> None:
    assert PHASES == ("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")
