"""Which of the bundled checks are collected, wherever pytest is called."""

from __future__ import annotations

import venv
from pathlib import Path

import pytest
from plugin_tools import ALL, CHECKS, FILES, SOMEBODY, Project, count, nothing_left

import pytest_hydrasmoke
from pytest_hydrasmoke.fake import FakeRouter

CHAT, INSTANCE = FILES["test_chat.py"], FILES["test_instance.py"]

# Where a few of them show as much as all, beside the tests of a suite.
SOME = ("-k", "failing or mixed or check_router or chat_answers or unknown_key_is_not or echoed")


def ids(result: pytest.RunResult) -> list[str]:
    """Return the node ids of `--collect-only -q`."""
    return [line for line in result.stdout.lines if "::" in line]


def collected(project: Project, *arguments: str) -> list[str]:
    """Return the node ids that a switched-on call collects."""
    return ids(project.fake("--collect-only", "-q", *arguments))


# Without arguments: beside the project's own


def test_an_empty_folder_gets_the_checks(project: Project) -> None:
    found = collected(project.suite("bare"))
    assert {file: sum(f"/{file}::" in one for one in found) for file in FILES} == FILES
    assert all(one.startswith(f"{CHECKS}/test_") for one in found)


def test_in_an_empty_folder_they_pass(project: Project, router: FakeRouter) -> None:
    result = project.suite("bare").at(router, max_instances=2).live()
    result.assert_outcomes(passed=ALL)
    assert result.ret == 0
    # One that they share, and one to be deleted: what the router refuses needs no room.
    assert len(router.instances) == 2


def test_own_tests_come_first(project: Project) -> None:
    found = collected(project.suite("mixed"))
    assert len(found) == 3 + ALL
    assert found[0] == "test_mixed.py::test_plain"
    assert found[3].startswith(CHECKS)


def test_a_virtual_environment_within_is_no_hindrance(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router)
    venv.create(project.path / ".venv", symlinks=True)
    # As if the package were installed in there.
    lib = next((project.path / ".venv").glob("lib/*/site-packages"), project.path / ".venv")
    (lib / "pytest_hydrasmoke").symlink_to(Path(pytest_hydrasmoke.__file__).parent)
    project.live(*SOME).assert_outcomes(passed=3)
    assert len(collected(project, f"{CHECKS}/test_instance.py")) == INSTANCE


def test_rules_of_the_project_s_own_do_not_concern_them(project: Project) -> None:
    found = collected(project.suite("own_rules"))
    assert found[:2] == [
        "tests/check_router.py::DescribeRouter::it_has_a_spec",
        "tests/check_router.py::it_adds_up",
    ]
    assert len(found) == 2 + ALL
    project.fake(*SOME).assert_outcomes(passed=2 + 3)


