"""Words for what is set in the wrong place, or twice."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from plugin_tools import Project

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._options import SECRETS, SETTINGS, WITHOUT_OPTION, flag
from pytest_hydrasmoke.fake import FakeRouter

CHATS = "def test_it(smoke_instance, smoke_config): print(smoke_config.url)\n"


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    project.suite("bare").at(router).write("test_it.py", CHATS)
    return project


@pytest.mark.parametrize(
    ("switch", "other", "booted"),
    [("--hydra-smoke", "--hydra-smoke-fake", 1), ("--hydra-smoke-fake", "--hydra-smoke", 0)],
)
def test_the_command_line_beats_addopts(
    here: Project, router: FakeRouter, switch: str, other: str, booted: int
) -> None:
    here.write("pytest.ini", f"[pytest]\naddopts = {other}\n")
    result = here.run(switch, "test_it.py")
    result.assert_outcomes(passed=1)
    assert len(router.instances) == booted
    words = f"{other} of addopts is left out, as {switch} is on the command line"
    result.stdout.fnmatch_lines([f"hydra-smoke: WARNING: {words}"])


def test_both_on_the_command_line_or_both_in_a_file_are_an_error(
    here: Project, router: FakeRouter
) -> None:
    both = "*--hydra-smoke and --hydra-smoke-fake are both given: keep the one you mean"
    result = here.live("--hydra-smoke-fake")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([both])
    here.write("pytest.ini", "[pytest]\naddopts = --hydra-smoke --hydra-smoke-fake\n")
    here.run("test_it.py").stderr.fnmatch_lines([both])
    assert router.requests == ()


def test_a_setting_in_pytest_s_own_file_gets_a_hint(here: Project) -> None:
    here.write("pytest.ini", "[pytest]\nhydra_smoke_url = https://router.example\n")
    result = here.live("test_it.py")
    words = "hydra_smoke_url in *pytest.ini has no effect: set HYDRA_SMOKE_URL, or url in *"
    result.stdout.fnmatch_lines([f"hydra-smoke: WARNING: {words}"])


@pytest.mark.parametrize("name", [WITHOUT_OPTION[0], WITHOUT_OPTION[-1]])
def test_an_option_that_there_is_not_names_the_variable(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given = f"{flag(name)}=a-made-up-value"
    monkeypatch.setattr("sys.argv", ["pytest", given])
    result = project.suite("bare").fake(given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = f"{flag(name)} is no option: set HYDRA_SMOKE_{name.upper()}, or {name} in [[]tool.*"
    result.stderr.fnmatch_lines([f"ERROR: {words}"])
    assert "a-made-up-value" not in result.stderr.str()


def test_every_setting_has_an_option_or_words_for_one() -> None:
    assert {*SETTINGS, *WITHOUT_OPTION, *SECRETS} == {*HydraSmokeConfig.model_fields}


def test_the_help_shows_what_an_option_may_be(project: Project) -> None:
    result = project.suite("bare").run("--help")
    result.stdout.fnmatch_lines(
        [
            "*--hydra-smoke-ready-timeout=SECONDS*",
            "*--hydra-smoke-deadline=SECONDS*",
            "*--hydra-smoke-keep={never,on-failure,always}*",
            "*--hydra-smoke-scenario=NAME|FILE|FOLDER*",
        ]
    )
    text = result.stdout.str()
    assert all(flag(name) in text for name in SETTINGS)
    assert "max-instances" not in text
    assert "--hydra-smoke-token " not in text


def test_the_command_tells_its_version(project: Project) -> None:
    result = project.command("--version")
    assert result.ret == 0
    assert result.outlines == [f"hydra-smoke {version('pytest-hydrasmoke')}"]
