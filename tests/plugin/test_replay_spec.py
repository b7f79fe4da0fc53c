"""A replay notes a test that asks for another spec than was recorded: another agent answered."""

from __future__ import annotations

from textwrap import dedent

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter

RECORD = "--hydra-smoke-record=recordings"
REPLAY = "--hydra-smoke-scenario=recordings/"
SUITE = """
    import pytest

    @pytest.fixture
    def agent(smoke_instance_factory):
        with smoke_instance_factory({0}) as instance:
            yield instance

    def test_it(agent):
        assert agent.chat("One").text

    def test_another(smoke_instance):
        assert smoke_instance.chat("Two").text
"""
CHEAP, EXPENSIVE = (SUITE.format(f"manifest_id={it!r}") for it in ("cheap", "expensive"))


def record(project: Project, suite: str, **settings: str) -> None:
    project.write("test_it.py", dedent(suite))
    with FakeRouter(QUICK, TOKEN) as router:
        result = project.at(router, **settings).live(RECORD, "test_it.py")
    assert result.ret == 0


def notes(project: Project, suite: str, *arguments: str, process: bool = False) -> list[str]:
    """Replay a suite, which is to pass, and return what the summary notes."""
    project.write("test_it.py", dedent(suite))
    run = project.process if process else project.fake
    first = ["--hydra-smoke-fake"] if process else []
    result = run(*first, REPLAY, *arguments, "test_it.py")
    assert result.ret == 0
    mark = "hydra-smoke: note: "
    return [it.removeprefix(mark) for it in result.outlines if it.startswith(mark)]


IT = "; record it again to ask the agent that it means"
EACH = "; record each again to ask the agent that it means"
OTHER = "test_it.py::test_it asks for another spec than recorded: "


def test_a_factory_with_another_agent(project: Project) -> None:
    record(project, CHEAP)
    assert notes(project, CHEAP) == []
    expected = [f"{OTHER}manifest_id 'expensive' (recorded 'cheap'){IT}"]
    assert notes(project, EXPENSIVE) == expected
    assert notes(project, EXPENSIVE, "-p", "xdist", "-n2", process=True) == expected
    record(project, EXPENSIVE)
    assert notes(project, EXPENSIVE) == []


def test_a_field_that_was_not_recorded(project: Project) -> None:
    record(project, SUITE.format(""))
    named = SUITE.format("agent_name='Ada'")
    assert notes(project, named) == [f"{OTHER}agent_name 'Ada' (recorded without){IT}"]


def test_a_setting_with_another_agent_is_one_note(project: Project) -> None:
    record(project, SUITE.format(""), manifest_id="cheap")
    project.set(manifest_id="expensive")
    who = "test_it.py::test_it, test_it.py::test_another ask for another spec than recorded"
    expected = [f"{who}: manifest_id 'expensive' (recorded 'cheap'){EACH}"]
    assert notes(project, SUITE.format("")) == expected


def test_what_no_setting_gives_matches_all_that_was_recorded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test for each agent of a matrix: the replay asks for the more frequent of the two.
    record(project, SUITE.format(""), manifest_id="cheap")
    with FakeRouter(QUICK, TOKEN) as router:
        project.at(router, manifest_id="expensive")
        assert project.live(RECORD, "test_it.py::test_it").ret == 0
    for name in ("MANIFEST_ID", "REGION_ID", "TIER_ID"):
        monkeypatch.delenv(f"HYDRA_SMOKE_{name}")
    assert notes(project, SUITE.format("")) == []
