"""A suite that freezes time is no different: against the bundled fake, and without a switch."""

from __future__ import annotations

import pytest
from inner import only
from plugin_tools import Project
from sizes import sampled

FREEZE = {
    "freezegun": ("freezegun", "freeze_time('2030-01-01')"),
    "freezegun moving": ("freezegun", "freeze_time('2020-01-01', tick=True)"),
    "time-machine": ("time_machine", "travel(0, tick=False)"),
}
FROZEN_SESSION = """
import pytest
import {library}

@pytest.fixture(scope="session", autouse=True)
def frozen():
    with {library}.{freeze}:
        yield
"""
IN_SET_UP = """
import {library}

def test_set_up_alone(smoke_instance_factory):
    with {library}.{freeze}:
        instance = smoke_instance_factory()
    turn = instance.chat("hello")
    with {library}.{freeze}:
        turn.expect_llm_events(exactly=1)
        instance.delete()
"""


@pytest.mark.parametrize("name", sampled("kill", FREEZE, ["freezegun"]))
def test_a_frozen_suite_passes(project: Project, name: str) -> None:
    library, freeze = FREEZE[name]
    project.suite("async_anyio").set(max_instances=6)
    project.write("test_set_up.py", IN_SET_UP.format(library=library, freeze=freeze))
    project.write("conftest.py", FROZEN_SESSION.format(library=library, freeze=freeze))
    # trio is not for processes of these tests.
    result = project.process(*only("anyio"), "--hydra-smoke-fake", "-k", "not trio")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*provisioned 6, deleted 6, kept 0, leaked 0"])


FROZEN_UNIT_TEST = """
import sys
import freezegun
import pydantic

class Model(pydantic.BaseModel):
    number: int

def test_it():
    loaded = {*sys.modules}
    with freezegun.freeze_time("2030-01-01"):
        pass
    assert not [name for name in {*sys.modules} - loaded if "hydrasmoke" in name]
"""


def test_freezing_time_loads_nothing_in_a_run_without_a_switch(project: Project) -> None:
    project.write("test_it.py", FROZEN_UNIT_TEST)
    project.process("test_it.py").assert_outcomes(passed=1)


FROZEN_FROM_THE_START = """
import freezegun

freezer = freezegun.freeze_time("2030-01-01")

def pytest_configure():
    freezer.start()

def pytest_unconfigure():
    freezer.stop()
"""


def test_a_whole_run_may_be_frozen(project: Project) -> None:
    project.write("conftest.py", FROZEN_FROM_THE_START)
    project.suite("plain")
    result = project.process("--hydra-smoke-fake", "-k", "ready or chat or unknown_key")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*leaked 0"])
