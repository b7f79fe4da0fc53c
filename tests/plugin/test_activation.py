"""Switching on, and what happens without."""

from __future__ import annotations

import os
import sys

import pytest
from inner import ALONE, only, without_others
from plugin_tools import SOMEBODY, TOKEN, Project, count, problems

from pytest_hydrasmoke import plugin
from pytest_hydrasmoke._options import flag
from pytest_hydrasmoke.fake import FakeRouter

REASON = "smoke tests run with --hydra-smoke (live) or --hydra-smoke-fake (the bundled fake)"


@pytest.mark.parametrize("settings", ["right", "wrong"])
def test_without_a_switch_smoke_tests_are_skipped_with_a_reason_that_names_both(
    project: Project, router: FakeRouter, settings: str
) -> None:
    project.suite("mixed").at(router)
    if settings == "wrong":
        project.set(url="nowhere", scope="galaxy").table("no_such_key = 1")
    result = project.run("-rs", "--strict-markers")
    # And no bundled check is collected.
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED * {REASON}"])
    result.stdout.no_fnmatch_line("*hydra-smoke:*")
    assert router.requests == ()


@pytest.mark.parametrize("switch", ["--hydra-smoke", "--hydra-smoke-fake"])
def test_on_windows_a_switch_is_an_error_and_without_one_all_is_as_elsewhere(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    monkeypatch.setattr(plugin, "ON_WINDOWS", True)
    project.suite("mixed").at(router)
    result = project.run(switch)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    words = "ERROR: smoke tests run on Linux and macOS: on Windows, run them in WSL"
    assert result.errlines[0] == words
    assert router.requests == ()
    project.run("test_mixed.py").assert_outcomes(passed=2, skipped=1)


def test_without_a_switch_every_smoke_fixture_skips_and_marks_its_test(project: Project) -> None:
    result = project.suite("everything").run("-rs")
    result.assert_outcomes(skipped=16)
    assert sum(REASON in line for line in result.stdout.lines) >= 1
    project.run("-m", "hydra_smoke").assert_outcomes(skipped=8, deselected=8)


@pytest.mark.parametrize(
    ("expression", "names"),
    [("hydra_smoke", ["test_smoke"]), ("not hydra_smoke", ["test_plain", "test_offline"])],
)
def test_the_marker_selects(project: Project, expression: str, names: list[str]) -> None:
    result = project.suite("mixed").run("-m", expression, "--collect-only", "-q")
    assert [line.partition("::")[2] for line in result.stdout.lines if "::" in line] == names


def test_the_marker_is_known(project: Project) -> None:
    project.suite("mixed").run("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.hydra_smoke: a smoke test *"]
    )


