"""What is wrong with settings, all of it at once and each on a line."""

from __future__ import annotations

import sys

import pytest
from plugin_tools import TOKEN, Project
from settings_tools import refused, resolved, told

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke.fake import FakeRouter


def test_nothing_set(project: Project) -> None:
    assert refused(project.suite("mixed")) == [
        *(
            f"{name} is not set: set HYDRA_SMOKE_{name.upper()}, or "
            f'{name} = "..." in [tool.hydra-smoke]; '
            f"pytest takes --hydra-smoke-{name.replace('_', '-')} too"
            for name in ("url", "manifest_id", "region_id", "tier_id")
        ),
        (
            "the token is not set: set HYDRA_SMOKE_TOKEN (or OPS_BEARER_TOKEN) in the environment, "
            "or HYDRA_SMOKE_TOKEN_FILE; pytest takes --hydra-smoke-token-file too"
        ),
    ]


def test_what_is_missing_is_told_with_what_is_nearly_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(url="https://router.example", region_id="eu", tier_id="small")
    monkeypatch.setenv("HYDRA_SMOKE_TOKN", "a-token-of-a-test")
    found = told(project)
    assert len(found) == 3
    assert found[2] == "HYDRA_SMOKE_TOKN is not a setting: did you mean HYDRA_SMOKE_TOKEN?"


