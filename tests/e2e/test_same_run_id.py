"""The same run id in two output folders: two shards of a pipeline that were given one name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from inner import only
from owner_tools import alive, config_for, run_for, running
from plugin_tools import QUICK, Project, Ran, nothing_left

from pytest_hydrasmoke import ConfigError, SmokeInstanceFactory
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Routing = Callable[[Scenario], FakeRouter]
NOT_OURS = "another run uses this run id, or has used it"
GONE = "something else deleted it, or it died"
DELETES = """
def test_a(smoke_instance, smoke_client):
    smoke_client.delete(smoke_instance.id)

def test_b(smoke_instance):
    smoke_instance.delete()
    smoke_instance.delete()
"""
SWEPT = """
import subprocess
import sys

def test_a(smoke_instance):
    sweep = (sys.executable, "-m", "pytest_hydrasmoke", "sweep", "--run-id", "run")
    subprocess.run(sweep, check=True)
"""
MORE = "def test_b(smoke_instance): ...\n"


def test_a_key_that_has_a_row_is_not_provisioned_under(fake: FakeRouter, tmp_path: Path) -> None:
    # Both have begun before either had asked for anything.
    one = run_for(config_for(fake, tmp_path / "one"))
    with running(config_for(fake, tmp_path / "two")) as two:
        one.provision(one.config.spec)
        before = [request.route for request in fake.requests].count("provision")
        for _ in range(2):
            with pytest.raises(ConfigError, match=NOT_OURS):
                two.provision(two.config.spec)
        assert [request.route for request in fake.requests].count("provision") == before
        with pytest.raises(ConfigError, match=NOT_OURS):
            SmokeInstanceFactory(two).many(2)
    assert alive(fake) == ["owner-0"], "what is another run's is not deleted"
    one.close()
    assert alive(fake) == []


@pytest.mark.parametrize("after", ["404", "row"])
@pytest.mark.parametrize("run_id", ["night", ""], ids=["given", "random"])
def test_an_instance_that_something_else_has_deleted_makes_no_green_run(
    project: Project, routing: Routing, run_id: str, after: Literal["404", "row"]
) -> None:
    router = routing(replace(QUICK, after_delete=after))

    class Other:
        """Another run, or a death, in the middle of a test."""

        def pytest_runtest_call(self) -> None:
            router._world.delete(router.instances[0].id)

    # An empty variable is not set.
    project.suite("bare").at(router, run_id=run_id, usage_settle=0)
    project.write("test_it.py", "def test_a(smoke_instance): ...")
    arguments = (*only(), "--hydra-smoke", "test_it.py")
    run = project.pytester.runpytest_inprocess(*arguments, plugins=[Other()])
    ended = Ran(run, ret=1, passed=1, failed=1)
    [instance] = project.report()["instances"]
    # An id that is random can't be another run's.
    others = "; if another run has run id night too, give each an id *" if run_id else ""
    if after == "row":
        said = f"it was gone before this run deleted it: {GONE}."
        outcome, heading = "deleted", "CONFLICT"
        assert instance["conflict"].startswith(f"{said}\nSee")
    else:
        # A gateway that lies, and an empty database, look the same.
        said = "*its first DELETE found nothing, although it was seen alive before: something *"
        outcome, heading = "leaked", "LEAK"
    ended.says(
        f"{heading}: * (key {instance['idempotency_key']})*",
        said,
        f"*See the router's log of it{others}",
    )
    assert ("another run" in ended.stdout.str()) == bool(run_id)
    assert instance["outcome"] == outcome


@pytest.mark.parametrize("after", ["404", "row"])
def test_a_test_that_deletes_by_a_client_is_no_other_run(
    after: str, project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(Scenario(row_after=0.0, statuses=((0.0, "running"),), after_delete=after))
    project.suite("bare").at(router, run_id="night").write("test_it.py", DELETES)
    assert project.live("test_it.py").ret == 0
    assert nothing_left(router)
    assert len(router.instances) == 2


@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "is over by then"])
def test_a_run_that_a_sweep_has_ended_says_so_where_it_is_red(
    project: Project, router: FakeRouter, goes_on: bool
) -> None:
    project.at(router, run_id="run").write("test_it.py", SWEPT + MORE * goes_on)
    ended = project.live("test_it.py")
    said = "hydra-smoke: a sweep has ended this run: after that, nothing could be provisioned*"
    if goes_on:
        ended.assert_outcomes(passed=1, errors=1)
        ended.says(said)
    else:
        ended.assert_outcomes(passed=1)
        ended.stdout.no_fnmatch_line(said)
    assert nothing_left(router)