@pytest.mark.parametrize("option", ["url=x", "url=", "agent_url=x", "agent_api=x", "scenario=x"])
def test_an_option_without_a_switch_is_a_usage_error(project: Project, option: str) -> None:
    given = flag(option)
    result = project.suite("mixed").run(given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    of_the_fake = not option.startswith("url")
    switch = "--hydra-smoke (live) or --hydra-smoke-fake (the bundled fake)"
    switch = "--hydra-smoke-fake" if of_the_fake else switch
    name = given.partition("=")[0]
    result.stderr.fnmatch_lines([f"ERROR: {name} has no effect without {switch}"])


@pytest.mark.parametrize("switch", [[], ["--hydra-smoke"], ["--hydra-smoke-fake"]])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(
    project: Project, switch: list[str]
) -> None:
    # `run` sees to it that the output does not hold the token.
    result = project.suite("mixed").run(*switch, "--hydra-smoke-token", TOKEN)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --hydra-smoke-token *"])
    if switch:
        result.stderr.fnmatch_lines(
            ["*set HYDRA_SMOKE_TOKEN in the environment, or give --hydra-smoke-token-file"]
        )


def test_the_value_of_an_option_does_not_move_the_rootdir(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("suite/test_it.py", "def test_it(smoke_config): ...\n")
    project.write("words.toml", 'reply = "Ready"\n')
    monkeypatch.chdir(project.path / "suite")
    option, value = "--hydra-smoke-scenario", os.path.join("..", "words.toml")
    result = project.fake(option, value, ".")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    moved = f"*{option} {value} makes {project.path} pytest's rootdir, *: write {option}={value}"
    result.stderr.fnmatch_lines([moved])
    # Where the rootdir is the same without it, nothing is wrong.
    project.fake(f"{option}={value}", ".").assert_outcomes(passed=1)
    project.write("suite/own.toml", 'reply = "Ready"\n')
    project.fake(option, "own.toml", ".").assert_outcomes(passed=1)
    project.fake(option, value, "..").assert_outcomes(passed=1)
    project.fake("--rootdir=..", f"{option}={value}", ".").assert_outcomes(passed=1)
    project.write("pytest.ini", "[pytest]\n")
    project.fake(option, value, ".").assert_outcomes(passed=1)


LIVE_ONLY = {
    "url": "the fake has an address of its own",
    "token_file": "the fake has a token of its own",
    "instance": "the fake ends with the run, and so do its instances",
    "keep": "the fake ends with the run, and so do its instances",
    "record": "a recording is of a live router, or of a real agent (--hydra-smoke-agent-url)",
}


def test_live_options_with_the_fake_are_refused(project: Project) -> None:
    result = project.suite("mixed").fake(*(f"{flag(name)}=x" for name in LIVE_ONLY))
    told = [f"{flag(name)} needs --hydra-smoke: {why}" for name, why in LIVE_ONLY.items()]
    assert sorted(problems(result)) == sorted(told)


def test_a_scenario_with_a_live_run_is_refused(project: Project, router: FakeRouter) -> None:
    result = project.suite("mixed").at(router).live("--hydra-smoke-scenario=default")
    assert problems(result) == [
        "--hydra-smoke-scenario needs --hydra-smoke-fake: a live router has no scenario"
    ]


def test_nothing_but_the_option_makes_a_run_a_fake_one(
    project: Project, router: FakeRouter
) -> None:
    project.table("hydra_smoke_fake = true")
    assert "unknown key hydra_smoke_fake" in problems(project.suite("mixed").at(router).live())[0]
    project.write("pyproject.toml", "")
    result = project.set(fake=1, run_id="run").live("test_mixed.py")
    result.assert_outcomes(passed=3)
    assert count(router, "provision") == 1
    result.stdout.fnmatch_lines(
        [f"hydra-smoke: live router {router.url}, run id run", "live router, run run: *"]
    )


def test_the_fake_needs_no_settings_and_heeds_no_live_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_USAGE_SETTLE")
    project.suite("mixed").set(url="http://router.example", token_file="/no", instance=SOMEBODY)
    project.set(token="short")
    result = project.fake("test_mixed.py")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "hydra-smoke: the bundled FAKE router at http://127.0.0.1:*, run id smoke-*",
            "fake router, run smoke-*: provisioned 1, deleted 1, kept 0, leaked 0",
        ]
    )
    result.stdout.no_fnmatch_line("*hydra-smoke settings*")
    assert project.report()["agent"] is None


