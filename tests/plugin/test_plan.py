"""What the collected tests need at least: told without provisioning, and refused where it is more.

Each project here has `bundled_checks = false` where the checks are none of its matter.
"""

from __future__ import annotations

import pytest
from plugin_tools import ALL, SOMEBODY, TOKEN, Project, count, problems
from recording_tools import says, write

from pytest_hydrasmoke.fake import FakeRouter

PLAN = "--hydra-smoke-plan"
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


@pytest.fixture
def here(project: Project) -> Project:
    """A project of five tiers, with none of what a live run needs."""
    project.suite("bare").set(bundled_checks="false").write("test_it.py", TIERS)
    return project


def planned(result: pytest.RunResult) -> list[str]:
    """Return the lines of a plan, which has run no test."""
    result.assert_outcomes(deselected=result.parseoutcomes().get("deselected", 0))
    lines = result.stdout.lines
    begin = next(at for at, line in enumerate(lines) if "hydra-smoke plan ==" in line)
    return [line for line in lines[begin + 1 : -1] if line]


def test_a_plan_needs_no_url_and_no_token_and_asks_no_router(here: Project) -> None:
    result = here.live(PLAN)
    assert result.ret == 0
    of_settings = "manifest_id (not set), region_id (not set), tier_id"
    assert planned(result) == [
        "at least 4 instances; max_instances is 4",
        f"  for the session: {of_settings} a",
        "      test_it.py::test_tier[smoke_instance0]",
        "      test_it.py::test_async[async_smoke_instance0]",
        f"  for the session: {of_settings} b",
        "      test_it.py::test_tier[smoke_instance1]",
        f"  for the session: {of_settings} (not set)",
        "      test_it.py::test_tier[smoke_instance2]",
        "      test_it.py::test_tier[None]",
        "  for the session: manifest_id m, region_id r, tier_id d",
        "      test_it.py::test_tier[smoke_instance4]",
    ]
    result.stdout.fnmatch_lines(
        ["hydra-smoke: a plan: nothing is provisioned, and no test is run", "*no tests ran*"]
    )
    assert not (here.path / ".hydrasmoke").exists()


def test_a_plan_with_settings_asks_no_router_either(here: Project, router: FakeRouter) -> None:
    lines = planned(here.at(router).live(PLAN, "-k", "test_async"))
    assert lines[0] == "at least 1 instance; max_instances is 4"
    assert lines[1] == "  for the session: manifest_id made-up, region_id nowhere, tier_id a"
    assert router.requests == ()


@pytest.mark.parametrize("selection", [("-k", "test_tier"), ("-m", "hydra_smoke")])
def test_a_plan_is_of_what_is_selected(here: Project, selection: tuple[str, str]) -> None:
    here.write("test_more.py", "def test_async(async_smoke_instance): ...")
    assert len(planned(here.fake(PLAN, "test_it.py", *selection))) in (10, 11)
    assert planned(here.fake(PLAN, "-k", "test_plain")) == [
        "at least 0 instances; max_instances is 4"
    ]


def test_a_plan_has_no_workers(here: Project) -> None:
    result = here.fake(PLAN, "-p", "xdist", "-n2")
    assert planned(result)[0] == "at least 4 instances; max_instances is 4"
    result.stdout.no_fnmatch_line("*nodes*")


def test_a_plan_goes_with_a_list_of_the_tests(here: Project) -> None:
    result = here.live(PLAN, "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["test_it.py::test_plain", "*hydra-smoke plan*", "at least 4 instances; *"]
    )
    here.set(scope="galaxy").live(PLAN, "--help").stdout.fnmatch_lines(["*--hydra-smoke-plan*"])