def test_every_problem_is_in_one_message_and_no_router_is_asked(
    live: Project, router: FakeRouter
) -> None:
    live.set(url=router.url, max_instances="many")
    assert len(refused(live)) == 1
    assert router.requests == ()
    live.set(url="http://router.example", token="short", tier_id="", max_instances=0)
    live.table('manifestid = "x"', f'token = "{TOKEN}"', 'scope = "galaxy"')
    found = refused(live, "--hydra-smoke-instance=nobody", "--hydra-smoke-scenario=default")
    starts = [
        "token must not be in [tool.hydra-smoke] of ",
        "[tool.hydra-smoke] of ",
        "--hydra-smoke-scenario needs --hydra-smoke-fake",
        "token (environment): is too short",
        "scope = 'galaxy' (pyproject.toml): must be 'session', 'package', 'module', 'class'",
        "instance = 'nobody' (option): is not a UUID",
        "max_instances = '0' (environment): must be greater than or equal to 1",
        (
            "url = 'http://router.example' would send the token in clear: use https://, or set "
            "allow_http = true"
        ),
    ]
    assert [any(line.startswith(start) for line in found) for start in starts] == [True] * 8
    assert len(found) == len(starts)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("manifestid", "did you mean manifest_id?"),
        ("tier", "did you mean tier_id?"),
        ("time_out", "did you mean chat_timeout?"),
        ("Keep", "did you mean keep?"),
        ("URL", "did you mean url?"),
        ("zzz", "docs/reference/settings.md lists all keys"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_right_one(
    live: Project, key: str, meant: str
) -> None:
    live.table(f"{key} = 1")
    file = live.path / "pyproject.toml"
    assert told(live) == [f"[tool.hydra-smoke] of {file} has the unknown key {key}: {meant}"]


@pytest.mark.parametrize(
    "text", ["[tool.hydra-smoke\n", "tool = 5", "[tool]\nhydra-smoke = 5", "a = '\udcff'"]
)
def test_a_table_that_can_not_be_read_is_told(live: Project, text: str) -> None:
    file = live.path / "pyproject.toml"
    file.write_text(text, "utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError) as told:
        resolved(live)
    head, problem = told.value.message.splitlines()
    assert head == "hydra-smoke can't start:"
    assert problem.startswith(f"  - [tool.hydra-smoke] of {file} can't be read: ")


HOW_TO_BUDGET = (
    "write name=number, with commas between budgets, such as ready=300,first_event=5. "
    "A name is one of provision, row, "
)
WRONG = [
    ("run_id", "no spaces", "must be 1 to 64 of A to Z, a to z, 0 to 9, dot, underscore and "),
    ("run_id", "x" * 65, "must be 1 to 64 of"),
    ("run_id", "nul", "must not be a device's name on Windows"),
    ("expect_text", "(", "is not a regular expression: "),
    ("instance", "not-a-uuid", "is not a UUID"),
    ("ca_file", "none.pem", "there is no file "),
    # A file whose first bytes nobody can read, whoever asks.
    *([("ca_file", "/proc/self/mem", "can't be read: ")] if sys.platform == "linux" else []),
    ("ca_file", __file__, "has no certificate in it: give the CA's, as PEM"),
    ("ready_timeout", "0", "must be greater than 0"),
    ("ready_timeout", "5m", "must be a number of seconds, such as 300"),
    ("chat_timeout", "-1", "must be greater than 0"),
    ("llm_events_timeout", "nan", "must be"),
    ("usage_settle", "-1", "must be"),
    ("usage_settle", "inf", "must be a finite number"),
    ("delete_timeout", "inf", "must be a finite number"),
    ("scope", "galaxy", "must be 'session', 'package', 'module', 'class' or 'function'"),
    ("keep", "sometimes", "must be 'never', 'on-failure' or 'always'"),
    ("max_instances", "0", "must be greater than or equal to 1"),
    ("max_instances", "1.5", "must be a whole number"),
    ("chat_end", "never", "must be 'auto', 'required' or 'optional'"),
    ("bundled_checks", "perhaps", "must be true, false or core"),
    ("prompt", "x" * 4001, "should have at most 4000 characters"),
    ("report", "perhaps", "must be 'never', 'on-failure' or 'always'"),
    ("report_replies", "perhaps", "must be true or false"),
    (
        "budgets",
        "redy=1",
        "'redy' can't have a budget (did you mean ready?): it must be one of provision, row, ",
    ),
    ("budgets", "boot=1", "'boot' can't have a budget: it must be one of provision, row, "),
    *(
        ("budgets", value, f"{part!r} is not a budget: {HOW_TO_BUDGET}")
        for value, part in [
            ("300", "300"),
            ("ready", "ready"),
            ("turn=5,ready", "ready"),
            ("ready=", "ready="),
            ("=5", "=5"),
            ("ready=5 turn=3", "ready=5 turn=3"),
            ("ready:5", "ready:5"),
        ]
    ),
    ("budgets", "ready=soon", "'ready' must be a number, such as 300"),
    ("budgets", "ready=0", "'ready' must be greater than 0"),
    ("manifest_id", "x" * 101, "should have at most 100 characters"),
    ("group", "x" * 201, "must be 1 to 200 printable characters"),
    ("group", "one\ntwo", "must be 1 to 200 printable characters"),
    ("group", " one", "must be 1 to 200 printable characters, with no blank at either end"),
    ("region_id", "x" * 81, "should have at most 80 characters"),
    ("tier_id", "x" * 81, "should have at most 80 characters"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_value_is_told_with_its_source(
    live: Project, name: str, value: str, words: str
) -> None:
    [problem] = told(live.set(**{name: value}))
    assert problem.startswith(f"{name} = ")
    assert " (environment): " in problem
    assert words in problem


def test_a_wrong_value_is_shown_on_one_short_line(live: Project) -> None:
    [problem] = told(live, run_id="\x1b[31m::error::\n" + "x" * 500)
    assert ("\x1b" in problem, len(problem) < 400) == (False, True)
    [problem] = told(live.set(budgets="\x1b[1m" + "x" * 500))
    assert ("\x1b" in problem, len(problem) < 600) == (False, True)


def test_a_token_given_in_another_place_too_is_not_shown(live: Project) -> None:
    [problem] = told(live.set(ready_timeout=TOKEN))
    assert problem.startswith("ready_timeout = '********' (environment): must be a number of ")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("output = 5", "output = '5' (pyproject.toml): "),
        ("budgets = 5", "budgets = '5' (pyproject.toml): must be a table, such as { ready = 300 }"),
    ],
)
def test_what_is_of_a_wrong_type_is_told(live: Project, line: str, words: str) -> None:
    live.table(line)
    [problem] = told(live)
    assert problem.startswith(words)