def test_the_fake_takes_other_settings(project: Project) -> None:
    project.suite("mixed").set(run_id="mine")
    options = ("--hydra-smoke-agent-name=bob", "--hydra-smoke-scenario=default")
    result = project.fake(*options, "test_mixed.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "hydra-smoke: *, run id mine",
            (
                "hydra-smoke settings: agent_name bob (option), run_id mine (environment), "
                "scenario default (option), usage_settle 0.3 (environment)"
            ),
        ]
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("stall", "ChatTimeoutError: the turn did not end within 1 s"),
        ("end", "ChatError: the reply was cut*"),
    ],
)
def test_a_silent_agent_is_another_than_one_that_ends(
    project: Project, how: str, words: str
) -> None:
    project.write("own.toml", f'agent_dies = "{how}"')
    project.set(chat_timeout=1).write(
        "test_it.py", "def test_it(smoke_instance): smoke_instance.chat('Are you there?')"
    )
    result = project.fake("--hydra-smoke-scenario=own.toml", "test_it.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines([f"E *{words}"])


def test_an_unknown_scenario_is_refused(project: Project) -> None:
    [problem] = problems(project.suite("mixed").fake("--hydra-smoke-scenario=wild"))
    words = "scenario = 'wild' (option): there is no scenario 'wild': give one of default, "
    assert problem.startswith(words)
    assert problem.endswith(", a .toml file, or a folder of recordings")


def test_what_is_wrong_in_a_scenario_is_told_with_the_rest(project: Project) -> None:
    project.suite("mixed").table('scenario = "own.toml"', 'scope = "galaxy"')
    project.write("own.toml", "row_afer = 1\nreply = 2\n")
    found = problems(project.fake())
    assert len(found) == 2
    assert found[0].startswith("scope = 'galaxy' (pyproject.toml): ")
    words = (
        "reply is 2; it should be a valid string; unknown key row_afer (did you mean row_after?)"
    )
    assert found[1].startswith("scenario = ")
    assert found[1].endswith(f"own.toml: {words}")
    project.table("scenario = 5")
    [problem] = problems(project.fake())
    assert problem == "scenario = '5' (pyproject.toml): must be a valid string"


SAYS = """
def test_says(smoke_instance, smoke_fake):
    assert smoke_instance.chat("hello").text == "{}"
    assert smoke_fake.scenario.reply == "I am ready."
"""


def test_a_scenario_is_played(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("test_says.py", SAYS.format("Who else?"))
    project.write("else/own.toml", 'reply = "Who else?"\n')
    chosen = "--hydra-smoke-scenario=else/own.toml"
    assert project.fake(chosen, "test_says.py").ret == 0
    # In a table, paths are relative to its file.
    project.write("else/pyproject.toml", '[tool.hydra-smoke]\nscenario = "own.toml"\n')
    project.write("else/test_says.py", SAYS.format("Who else?"))
    monkeypatch.chdir(project.path / "else")
    assert project.fake("test_says.py").ret == 0
    assert project.set(scenario="goose").fake("test_says.py").ret == 1


def test_a_scenario_of_the_environment_does_not_disturb_a_live_run(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router).set(scenario="wild")
    assert project.live("test_mixed.py").ret == 0


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
    result = project.pytester.run(sys.executable, "-c", code, *only(), "-s", "test_it.py")
    # Garbage collection is the suite's own affair.
    garbage, loaded = "GARBAGE True False", "LOADED *'httpx', *'pydantic', *'uvicorn'[]]"
    result.stdout.fnmatch_lines(["*= 1 skipped in *", "LOADED []", garbage])
    result.stdout.fnmatch_lines(["LOADED []", "*= 1 passed in *", loaded, garbage])


def test_the_plugin_can_be_blocked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALONE[0])
    run = project.suite("mixed").pytester.runpytest_inprocess
    without = (*without_others(), "-p", "no:hydrasmoke")
    run(*without).assert_outcomes(passed=1, errors=2)
    assert run(*without, "--hydra-smoke").ret == pytest.ExitCode.USAGE_ERROR


TELLS_ONLY = [
    "--help",
    "--version",
    "--markers",
    "--fixtures",
    "--fixtures-per-test",
    "--collect-only",
    "--setup-plan",
    "--cache-show",
]


@pytest.mark.parametrize("option", TELLS_ONLY)
def test_what_only_tells_asks_for_no_settings_and_touches_nothing(
    project: Project, router: FakeRouter, option: str
) -> None:
    project.suite("mixed").at(router, scope="galaxy")
    result = project.live(option, "test_mixed.py")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*provisioned*")
    assert router.requests == ()


@pytest.mark.kill
def test_set_up_plan_in_workers_touches_nothing(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router)
    result = project.run("-p", "xdist", "--hydra-smoke", "--setup-plan", "-n1", "test_mixed.py")
    assert "INTERNALERROR" not in result.stdout.str()
    assert router.requests == ()