@pytest.mark.parametrize("beside", ["-q", "--collect-only"])
def test_a_plan_of_too_much_exits_as_the_run_would(here: Project, beside: str) -> None:
    here.set(max_instances=3)
    planning, running = here.fake(PLAN, beside), here.fake()
    assert planning.ret == running.ret == pytest.ExitCode.USAGE_ERROR
    assert planned(planning)[:2] == [
        "at least 4 instances; max_instances is 3: the run would be refused",
        (
            "raise it (set HYDRA_SMOKE_MAX_INSTANCES, or max_instances = 4 in "
            "[tool.hydra-smoke]), run fewer tests (-k, -m), have more of them share one (scope)"
        ),
    ]
    assert here.set(max_instances=4).fake(PLAN, beside).ret == 0


def test_a_plan_of_too_much_names_the_bundled_checks(project: Project) -> None:
    lines = planned(project.suite("bare").set(max_instances=1).fake(PLAN))
    assert lines[1].endswith(", or leave out the bundled checks (bundled_checks = false)")


def test_the_scope_counts(here: Project) -> None:
    here.write(
        "test_more.py", "def test_one(smoke_instance): ...\ndef test_two(smoke_instance): ..."
    )
    by_scope = {
        scope: planned(here.set(scope=scope).fake(PLAN, "test_more.py"))
        for scope in ("session", "module", "function")
    }
    assert [lines[0].partition(";")[0] for lines in by_scope.values()] == [
        "at least 1 instance",
        "at least 1 instance",
        "at least 2 instances",
    ]
    spec = "manifest_id fake-basic, region_id fake-region, tier_id fake-tier"
    assert by_scope["module"][1] == f"  for test_more.py: {spec}"
    assert by_scope["function"][1] == f"  for test_more.py::test_one: {spec}"


def test_the_bundled_checks_need_two(project: Project) -> None:
    lines = planned(project.suite("bare").fake(PLAN))
    assert lines[0] == "at least 2 instances; max_instances is 4"
    assert sum("::test_" in line for line in lines) == 11
    assert lines[12].strip().startswith("and ")
    assert lines[13].startswith("  for itself: manifest_id fake-basic, ")


def test_what_a_fixture_gives_may_be_one_of_the_others(project: Project) -> None:
    result = project.suite("specs").fake(PLAN, ".", "--deselect=test_specs.py::test_plain")
    lines = planned(result)
    # The tier named, the whole spec, and what is not known may be each other.
    assert lines[0] == "at least 2 instances, 7 if no two are the same; max_instances is 4"
    perhaps = "(1 more, or one of the others)"
    for line in (
        f"  for the session: what smoke_spec in conftest returns {perhaps}",
        "  for the session: what smoke_spec in conftest returns with tier_id big",
        f"  for the session: what smoke_spec in test_specs_module.py returns {perhaps}",
        (
            "  for the session: what smoke_spec in test_specs.py::TestClass returns with "
            f"agent_name bob {perhaps}"
        ),
    ):
        assert line in lines


