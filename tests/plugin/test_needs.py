"""What collected tests certainly need: it boots side by side, or is refused before its first boot.

Each project here has `bundled_checks = false` where the checks are none of its matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from plugin_tools import CHECKS, QUICK, Project, count, nothing_left
from recording_tools import says, write
from specs_tools import SPECS

from pytest_hydrasmoke._plugin.needs import Selection
from pytest_hydrasmoke.fake import FakeRouter, Scenario

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
LEAST = "ERROR: these tests need at least {} instances, *"
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


def test_more_than_max_instances_are_refused_before_the_first_boot(
    here: Project, router: FakeRouter
) -> None:
    here.at(router, max_instances=3).live().is_refused(f"ERROR: {TOO_MANY}")
    assert count(router, "provision") == 0
    # What is not selected needs nothing.
    here.live("-k", "not smoke_instance4", passed=6, deselected=1)
    assert count(router, "provision") == 3
    # Those of the checks are named.
    result = here.set(max_instances=1, bundled_checks="true").live("-k", "not tier and not async")
    leave_out = "*, or leave out the bundled checks (bundled_checks = false)"
    result.is_refused(LEAST.format(2) + leave_out)


@pytest.mark.kill
def test_in_workers_too(here: Project, router: FakeRouter) -> None:
    here.at(router, max_instances=3)
    result = here.live("-p", "xdist", "-n1", ret=pytest.ExitCode.USAGE_ERROR).says(f"*{TOO_MANY}*")
    assert "INTERNALERROR" not in result.stdout.str()
    assert count(router, "provision") == 0


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
MORE = "def test_one(smoke_instance): ...\ndef test_two(smoke_instance): ..."


@pytest.mark.parametrize(
    ("files", "scope", "least"),
    [
        ({"test_more.py": MORE}, "session", 4),
        ({"test_more.py": MORE}, "module", 5),
        ({"test_more.py": MORE}, "function", 8),
        ({"test_it.py": NOT_COUNTED, "test_doc.txt": ">>> 1\n1\n"}, "session", 2),
    ],
    ids=["session", "module", "function", "what is not sure"],
)
def test_what_is_sure_is_counted_for_each_scope(
    here: Project, files: dict[str, str], scope: str, least: int
) -> None:
    here.write_all(files).set(scope=scope, max_instances=1)
    result = here.fake("--doctest-glob=*.txt")
    result.is_refused(LEAST.format(least))


def test_what_a_fixture_gives_may_be_one_of_the_others(project: Project) -> None:
    project.suite("bare").write_all(SPECS).set(max_instances=1, bundled_checks="false")
    # The tier named, and the whole spec: what is not known may be one of these.
    project.fake(".", "--deselect=test_specs.py::test_plain").is_refused(LEAST.format(2))


def test_of_a_replay_what_only_a_live_run_has_is_not_counted(project: Project) -> None:
    project.suite("bare").set(max_instances=1)
    write(project.path / "recordings", "test_it.py::test_one", says("hello", "Hi."))
    live_only = '@pytest.mark.parametrize("smoke_instance", [{"tier_id": "a"}], indirect=True)\n'
    project.write(
        "test_it.py",
        "import pytest\ndef test_one(smoke_instance): smoke_instance.chat('hello')\n"
        f"@pytest.mark.hydra_smoke_live\n{live_only}def test_two(smoke_instance): ...\n",
    )
    project.fake("--hydra-smoke-scenario=recordings", passed=1, skipped=1)


# One boot's time

Routing = Callable[[Scenario], FakeRouter]

BOOTS = replace(QUICK, statuses=((0, "booting"), (0.3, "running")))
MATRIX = """
import pytest

{change}
@pytest.mark.parametrize(
    "smoke_instance", [{{"tier_id": f"tier-{{at}}"}} for at in {tiers}], indirect=True
)
def test_it(smoke_instance): ...
"""
FACTORY = """
def test_own(smoke_instance_factory):
    assert len(smoke_instance_factory.many(3)) == 3
"""
FOUR = ["tier-1", "tier-2", "tier-3", "tier-4"]


def boots_together(router: FakeRouter) -> bool:
    """Return whether all instances were requested before the first one was ready."""
    provisioned = [n for n, it in enumerate(router.requests) if it.route == "provision"]
    chats = [n for n, it in enumerate(router.requests) if it.route in ("delete", "chat")]
    return max(provisioned) < min(chats)


def test_what_is_certain_boots_side_by_side_and_nothing_else(
    project: Project, routing: Routing
) -> None:
    router = routing(BOOTS)
    project.suite("bare").at(router, max_instances=9)
    project.write("test_a.py", "def test_a(smoke_instance): assert False\n")
    project.write("test_b.py", MATRIX.format(change="", tiers="(1, 2, 3, 4)"))
    skipped = "pytestmark = pytest.mark.skipif(True, reason='never')"
    project.write("test_c.py", MATRIX.format(change=skipped, tiers="(5,)"))
    others = "@pytest.fixture\ndef smoke_instance(): ..."
    project.write("test_d.py", MATRIX.format(change=others, tiers="(6,)"))
    project.live("-x", ".", failed=1)
    # The first one alone was needed; the others are deleted all the same.
    assert sorted(it.tier_id for it in router.instances) == FOUR
    assert boots_together(router)
    assert nothing_left(router)


@pytest.mark.parametrize(
    ("scope", "together"), [pytest.param("session", True), pytest.param("function", False)]
)
def test_the_second_instance_of_the_checks_boots_beside_what_the_session_shares(
    project: Project, routing: Routing, scope: str, together: bool
) -> None:
    router = routing(BOOTS)
    project.suite("bare").at(router, scope=scope)
    result = project.live(f"{CHECKS}/test_chat.py::test_chat_answers", f"{CHECKS}/test_deletion.py")
    result.assert_outcomes(passed=2)
    assert len(router.instances) == 2
    assert boots_together(router) is together


def test_it_does_not_where_tests_may_need_its_place(project: Project, routing: Routing) -> None:
    router = routing(BOOTS)
    text = MATRIX.format(change="", tiers="(1, 2, 3)") + FACTORY
    # Three tiers, three of the factory, and the check's own: never more than six at a time.
    project.suite("bare").at(router, max_instances=7).write("test_it.py", text)
    project.live("test_it.py", f"{CHECKS}/test_deletion.py", passed=5)
    # The check's own one, which is deleted first, has the last slot, and not the fourth.
    first = next(it.path for it in router.requests if it.route == "delete")
    [own] = [it for it in router.instances if str(it.id) in first]
    assert own.idempotency_key.endswith("-6")
    assert nothing_left(router)


# Which runs are of all tests, so that what they do not use is of no use


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ([], True),
        (["tests", "-q"], True),
        (["tests/test_it.py"], False),
        (["tests/test_it.py::test_it"], False),
        (["-k", "it"], False),
        (["-m", "slow"], False),
        (["--lf"], False),
        (["-x"], False),
        (["--deselect", "tests/test_it.py"], False),
    ],
)
def test_a_run_is_whole_where_nothing_selects(
    pytester: pytest.Pytester, arguments: list[str], whole: bool
) -> None:
    pytester.mkpydir("tests").joinpath("test_it.py").touch()
    selection = Selection(pytester.parseconfig(*arguments))
    assert selection.is_whole(0) is selection.is_whole(1) is whole
    assert not selection.is_whole(2)
    selection.pytest_deselected()  # A plugin may select.
    assert not selection.is_whole(0)
