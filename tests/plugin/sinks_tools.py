"""What tests of a run's reports share: the project in a step of a job, and what it has left."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from plugin_tools import Project, shows_token

OLDER = ("--junit-xml=junit.xml", "-ojunit_family=xunit1")
"""JUnit's older family has a place for properties of tests."""
BOOT = ["phases.provision", "phases.row", "phases.ready"]


def on_github(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    monkeypatch.setenv("GITHUB_SHA", "0a1b2c")


def left(project: Project) -> dict[str, str]:
    """Read the files that a run left, and see that no token is in them."""
    folders = (project.path / ".hydrasmoke", project.path, project.path / "out")
    texts = {
        it.name: it.read_text("utf-8")
        for folder in folders
        for it in folder.glob("*.*")
        if it.is_file()
    }
    assert not any(map(shows_token, texts.values()))
    return texts


def properties(parent: ElementTree.Element | None) -> dict[str, str]:
    """Return the plugin's properties of a suite or a test, without their prefix."""
    assert parent is not None
    found = parent.findall("properties/property")
    pairs = [(it.get("name", ""), it.get("value", "")) for it in found]
    mark = "hydra_smoke."
    return {name.removeprefix(mark): value for name, value in pairs if name.startswith(mark)}


def times(told: dict[str, str], prefix: str, names: list[str]) -> None:
    """See that there are these times, and take them out."""
    for name in names:
        assert float(told.pop(f"{prefix}{name}")) >= 0


def errors(result: pytest.RunResult) -> list[str]:
    """Return what a run has told GitHub."""
    return [line for line in result.outlines if line.startswith("::")]
