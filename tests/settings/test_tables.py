"""Whose table a run of several folders reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugin_tools import Project
from settings_tools import refused

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def monorepo(live: Project) -> Project:
    """Two services with a table each, and tests of the whole without one."""
    for name in ("agent", "billing"):
        live.write(
            f"services/{name}/pyproject.toml", f'[tool.hydra-smoke]\nagent_name = "{name}"\n'
        )
        live.write(f"services/{name}/tests/test_{name}.py", "def test_one(smoke_instance): ...")
    live.write("pyproject.toml", "[project]\nname = 'whole'")
    return live


def name_of(project: Project, *places: str) -> str | None:
    """Return the agent's name, by the table that a run of these tests reads."""
    named = [project.path / place for place in places]
    return load({}, project.path, fake=True, places=named).config.agent_name


def test_tests_that_are_named_have_the_table_of_their_own(
    monorepo: Project, router: FakeRouter
) -> None:
    monorepo.at(router).table('agent_name = "whole"')
    for place in ("services/agent", "services/agent/tests", "services/agent/tests/test_agent.py"):
        assert name_of(monorepo, place) == "agent"
    result = monorepo.live("services/agent", "services/agent/tests/test_agent.py::test_one")
    result.assert_outcomes(passed=1)
    assert router.instances[0].agent_name == "agent"
    file = os.path.join("services", "agent", "pyproject.toml")
    result.says(f"hydra-smoke settings: agent_name agent ({file}), *")
    # Without one of their own, that of the folder counts.
    (monorepo.path / file).write_text("", "utf-8")
    assert name_of(monorepo, "services/agent") == "whole"
    result = monorepo.fake("pytest_hydrasmoke/checks/test_chat.py", "-k", "nothing")
    result.says("hydra-smoke settings: agent_name whole (pyproject.toml)*")


def test_tests_of_different_tables_are_refused(monorepo: Project) -> None:
    [problem] = refused(monorepo, "services/agent", "services/billing", "test_mixed.py")
    files = [monorepo.path / "services" / name / "pyproject.toml" for name in ("agent", "billing")]
    assert problem == (
        f"each of {files[0]}, {files[1]} has a table [tool.hydra-smoke] for some of the tests of "
        "this run, and a run has one set of settings: run pytest once for each of them"
    )


def not_read(monorepo: Project, *names: str) -> str:
    """Return the beginning of the error about tables that a run has not read, as a pattern."""
    files = [monorepo.path / "services" / name / "pyproject.toml" for name in names]
    return (
        f"*tests of this run have a table [[]tool.hydra-smoke[]] of their own, which was not read: "
        f"*{', *'.join(map(str, files))}*"
    )


@pytest.mark.parametrize(
    ("switch", "named"),
    [
        ("--hydra-smoke-fake", (".",)),
        pytest.param("--hydra-smoke", ("-p", "xdist", "-n1"), marks=pytest.mark.kill),
    ],
    ids=["the fake", "workers"],
)
def test_tables_below_are_not_left_unread_in_silence(
    monorepo: Project, router: FakeRouter, switch: str, named: tuple[str, ...]
) -> None:
    result = monorepo.at(router).run(switch, *named, ret=pytest.ExitCode.USAGE_ERROR)
    words = result.stdout if "xdist" in named else result.stderr
    how = (
        "A run has one set of settings: name the tests of one table, as in pytest --hydra-smoke "
        "services/agent, and run pytest once for each, or have one table for all of them, in "
    )
    there = f"{monorepo.path}/pyproject.toml*"
    words.fnmatch_lines([f"{not_read(monorepo, 'agent', 'billing')}. {how}{there}"])
    assert router.instances == ()


def test_the_table_of_the_folder_does_not_stand_in_for_one_below(
    monorepo: Project, router: FakeRouter
) -> None:
    monorepo.at(router, bundled_checks="false").table('agent_name = "whole"')
    for named, files in (
        ("services", ["agent", "billing"]),
        ("--ignore=services/billing", ["agent"]),
    ):
        result = monorepo.live("test_mixed.py", "services", named)
        result.is_refused(not_read(monorepo, *files))
    # A table of no smoke test of the run is none of its matter.
    monorepo.write("services/billing/tests/test_billing.py", "def test_one(): ...")
    monorepo.live("--deselect=services/agent", passed=4, deselected=1)


def test_testpaths_decide_whose_table_is_read(monorepo: Project) -> None:
    monorepo.write("pytest.ini", "[pytest]\ntestpaths = services/agent/tests")
    monorepo.fake("-k", "nothing").says("hydra-smoke settings: agent_name agent *")
    monorepo.write("pytest.ini", "[pytest]\ntestpaths = services/*")
    [problem] = refused(monorepo)
    assert "services/agent/pyproject.toml" in Path(problem.split(",")[0]).as_posix()


def test_tests_may_have_names_that_no_file_can_have(monorepo: Project) -> None:
    name = "x" * 300
    told = f"ERROR: file or directory not found: {name}"
    assert told in monorepo.run("--hydra-smoke-fake", name, ret=4).errlines
    # A test's name has the whole text of its parameter.
    named = f"@pytest.mark.parametrize('it', [1], ids=['{name}'])"
    test = f"{named}\ndef test_one(smoke_instance, it): ..."
    monorepo.write("test_long.py", f"import pytest\n\n{test}")
    monorepo.run("--hydra-smoke-fake", f"test_long.py::test_one[{name}]", passed=1)


def test_a_broken_file_of_the_tests_is_told(monorepo: Project) -> None:
    file = monorepo.write("services/agent/pyproject.toml", "tool = 1")
    with pytest.raises(ConfigError) as caught:
        load({}, monorepo.path, fake=False, places=[file.parent])
    assert f"[tool.hydra-smoke] of {file} can't be read: " in str(caught.value)
