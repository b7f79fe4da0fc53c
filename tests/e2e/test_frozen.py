"""A suite that freezes time is no different: against the bundled fake, and without a switch."""

from __future__ import annotations

import pytest
from inner import only
from plugin_tools import Project
from sizes import sampled

SESSION = """
@pytest.fixture(scope="session", autouse=True)
def frozen():
    frozen = {library}.{freeze}
    frozen.start()
"""
START = """
def pytest_configure():
    frozen = {library}.{freeze}
    frozen.start()
"""
FREEZE = {
    "freezegun": ("freezegun", "freeze_time('2030-01-01')", SESSION),
    "freezegun moving": ("freezegun", "freeze_time('2020-01-01', tick=True)", SESSION),
    "time-machine": ("time_machine", "travel(0, tick=False)", SESSION),
    "freezegun from the start": ("freezegun", "freeze_time('2030-01-01')", START),
}
"""What freezes time, and from when on: until the process ends."""
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
    library, freeze, conftest = FREEZE[name]
    project.suite("async_anyio").set(max_instances=6)
    project.write("test_set_up.py", IN_SET_UP.format(library=library, freeze=freeze))
    head = f"import {library}, pytest\n"
    project.write("conftest.py", head + conftest.format(library=library, freeze=freeze))
    # trio is not for processes of these tests.
    result = project.process(*only("anyio"), "--hydra-smoke-fake", "-k", "not trio", ret=0)
    result.says("*provisioned 6, deleted 6, kept 0, leaked 0, unsure 0")


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
    project.process("test_it.py", passed=1)
