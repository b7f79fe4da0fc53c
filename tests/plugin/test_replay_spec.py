"""A replay notes a test that asks for another spec than was recorded: another agent answered."""

from __future__ import annotations

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter

RECORD = "--hydra-smoke-record=recordings"
REPLAY = "--hydra-smoke-scenario=recordings/"
SUITE = """
import pytest

@pytest.fixture
def agent(smoke_instance_factory):
    with smoke_instance_factory(manifest_id="cheap") as instance:
        yield instance

@pytest.fixture
def nameless(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        yield instance

def test_it(agent):
    assert agent.chat("One").text

def test_nameless(nameless):
    assert nameless.chat("One").text

def test_another(smoke_instance):
    assert smoke_instance.chat("Two").text
"""
OTHER = SUITE.replace("cheap", "expensive").replace("factory()", "factory(agent_name='Ada')")
IT = "; record it again to ask the agent that it means"
EACH = "; record each again to ask the agent that it means"
EXPECTED = [
    f"test_it asks for another spec than recorded: manifest_id 'expensive' (recorded 'cheap'){IT}",
    f"test_nameless asks for another spec than recorded: agent_name 'Ada' (recorded without){IT}",
]


@pytest.fixture
def project(project: Project) -> Project:
    """Nothing is counted here, and so no turn's usage need be waited for."""
    return project.set(usage_settle=0.01)


def record(project: Project, name: str, **settings: str) -> None:
    with FakeRouter(QUICK, TOKEN) as router:
        assert project.at(router, max_instances=9, **settings).live(RECORD, name).ret == 0


def notes(result: pytest.RunResult) -> list[str]:
    """Return what the summary of a replay, which is to pass, notes."""
    assert result.ret == 0
    mark = "hydra-smoke: note: "
    found = [it.removeprefix(mark) for it in result.outlines if it.startswith(mark)]
    return [note.replace("test_it.py::", "") for note in found]


@pytest.fixture
def recorded(project: Project) -> Project:
    project.write("test_it.py", SUITE)
    record(project, "test_it.py")
    return project


def test_another_spec_is_noted(recorded: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes(recorded.fake(REPLAY, "test_it.py")) == []
    recorded.write("test_it.py", OTHER)
    assert sorted(notes(recorded.fake(REPLAY, "test_it.py"))) == EXPECTED
    recorded.write("test_it.py", SUITE)
    recorded.set(manifest_id="expensive")
    # A setting is one note of all the tests that it is for.
    who = "test_nameless, test_another ask for another spec than recorded"
    expected = [f"{who}: manifest_id 'expensive' (recorded 'made-up'){EACH}"]
    assert notes(recorded.fake(REPLAY, "test_it.py")) == expected
    # A test for each agent of a matrix: what no setting gives matches all that was recorded.
    record(recorded, "test_it.py::test_another", manifest_id="expensive")
    for name in ("MANIFEST_ID", "REGION_ID", "TIER_ID"):
        monkeypatch.delenv(f"HYDRA_SMOKE_{name}")
    assert notes(recorded.fake(REPLAY, "test_it.py")) == []


@pytest.mark.kill
def test_workers_note_it_once(recorded: Project) -> None:
    recorded.write("test_it.py", OTHER)
    two = ("--hydra-smoke-fake", REPLAY, "-p", "xdist", "-n2", "test_it.py")
    assert sorted(notes(recorded.process(*two))) == EXPECTED
