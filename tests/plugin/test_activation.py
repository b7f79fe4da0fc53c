"""Switching on, what happens without, and words for what is set in the wrong place, or twice."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

import pytest
from inner import ALONE, only, without_others
from plugin_tools import SOMEBODY, TOKEN, Project, Ran, count, problems

from pytest_hydrasmoke import HydraSmokeConfig, plugin
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._options import SECRETS, SETTINGS, WITHOUT_OPTION, flag
from pytest_hydrasmoke._plugin.begin_run import _moved_rootdir
from pytest_hydrasmoke.fake import FakeRouter

REASON = "smoke tests run with --hydra-smoke (live) or --hydra-smoke-fake (the bundled fake)"

# Without a switch


def test_without_a_switch_smoke_tests_are_skipped_with_a_reason_that_names_both(
    project: Project, router: FakeRouter
) -> None:
    # Whatever settings are wrong. And no bundled check is collected.
    project.suite("mixed").at(router, url="nowhere", scope="galaxy").table("no_such_key = 1")
    result = project.run("-rs", "--strict-markers", passed=2, skipped=1).says(f"SKIPPED * {REASON}")
    result.stdout.no_fnmatch_line("*hydra-smoke:*")
    # The checks are skipped, too, where they are named.
    result = project.run("--pyargs", "pytest_hydrasmoke.checks")
    assert set(result.parseoutcomes()) == {"skipped"}
    assert router.requests == ()


FIXTURES = [
    f"{kind}smoke_{name}"
    for kind in ("", "async_")
    for name in ("instance", "instance_factory", "client")
]
FIXTURES += ["smoke_spec", "smoke_config"]
# Asked for at run time it makes no marker, but is skipped all the same.
EVERYTHING = f"""
import pytest

@pytest.mark.parametrize("name", {FIXTURES})
def test_by_name(name, request):
    assert request.getfixturevalue(name) is not None
"""
EVERYTHING += "".join(f"def test_{name}({name}): ...\n" for name in FIXTURES)


def test_without_a_switch_every_smoke_fixture_skips_and_marks_its_test(project: Project) -> None:
    project.suite("bare").write("test_everything.py", EVERYTHING)
    result = project.run("-rs", skipped=16)
    assert any(REASON in line for line in result.stdout.lines)
    project.run("-m", "hydra_smoke", skipped=8, deselected=8)


def test_on_windows_a_switch_is_an_error_and_without_one_all_is_as_elsewhere(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "ON_WINDOWS", True)
    project.suite("mixed").at(router)
    words = "ERROR: smoke tests run on Linux and macOS: on Windows, run them in WSL"
    for run in (project.live, project.fake):
        result = run()
        assert (result.ret, result.errlines[0]) == (pytest.ExitCode.USAGE_ERROR, words)
    assert router.requests == ()
    project.run("test_mixed.py", passed=2, skipped=1)


NO_EFFECT = "has no effect without --hydra-smoke"
ANY = f"{NO_EFFECT} (live) or --hydra-smoke-fake (the bundled fake)"
TO_ALL = "would show the token to everybody on this machine: set HYDRA_SMOKE_"
FILE = "TOKEN in the environment, or give --hydra-smoke-token-file"
BOTH = "--hydra-smoke and --hydra-smoke-fake are both given: keep the one you mean"
WRONG = {
    "url=x": f"--hydra-smoke-url {ANY}",
    "url=": f"--hydra-smoke-url {ANY}",
    "agent_url=x": f"--hydra-smoke-agent-url {NO_EFFECT}-fake",
    "scenario=x": f"--hydra-smoke-scenario {NO_EFFECT}-fake",
    "token=SECRET": "--hydra-smoke-token *",
    "--hydra-smoke token=SECRET": f"--hydra-smoke-token {TO_ALL}{FILE}",
    "--hydra-smoke-fake token=SECRET": f"--hydra-smoke-token {TO_ALL}{FILE}",
    "--hydra-smoke-fake agent_token=SECRET": (
        f"--hydra-smoke-agent-token {TO_ALL}AGENT_TOKEN in the environment"
    ),
    "--hydra-smoke --hydra-smoke-fake": BOTH,
    **{
        f"--hydra-smoke-fake {name}=SECRET": (
            f"{flag(name)} is no option: set HYDRA_SMOKE_{name.upper()}, or {name} in [[]tool.*"
        )
        for name in (WITHOUT_OPTION[0], WITHOUT_OPTION[-1])
    },
}


@pytest.mark.parametrize("given", WRONG)
def test_options_that_are_a_usage_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """`Project.run` sees to it that no output holds the token."""
    arguments = [
        it if it.startswith("-") else flag(it) for it in given.replace("SECRET", TOKEN).split()
    ]
    monkeypatch.setattr("sys.argv", ["pytest", *arguments])
    project.suite("mixed").run(*arguments).is_refused(f"ERROR: {WRONG[given]}")


def test_forked_tests_are_refused(project: Project, router: FakeRouter) -> None:
    # As pytest-forked adds it.
    option = "def pytest_addoption(parser): parser.addoption('--forked', action='store_true')"
    project.suite("mixed").at(router).write("conftest.py", option)
    project.live("--forked").is_refused(
        "ERROR: --forked (pytest-forked) runs each test in a child*"
    )
    assert router.requests == ()
    project.run("--forked", "test_mixed.py", passed=2, skipped=1)


def test_every_setting_has_an_option_or_words_for_one() -> None:
    assert {*SETTINGS, *WITHOUT_OPTION, *SECRETS} == {*HydraSmokeConfig.model_fields}


def test_the_plugin_can_be_blocked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALONE[0])
    run = project.suite("mixed").pytester.runpytest_inprocess
    without = (*without_others(), "-p", "no:hydrasmoke")
    run(*without).assert_outcomes(passed=1, errors=2)
    assert run(*without, "--hydra-smoke").ret == pytest.ExitCode.USAGE_ERROR


TELLS_ONLY = {
    "--help": [
        "*--hydra-smoke-ready-timeout=SECONDS*",
        "*--hydra-smoke-deadline=SECONDS*",
        "*--hydra-smoke-keep={never,on-failure,always}*",
        "*--hydra-smoke-scenario=NAME|FILE|FOLDER*",
    ],
    "--version": [],
    "--markers": ["@pytest.mark.hydra_smoke: a smoke test *"],
    "--fixtures": ["*smoke_instance*"],
    "--fixtures-per-test": [],
    "--collect-only": ["*test_smoke*"],
    "--setup-plan": [],
    "--cache-show": [],
}


@pytest.mark.parametrize("option", TELLS_ONLY)
def test_what_only_tells_asks_for_no_settings_and_touches_nothing(
    project: Project, router: FakeRouter, option: str
) -> None:
    project.suite("mixed").at(router, scope="galaxy")
    result = project.live(option, "test_mixed.py", ret=0)
    result.stdout.no_fnmatch_line("*provisioned*")
    assert router.requests == ()
    result.says(*TELLS_ONLY[option])
    if option == "--help":
        text = result.stdout.str()
        assert all(flag(name) in text for name in SETTINGS)
        assert "max-instances" not in text
        assert "--hydra-smoke-token " not in text


@pytest.mark.kill
def test_set_up_plan_in_workers_touches_nothing(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router)
    result = project.run("-p", "xdist", "--hydra-smoke", "--setup-plan", "-n1", "test_mixed.py")
    assert "INTERNALERROR" not in result.stdout.str()
    assert router.requests == ()


LOOK = """
import gc
import sys
import pytest

