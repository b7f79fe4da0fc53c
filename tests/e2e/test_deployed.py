"""A router that changes in the middle of a run: gateways that lie from then on, and right ones."""

from __future__ import annotations

import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from deployed import DEPLOYED, GATEWAYS, Gate, at_random, down_for
from gates import serving
from handlers import signalled
from plugin_tools import QUICK, Project, Ran, count, nothing_left

from pytest_hydrasmoke.fake import FakeRouter, Scenario

CHAT = """
def test_it(smoke_instance):
    smoke_instance.chat("hello")
"""
Routing = Callable[[Scenario], FakeRouter]
EXITS = """
import os
def pytest_sessionfinish(exitstatus):
    os._exit(int(exitstatus))
"""
RUNS = 100
"""At each of the two routers."""


@pytest.fixture(params=["found_false", "404"])
def router(routing: Routing, request: pytest.FixtureRequest) -> FakeRouter:
    """A router that answers for an unknown key in one of its two ways."""
    return routing(replace(QUICK, poll_before_row=request.param))


@pytest.fixture
def gate(project: Project, router: FakeRouter) -> Iterator[Gate]:
    gate = Gate(router)
    with serving(gate) as url:
        project.suite("bare").at(url, run_id="run", bundled_checks="false", delete_timeout=2)
        project.write("test_it.py", CHAT)
        yield gate


def sweep(project: Project, *arguments: str) -> Ran:
    return Ran(project.pytester.run("python", "-m", "hurried", "sweep", *arguments, timeout=60))


@pytest.mark.parametrize("lies", GATEWAYS)
def test_while_a_gateway_lies_about_an_instance_nothing_says_that_it_is_deleted(
    project: Project, router: FakeRouter, gate: Gate, lies: str
) -> None:
    gate.lies = GATEWAYS[lies]
    run = project.live("test_it.py", ret=1, passed=1, failed=1)
    run.says("*: provisioned 1, deleted 0, kept 0, leaked 1, unsure 0")
    [instance] = project.report()["instances"]
    assert instance["outcome"] == "leaked"
    for by in ((), ("--run-id", "run")):
        swept = sweep(project, *by)
        assert swept.ret == 1, swept.stdout.str()
        assert "deleted  " not in swept.stdout.str()
    assert not nothing_left(router)
    gate.stop()
    assert sweep(project).ret == 0
    assert nothing_left(router)


SLEEPS = """
import time

def test_it(smoke_instance_factory):
    smoke_instance_factory().chat("hello")
    time.sleep(60)
"""


@pytest.mark.parametrize("lies", ["a token that is revoked", "an empty database"])
@pytest.mark.parametrize("how", ["two workers", "TERM", "Ctrl-C", "exit hook"])
def test_however_a_run_ends_its_sweep_believes_no_gateway_that_lies(
    project: Project, router: FakeRouter, gate: Gate, lies: str, how: str
) -> None:
    gate.lies = GATEWAYS[lies]
    if how == "two workers":
        run = project.live("-p", "xdist", "-n2", "test_it.py", ret=1)
        run.says("*: provisioned 1, deleted 0, kept 0, leaked 1, unsure 0")
    elif how == "exit hook":
        project.write("conftest.py", EXITS)
        run = project.process("--hydra-smoke", "test_it.py")
        assert run.ret == 1
    else:
        project.write("test_it.py", SLEEPS)
        number = signal.SIGTERM if how == "TERM" else signal.SIGINT
        with signalled(number, lambda: count(router, "chat") == 1):
            project.live("test_it.py", ret=128 + number)
    assert not nothing_left(router)
    for by in ((), ("--run-id", "run")):
        assert sweep(project, *by).ret == 1
    gate.stop()
    assert sweep(project).ret == 0
    assert nothing_left(router)


@pytest.mark.parametrize("change", DEPLOYED)
def test_a_router_that_is_deployed_during_a_run_is_believed(
    project: Project, router: FakeRouter, gate: Gate, change: str
) -> None:
    gate.change = DEPLOYED[change]()
    run = project.live("test_it.py", ret=0, passed=1)
    run.says("*: provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")
    assert nothing_left(router)
    assert sweep(project, "--run-id", "run").ret == 0


@pytest.mark.routers
@pytest.mark.parametrize("seed", range(RUNS))
def test_no_deployment_at_any_moment_is_a_leak(
    project: Project, router: FakeRouter, gate: Gate, seed: int
) -> None:
    """G33: with what runs really wait, where the run of a plain router takes 5 s."""
    draw = random.Random(seed)
    name = draw.choice([*DEPLOYED, "down for 10 s"])
    if name not in DEPLOYED:
        gate.change = down_for(10)
    else:
        gate.begins = draw.choice([6, 8, 12, 16, 20, math.inf])
        gate.change = at_random(seed) if "random" in name else DEPLOYED[name]()
    began = time.monotonic()
    project.set(delete_timeout=60)
    run = project.live("-p", "no:hurried", "test_it.py", ret=0, passed=1)
    assert time.monotonic() - began < 25, name
    run.says("*: provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")
    assert nothing_left(router)
    assert sweep(project, "--run-id", "run").ret == 0
