"""Which of the bundled checks are collected, wherever pytest is called."""

from __future__ import annotations

import venv
from collections import Counter
from pathlib import Path

import pytest
from plugin_tools import ALL, CHECKS, FILES, SOMEBODY, Project, count, nothing_left

import pytest_hydrasmoke
from pytest_hydrasmoke.fake import FakeRouter

CHAT, INSTANCE = FILES["test_chat.py"], FILES["test_instance.py"]

# Where a few of them show as much as all, beside the tests of a suite.
SOME = ("-k", "failing or chat_answers or unknown_key_is_not or echoed")


def collected(project: Project, *arguments: str) -> list[str]:
    """Return the node ids that a switched-on call collects."""
    result = project.fake("--collect-only", "-q", *arguments)
    return [line for line in result.stdout.lines if "::" in line]


# Without arguments: beside the project's own


def test_in_an_empty_folder_they_pass(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, max_instances=2).live(ret=0, passed=ALL)
    # One that they share, and one to be deleted: what the router refuses needs no room.
    assert len(router.instances) == 2
    ids = [it["id"] for it in project.report()["tests"]]
    found = Counter(it.partition("::")[0] for it in ids)
    assert found == {f"{CHECKS}/{file}": number for file, number in FILES.items()}


def test_own_tests_come_first_and_a_virtual_environment_within_is_no_hindrance(
    project: Project,
) -> None:
    project.suite("mixed")
    venv.create(project.path / ".venv", symlinks=True)
    # As if the package were installed in there.
    lib = next((project.path / ".venv").glob("lib/*/site-packages"), project.path / ".venv")
    (lib / "pytest_hydrasmoke").symlink_to(Path(pytest_hydrasmoke.__file__).parent)
    found = collected(project)
    assert len(found) == 3 + ALL
    assert found[0] == "test_mixed.py::test_plain"
    assert found[3].startswith(CHECKS)
    assert len(collected(project, f"{CHECKS}/test_instance.py")) == INSTANCE


OWN_RULES = {
    "pytest.ini": """
[pytest]
filterwarnings = error
python_files = check_*.py
python_classes = Describe*
python_functions = it_*
testpaths = tests
""",
    "tests/check_router.py": """
class DescribeRouter:
    def it_has_a_spec(self, smoke_spec):
        assert smoke_spec is not None

    def test_is_no_test_here(self):
        raise AssertionError

def it_adds_up():
    assert 1 + 1 == 2
""",
}


def test_rules_of_the_project_s_own_do_not_concern_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = collected(project.write_all(OWN_RULES))
    assert found[:2] == [
        "tests/check_router.py::DescribeRouter::it_has_a_spec",
        "tests/check_router.py::it_adds_up",
    ]
    assert len(found) == 2 + ALL
    # Nor does it matter that pytest is called in a folder below the root.
    monkeypatch.chdir(project.path / "tests")
    assert collected(project) == found
    project.fake("-k", "check_router or echoed", passed=2 + 1, deselected=ALL - 1)


CONFTEST = """
import pytest

@pytest.fixture
def smoke_spec(smoke_spec):
    return smoke_spec.model_copy(update={"agent_name": "of-the-conftest"})

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "test_unknown_key_is_not_found":
            item.add_marker(pytest.mark.skip(reason="of the conftest"))
"""


def test_a_root_conftest_applies_to_them(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router).write("conftest.py", CONFTEST)
    project.live("-rs", *SOME, passed=2, skipped=1).says("SKIPPED *of the conftest")
    assert router.instances[0].agent_name == "of-the-conftest"


def test_a_broken_project_hides_nothing(project: Project) -> None:
    project.suite("bare").write("test_broken.py", "import no_such_module\n")
    project.fake(ret=pytest.ExitCode.INTERRUPTED, errors=1)


# Selecting and naming