@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    import pytest_hydrasmoke.plugin
    heavy = {"httpx", "httpcore", "pydantic", "starlette", "anyio", "uvicorn"}
    print("LOADED", sorted(heavy & {*sys.modules}))
    # Some releases of Python 3.12 begin with a few hundred.
    print("GARBAGE", gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def test_heavy_modules_are_imported_only_once_switched_on(project: Project) -> None:
    project.write("conftest.py", LOOK)
    project.write("test_it.py", "def test_it(smoke_instance, smoke_spec): ...")
    # In one process: the second run imports what the first has not.
    code = "import sys, pytest\nfor it in ([], ['--hydra-smoke-fake']):"
    code += "\n    pytest.main([*sys.argv[1:], *it])"
    result = Ran(project.pytester.run(sys.executable, "-c", code, *only(), "-s", "test_it.py"))
    # Garbage collection is the suite's own affair.
    garbage, loaded = "GARBAGE True False", "LOADED *'httpx', *'pydantic', *'uvicorn'[]]"
    result.says("*= 1 skipped in *", "LOADED []", garbage)
    result.says("LOADED []", "*= 1 passed in *", loaded, garbage)


def test_the_command_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"hydra-smoke {version('pytest-hydrasmoke')}\n"


# Which of both


@pytest.mark.parametrize(
    ("switch", "other", "booted"),
    [("--hydra-smoke", "--hydra-smoke-fake", 1), ("--hydra-smoke-fake", "--hydra-smoke", 0)],
)
def test_the_command_line_beats_addopts_and_other_settings_there_get_a_hint(
    project: Project, router: FakeRouter, switch: str, other: str, booted: int
) -> None:
    project.suite("mixed").at(router)
    url = "hydra_smoke_url = https://router.example"
    project.write("pytest.ini", f"[pytest]\naddopts = {other}\n{url}\n")
    result = project.run(switch, "test_mixed.py", passed=3)
    assert len(router.instances) == booted
    words = f"{other} of addopts is left out, as {switch} is on the command line"
    hint = "hydra_smoke_url in *pytest.ini has no effect: set HYDRA_SMOKE_URL, or url in *"
    result.says(*(f"hydra-smoke: WARNING: {it}" for it in (words, hint)))
    # Both in a file are an error.
    seen = len(router.requests)
    project.write("pytest.ini", f"[pytest]\naddopts = {other} {switch}\n")
    project.run("test_mixed.py").is_refused(f"*{BOTH}")
    assert len(router.requests) == seen


def test_nothing_but_the_option_makes_a_run_a_fake_one(
    project: Project, router: FakeRouter
) -> None:
    project.table("hydra_smoke_fake = true")
    assert "unknown key hydra_smoke_fake" in problems(project.suite("mixed").at(router).live())[0]
    project.write("pyproject.toml", "")
    # Nor does a scenario of the environment disturb a live run.
    project.set(fake=1, run_id="run", scenario="wild").live("test_mixed.py", passed=3).says(
        f"hydra-smoke: live router {router.url}, run id run", "live router, run run: *"
    )
    assert count(router, "provision") == 1


def test_the_fake_needs_no_settings_and_heeds_no_live_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_USAGE_SETTLE")
    project.suite("mixed").set(url="http://router.example", token_file="/no", instance=SOMEBODY)
    project.set(token="short")
    result = project.fake("test_mixed.py", passed=3)
    result.says(
        "hydra-smoke: the bundled FAKE router at http://127.0.0.1:*, run id smoke-*",
        "fake router, run smoke-*: provisioned 1, deleted 1, kept 0, leaked 0, unsure 0",
    )
    result.stdout.no_fnmatch_line("*hydra-smoke settings*")
    assert project.report()["agent"] is None


LIVE_ONLY = {
    "url": "the fake has an address of its own",
    "token_file": "the fake has a token of its own",
    "instance": "the fake ends with the run, and so do its instances",
    "keep": "the fake ends with the run, and so do its instances",
    "record": "a recording is of a live router, or of a real agent (--hydra-smoke-agent-url)",
}


def test_options_of_the_other_switch_are_refused(project: Project, router: FakeRouter) -> None:
    result = project.suite("mixed").fake(*(f"{flag(name)}=x" for name in LIVE_ONLY))
    told = [f"{flag(name)} needs --hydra-smoke: {why}" for name, why in LIVE_ONLY.items()]
    assert sorted(problems(result)) == sorted(told)
    assert problems(project.at(router).live("--hydra-smoke-scenario=default")) == [
        "--hydra-smoke-scenario needs --hydra-smoke-fake: a live router has no scenario"
    ]


# Scenarios

SAYS = """
def test_says(smoke_instance, smoke_fake):
    assert smoke_instance.chat("hello").text == "Who else?"
    assert smoke_fake.scenario.reply == "I am ready."
"""


def test_a_scenario_is_played(project: Project) -> None:
    project.set(run_id="mine").write("test_says.py", SAYS)
    project.write("else/own.toml", 'reply = "Who else?"\n')
    chosen = ("--hydra-smoke-scenario=else/own.toml", "--hydra-smoke-agent-name=bob")
    project.fake(*chosen, "test_says.py", ret=0).says(
        "hydra-smoke: *, run id mine",
        (
            "hydra-smoke settings: agent_name bob (option), run_id mine (environment), "
            "scenario else/own.toml (option), usage_settle 0.5 (environment)"
        ),
    )


def test_what_is_wrong_with_a_scenario_is_told_with_the_rest(project: Project) -> None:
    project.suite("mixed").table('scenario = "own.toml"', 'scope = "galaxy"')
    project.write("own.toml", "row_afer = 1\nreply = 2\n")
    scope, found = problems(project.fake())
    assert scope.startswith("scope = 'galaxy' (pyproject.toml): ")
    assert found.startswith("scenario = ")
    words = "reply is 2; it should be a valid string; unknown key row_afer (did you mean row_after?"
    assert found.endswith(f"own.toml: {words})")
    project.table("scenario = 5")
    [problem] = problems(project.fake())
    assert problem == "scenario = '5' (pyproject.toml): must be a valid string"
    [problem] = problems(project.fake("--hydra-smoke-scenario=wild"))
    words = "scenario = 'wild' (option): there is no scenario 'wild': give one of default, "
    assert problem.startswith(words)
    assert problem.endswith(", a .toml file, or a folder of recordings")


OPTION, VALUE = "--hydra-smoke-scenario", os.path.join("..", "words.toml")


def test_the_value_of_an_option_does_not_move_the_rootdir(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("suite/test_it.py", "def test_it(smoke_config): ...\n")
    for folder in ("", "suite/"):
        project.write(f"{folder}words.toml", 'reply = "Ready"\n')
    monkeypatch.chdir(project.path / "suite")
    moved = f"{OPTION} {VALUE} makes {project.path} pytest's rootdir, which changes the names of"
    project.fake(OPTION, VALUE, ".").is_refused(f"*{moved} tests: write {OPTION}={VALUE}")

    def told(*arguments: str) -> str | None:
        return _moved_rootdir(project.pytester.parseconfig(*only(), *arguments))

    assert str(told(OPTION, VALUE, ".")).startswith(moved)
    # Where the rootdir is the same without it, nothing is wrong.
    assert told(f"{OPTION}={VALUE}", ".") is None
    assert told(OPTION, "words.toml", ".") is None
    assert told(OPTION, VALUE, "..") is None
    assert told("--rootdir=..", f"{OPTION}={VALUE}", ".") is None
    project.write("pytest.ini", "[pytest]\n")
    assert told(OPTION, VALUE, ".") is None
