"""Tests that certainly need more instances than a run may have are refused before its first boot.

Each project here has `bundled_checks = false` where the checks are none of its matter.
"""

from __future__ import annotations

import pytest
from plugin_tools import SOMEBODY, Project, count
from recording_tools import says, write

from pytest_hydrasmoke.fake import FakeRouter

TIERS = """
import pytest
from pytest_hydrasmoke import InstanceSpec

WHOLE = InstanceSpec(manifest_id="m", region_id="r", tier_id="d")

@pytest.mark.parametrize(
    "smoke_instance", [{"tier_id": "a"}, {"tier_id": "b"}, {}, None, WHOLE], indirect=True
)
def test_tier(smoke_instance): ...

@pytest.mark.parametrize("async_smoke_instance", [{"tier_id": "a"}], indirect=True)
def test_async(async_smoke_instance): ...

def test_plain(): ...
"""
TOO_MANY = (
    "these tests need at least 4 instances, and max_instances is 3: nothing was provisioned. "
    "Raise it (set HYDRA_SMOKE_MAX_INSTANCES, or max_instances = 4 in [[]tool.hydra-smoke[]]), run "
    "fewer tests (-k, -m), have more of them share one (scope)"
)


@pytest.fixture
def here(project: Project) -> Project:
    """A project of five tiers, with none of what a live run needs."""
    project.suite("bare").set(bundled_checks="false").write("test_it.py", TIERS)
    return project


def refused(result: pytest.RunResult, least: int) -> None:
    """See that a run was refused, and how many instances its tests need at least."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: these tests need at least {least} instances, *"])


def test_more_than_max_instances_are_refused_before_the_first_boot(
    here: Project, router: FakeRouter
) -> None:
    result = here.at(router, max_instances=3).live()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {TOO_MANY}"])
    assert count(router, "provision") == 0
    # What is not selected needs nothing.
    here.live("-k", "not smoke_instance4").assert_outcomes(passed=6, deselected=1)
    assert here.set(max_instances=1).live("-k", "test_plain").ret == pytest.ExitCode.TESTS_FAILED
    assert count(router, "provision") == 3


@pytest.mark.kill
def test_in_workers_too(here: Project, router: FakeRouter) -> None:
    result = here.at(router, max_instances=3).live("-p", "xdist", "-n1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines([f"*{TOO_MANY}*"])
    assert "INTERNALERROR" not in result.stdout.str()
    assert count(router, "provision") == 0


def test_the_refusal_names_the_bundled_checks(project: Project, router: FakeRouter) -> None:
    result = project.suite("bare").at(router, max_instances=1).live()
    refused(result, 2)
    result.stderr.fnmatch_lines(["*, or leave out the bundled checks (bundled_checks = false)"])
    assert count(router, "provision") == 0


@pytest.mark.parametrize(("scope", "least"), [("session", 4), ("module", 5), ("function", 8)])
def test_the_scope_counts(here: Project, scope: str, least: int) -> None:
    here.write(
        "test_more.py", "def test_one(smoke_instance): ...\ndef test_two(smoke_instance): ..."
    )
    refused(here.set(scope=scope, max_instances=3).fake(), least)


def test_what_a_fixture_gives_may_be_one_of_the_others(project: Project) -> None:
    project.suite("specs").set(max_instances=1, bundled_checks="false")
    # The tier named, and the whole spec: what is not known may be one of these.
    refused(project.fake(".", "--deselect=test_specs.py::test_plain"), 2)


NOT_COUNTED = """
import pytest

@pytest.mark.parametrize("smoke_instance", [{"tier_id": "sure"}], indirect=True)
def test_sure(smoke_instance): ...

@pytest.mark.skip
@pytest.mark.parametrize("smoke_instance", [{"tier_id": "skipped"}], indirect=True)
def test_skipped(smoke_instance): ...

@pytest.mark.skipif("True")
@pytest.mark.parametrize("smoke_instance", [{"tier_id": "perhaps"}], indirect=True)
def test_perhaps(smoke_instance): ...

@pytest.mark.parametrize("smoke_instance", ["tier", {"manifest": "x"}], indirect=True)
def test_wrong(smoke_instance): ...

def test_factory(smoke_instance_factory): ...

class TestOwn:
    @pytest.fixture
    def smoke_instance(self, smoke_instance_factory):
        return smoke_instance_factory()

    @pytest.mark.parametrize("smoke_instance", [{"tier_id": "own"}], indirect=True)
    def test_own(self, smoke_instance): ...

class TestAround:
    @pytest.fixture
    def smoke_instance(self, smoke_instance):
        return smoke_instance

    def test_around(self, smoke_instance): ...
"""


def test_what_is_not_sure_is_not_counted(here: Project) -> None:
    here.write("test_it.py", NOT_COUNTED)
    here.write("test_doc.txt", ">>> 1\n1\n")
    refused(here.set(max_instances=1).fake("--doctest-glob=*.txt"), 2)


def test_an_attached_run_needs_none(here: Project, router: FakeRouter) -> None:
    result = here.at(router, instance=SOMEBODY, max_instances=1, ready_timeout=1).live("-x")
    result.assert_outcomes(errors=1)


def test_of_a_replay_what_only_a_live_run_has_is_not_counted(project: Project) -> None:
    project.suite("bare").set(max_instances=1)
    write(project.path / "recordings", "test_it.py::test_one", says("hello", "Hi."))
    live_only = '@pytest.mark.parametrize("smoke_instance", [{"tier_id": "a"}], indirect=True)\n'
    project.write(
        "test_it.py",
        "import pytest\ndef test_one(smoke_instance): smoke_instance.chat('hello')\n"
        f"@pytest.mark.hydra_smoke_live\n{live_only}def test_two(smoke_instance): ...\n",
    )
    result = project.fake("--hydra-smoke-scenario=recordings")
    result.assert_outcomes(passed=1, skipped=1)