CHOSEN: list[tuple[list[str], int, int]] = [
    # Path arguments leave them out, where they name none of them.
    (["."], 3, 0),
    (["--deselect", f"{CHECKS}/test_refusals.py"], 3, ALL - FILES["test_refusals.py"]),
    (["--pyargs", "pytest_hydrasmoke.checks.test_instance"], 0, INSTANCE),
    (["--pyargs", "pytest_hydrasmoke.checks.test_chat::test_chat_answers"], 0, 1),
    ([f"{CHECKS}/test_refusals.py::test_overlong_field_is_rejected"], 0, 3),
    ([f"{CHECKS}/test_refusals.py::test_overlong_field_is_rejected[tier_id-80]"], 0, 1),
    ([f"{CHECKS}/test_chat.py", f"{CHECKS}/test_chat.py::test_chat_answers"], 0, CHAT),
    ([f"{CHECKS}/test_chat.py::test_chat_answers", f"{CHECKS}/test_instance.py"], 0, 1 + INSTANCE),
    ([f"{CHECKS}::test_chat_answers"], 0, 1),
    ([f"{CHECKS}/test_deletion.py", "test_mixed.py::test_plain"], 1, 1),
    ([f"{CHECKS}/", f"{CHECKS}/test_deletion.py", f"{CHECKS}/test_deletion.py"], 0, ALL),
]


@pytest.mark.parametrize(("arguments", "own", "bundled"), CHOSEN)
def test_they_can_be_chosen(project: Project, arguments: list[str], own: int, bundled: int) -> None:
    found = collected(project.suite("mixed"), *arguments)
    of_checks = [one.startswith(f"{CHECKS}/") for one in found]
    assert (of_checks.count(False), of_checks.count(True)) == (own, bundled)


NO_FILE = f"no bundled checks in {CHECKS}/test_weather.py: there are {', '.join(FILES)}"
NO_TEST = "no bundled check test_chta_answers: there are *test_chat_answers*"


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (f"{CHECKS}/test_weather.py", NO_FILE),
        ("pytest_hydrasmoke.checks.test_weather", NO_FILE),
        (f"{CHECKS}/test_chat.py::test_chta_answers", NO_TEST),
        (f"{CHECKS}::test_chta_answers", NO_TEST),
    ],
)
def test_an_unknown_one_is_told_with_those_there_are(
    project: Project, argument: str, words: str
) -> None:
    project.suite("mixed").fake("--pyargs", argument).is_refused(f"ERROR: {words}")


def test_last_failed_of_both_and_of_the_bundled_ones(project: Project, router: FakeRouter) -> None:
    project.suite("bare").at(router, expect_text="no such words")
    failing = "def test_fails(): raise AssertionError\ndef test_passes(): ..."
    project.write("test_failing.py", failing)
    project.live(*SOME, failed=2, passed=1 + 2)
    result = project.live("--lf", "-v", failed=2)
    result.says(f"{CHECKS}/test_chat.py::test_chat_answers*", "FAILED*")
    assert "PASSED" not in result.stdout.str()
    project.write("test_failing.py", "def test_passes_now(): ...\n")
    project.set(expect_text="ready").live("--lf", passed=1)
    # Nothing failed last: everything again.
    project.live("--lf", *SOME, passed=1 + 3)


# The setting


def test_the_core_is_one_boot_one_chat_its_usage_and_a_deletion(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, bundled_checks="core")
    project.live("--ignore=test_mixed.py", "-v", passed=2)
    assert [count(router, it) for it in ("provision", "chat")] == [1, 1]
    assert nothing_left(router)
    # Where all are named it is the same, and where others are named they are there.
    named = ("pytest_hydrasmoke.checks", f"{CHECKS}/test_deletion.py")
    project.live("--pyargs", *named, passed=2 + 1)


@pytest.mark.parametrize(("given", "there"), [("Core", 2), ("TRUE", ALL), ("0", 0)], ids=str)
def test_the_setting_has_three_values(
    project: Project, router: FakeRouter, given: str, there: int
) -> None:
    project.suite("mixed").at(router, bundled_checks=given, instance=SOMEBODY)
    # Nothing is there: what matters is how many tests there are.
    result = project.live("--ignore=test_mixed.py", "-x")
    assert f"collected {there} item" in result.stdout.str()
    # It does not forbid to name them.
    result = project.live("--collect-only", "-q", f"{CHECKS}/test_deletion.py")
    assert f"{CHECKS}/test_deletion.py::" in result.stdout.str()