NOT_COUNTED = """
import pytest

@pytest.mark.skip
def test_skipped(smoke_instance): ...

@pytest.mark.skipif("True")
def test_perhaps(smoke_instance): ...

@pytest.mark.parametrize(
    "smoke_instance", ["tier", {"manifest": "x"}], indirect=True, ids=["word", "key"]
)
def test_wrong(smoke_instance): ...

@pytest.mark.skip
@pytest.mark.parametrize("smoke_instance", ["tier"], indirect=True)
def test_skipped_and_wrong(smoke_instance): ...

def test_factory(smoke_instance_factory): ...

class TestOwn:
    @pytest.fixture
    def smoke_instance(self, smoke_instance_factory):
        return smoke_instance_factory()

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
    lines = planned(here.fake(PLAN, "--doctest-glob=*.txt"))
    assert lines[0] == "at least 1 instance; max_instances is 4"
    assert lines[2:] == [
        "      test_it.py::TestAround::test_around",
        "  not counted: what these tests provision with smoke_instance_factory:",
        "      test_it.py::test_factory",
        "      test_it.py::TestOwn::test_own",
        "  not counted: these tests will fail, and provision nothing:",
        "      test_it.py::test_wrong[word]: this is not an instance spec: 'tier' is not a mapping",
        (
            "      test_it.py::test_wrong[key]: this is not an instance spec: "
            "manifest: no such field, did you mean manifest_id?"
        ),
        "  not counted: tests that a marker skips, or may skip: 3",
    ]


@pytest.mark.parametrize(
    ("selection", "provision"),
    [
        ("test_around or test_own", "1 test provisions"),
        ("test_around or test_own or test_factory", "2 tests provision"),
    ],
)
def test_a_limit_that_leaves_no_room_for_a_factory_is_told_first(
    here: Project, selection: str, provision: str
) -> None:
    here.write("test_it.py", NOT_COUNTED)
    result = here.set(max_instances=1).fake(PLAN, "-k", selection)
    assert result.ret == 0
    assert planned(result)[0] == (
        "at least 1 instance; max_instances is 1, "
        f"probably too few: {provision} more with smoke_instance_factory"
    )
    # The run itself is not refused: a factory need not be called.
    assert here.fake("-k", selection).ret == pytest.ExitCode.TESTS_FAILED
    assert planned(here.fake(PLAN, "-k", "test_around or test_perhaps"))[0] == (
        "at least 1 instance; max_instances is 1"
    )


def test_attached_nothing_is_needed(here: Project) -> None:
    assert planned(here.set(instance=SOMEBODY).live(PLAN)) == [
        f"at least 0 instances: the run is attached to {SOMEBODY}"
    ]


def test_of_a_replay_the_spec_is_what_was_recorded(project: Project) -> None:
    project.suite("bare")
    write(project.path / "recordings", "test_it.py::test_one", says("hello", "Hi."))
    project.write(
        "test_it.py",
        "import pytest\ndef test_one(smoke_instance): ...\n"
        "@pytest.mark.hydra_smoke_live\ndef test_two(smoke_instance): ...\n",
    )
    lines = planned(project.fake(PLAN, "--hydra-smoke-scenario=recordings"))
    assert lines[0] == "at least 1 instance; max_instances is 4"
    assert lines[-1] == "  not counted: tests that a marker skips, or may skip: 1"


def test_a_plan_of_wrong_settings_is_refused(here: Project) -> None:
    assert problems(here.set(scope="galaxy").live(PLAN))[0].startswith("scope = 'galaxy'")
    assert here.live(PLAN, "--hydra-smoke-fake").ret == pytest.ExitCode.USAGE_ERROR
    result = here.run(PLAN)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {PLAN} has no effect without --hydra-smoke (live) or *"])


def test_a_plan_shows_no_token(here: Project) -> None:
    # `planned` sees that no test ran, and `run` that the token is nowhere.
    here.set(token=TOKEN).write("test_it.py", f"def test_{TOKEN}(smoke_instance): ...")
    assert "*" in planned(here.live(PLAN))[-1]


TOO_MANY = (
    "these tests need at least 4 instances, and max_instances is 3: nothing was provisioned. "
    "Raise it (set HYDRA_SMOKE_MAX_INSTANCES, or max_instances = 4 in [[]tool.hydra-smoke[]]), run "
    "fewer tests (-k, -m), have more of them share one (scope). --hydra-smoke --hydra-smoke-plan "
    "lists what is needed"
)


def test_more_than_max_instances_are_refused_before_the_first_boot(
    here: Project, router: FakeRouter
) -> None:
    result = here.at(router, max_instances=3).live()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {TOO_MANY}"])
    assert count(router, "provision") == 0


def test_in_workers_too(here: Project, router: FakeRouter) -> None:
    result = here.at(router, max_instances=3).live("-p", "xdist", "-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines([f"*{TOO_MANY}*"])
    assert "INTERNALERROR" not in result.stdout.str()
    assert count(router, "provision") == 0


def test_the_refusal_names_the_bundled_checks(project: Project, router: FakeRouter) -> None:
    result = project.suite("bare").at(router, max_instances=1).live()
    result.stderr.fnmatch_lines(["*, or leave out the bundled checks (bundled_checks = false). *"])
    assert count(router, "provision") == 0
    project.set(max_instances=2).live().assert_outcomes(passed=ALL)