def test_in_a_folder_below_the_root(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.suite("own_rules")
    monkeypatch.chdir(project.path / "tests")
    found = collected(project)
    assert len(found) == 2 + ALL
    assert found[-1].startswith(f"{CHECKS}/")


def test_the_setting_leaves_them_out(project: Project) -> None:
    project.suite("mixed").set(bundled_checks="false")
    result = project.fake("-v")
    # What is told of the instance stands between a test and its outcome.
    assert result.stdout.str().count("PASSED") == 3


def test_the_setting_does_not_forbid_to_name_them(project: Project) -> None:
    project.suite("mixed").set(bundled_checks="false")
    result = project.fake(f"{CHECKS}/test_instance.py", "-k", "unknown_key")
    result.assert_outcomes(passed=1, deselected=INSTANCE - 1)


@pytest.mark.kill
def test_two_workers_run_them_all(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router)
    result = project.run("-p", "xdist", "--hydra-smoke", "-n2")
    result.assert_outcomes(passed=3 + ALL)
    assert result.ret == 0
    assert all(instance.deleted for instance in router.instances)
    provisioned = len(router.instances)
    result.stdout.fnmatch_lines(
        [f"*provisioned {provisioned}, deleted {provisioned}, kept 0, leaked 0"]
    )


# Selecting and naming


CHOSEN: list[tuple[list[str], int, int]] = [
    # Path arguments leave them out, where they name none of them.
    (["test_mixed.py"], 3, 0),
    (["."], 3, 0),
    (["-k", "echoed or plain"], 1, 1),
    (["-m", "hydra_smoke"], 1, ALL),
    (["--deselect", f"{CHECKS}/test_chat.py::test_chat_answers"], 3, ALL - 1),
    (["--deselect", f"{CHECKS}/test_refusals.py"], 3, ALL - FILES["test_refusals.py"]),
    (["--ignore=test_mixed.py"], 0, ALL),
    ([f"{CHECKS}/"], 0, ALL),
    (["--pyargs", "pytest_hydrasmoke.checks"], 0, ALL),
    (["--pyargs", "pytest_hydrasmoke.checks.test_instance"], 0, INSTANCE),
    (["--pyargs", "pytest_hydrasmoke.checks.test_chat::test_chat_answers"], 0, 1),
    ([f"{CHECKS}/test_refusals.py::test_overlong_field_is_rejected"], 0, 3),
    ([f"{CHECKS}/test_refusals.py::test_overlong_field_is_rejected[tier_id-80]"], 0, 1),
    ([f"{CHECKS}/test_chat.py", f"{CHECKS}/test_chat.py::test_chat_answers"], 0, CHAT),
    ([f"{CHECKS}/test_chat.py::test_chat_answers", f"{CHECKS}/test_instance.py"], 0, 1 + INSTANCE),
    ([f"{CHECKS}::test_chat_answers"], 0, 1),
    ([f"{CHECKS}/test_deletion.py", "test_mixed.py"], 3, 1),
    (["test_mixed.py::test_plain", f"{CHECKS}/test_deletion.py"], 1, 1),
    ([CHECKS, f"{CHECKS}/test_deletion.py"], 0, ALL),
    ([f"{CHECKS}/test_deletion.py", f"{CHECKS}/test_deletion.py"], 0, 1),
]


@pytest.mark.parametrize(("arguments", "own", "bundled"), CHOSEN)
def test_they_can_be_chosen(project: Project, arguments: list[str], own: int, bundled: int) -> None:
    found = collected(project.suite("mixed"), *arguments)
    of_checks = [one.startswith(f"{CHECKS}/") for one in found]
    assert (of_checks.count(False), of_checks.count(True)) == (own, bundled)


@pytest.mark.kill
def test_a_named_one_runs_in_a_worker(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router)
    result = project.run(
        "-p", "xdist", "--hydra-smoke", "-n1", f"{CHECKS}/test_chat.py::test_chat_answers"
    )
    result.assert_outcomes(passed=1)
    assert count(router, "provision") == 1


@pytest.mark.parametrize(
    "argument", [f"{CHECKS}/test_weather.py", "pytest_hydrasmoke.checks.test_weather"]
)
def test_an_unknown_file_is_told_with_those_there_are(project: Project, argument: str) -> None:
    result = project.suite("mixed").fake("--pyargs", argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [(f"ERROR: no bundled checks in {CHECKS}/test_weather.py: there are {', '.join(FILES)}")]
    )


@pytest.mark.parametrize("place", [f"{CHECKS}/test_chat.py", CHECKS])
def test_an_unknown_test_is_told_with_those_there_are(project: Project, place: str) -> None:
    result = project.suite("mixed").fake(f"{place}::test_chta_answers")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: no bundled check test_chta_answers: there are *test_chat_answers*"]
    )


def test_named_without_a_switch_they_are_skipped_or_unknown(project: Project) -> None:
    result = project.suite("mixed").run("--pyargs", "pytest_hydrasmoke.checks")
    assert "provisioned" not in result.stdout.str()
    result.assert_outcomes(skipped=ALL)


# What failed last


def test_last_failed_of_both_and_of_the_bundled_ones(project: Project, router: FakeRouter) -> None:
    project.suite("failing").at(router, expect_text="no such words")
    project.live(*SOME).assert_outcomes(failed=2, passed=1 + 2)
    result = project.live("--lf", "-v")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines([f"{CHECKS}/test_chat.py::test_chat_answers*", "FAILED*"])
    assert "PASSED" not in result.stdout.str()
    project.write("test_failing.py", "def test_passes_now(): ...\n")
    project.live("--ff", *SOME).assert_outcomes(failed=1, passed=1 + 2)
    project.set(expect_text="ready")
    project.live("--lf").assert_outcomes(passed=1)
    # Nothing failed last: everything again.
    project.live("--lf", *SOME).assert_outcomes(passed=1 + 3)


# The project's conftest


def test_a_root_conftest_applies_to_them(project: Project, router: FakeRouter) -> None:
    project.suite("checks_conftest").at(router)
    result = project.live("-rs", *SOME)
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *of the conftest"])
    assert router.instances[0].agent_name == "of-the-conftest"


def test_a_broken_project_hides_nothing(project: Project) -> None:
    project.suite("bare").write("test_broken.py", "import no_such_module\n")
    result = project.fake()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)


# Those for after each deployment


def test_the_core_is_one_boot_one_chat_its_usage_and_a_deletion(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, bundled_checks="core")
    project.live("--ignore=test_mixed.py", "-v").assert_outcomes(passed=2)
    assert [count(router, it) for it in ("provision", "chat")] == [1, 1]
    assert nothing_left(router)
    project.live("--pyargs", "pytest_hydrasmoke.checks").assert_outcomes(passed=2)
    # Named, others are there.
    project.live(f"{CHECKS}/test_instance.py").assert_outcomes(passed=INSTANCE)


@pytest.mark.parametrize(("given", "there"), [("Core", 2), ("TRUE", ALL), ("0", 0)], ids=str)
def test_the_setting_has_three_values(
    project: Project, router: FakeRouter, given: str, there: int
) -> None:
    project.suite("mixed").at(router, bundled_checks=given, instance=SOMEBODY)
    # Nothing is there: what matters is how many tests there are.
    result = project.live("--ignore=test_mixed.py", "-x")
    assert f"collected {there} item" in result.stdout.str()
