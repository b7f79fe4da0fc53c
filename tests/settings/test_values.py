"""What is wrong with settings, all of it at once and each on a line."""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatch

import pytest
from plugin_tools import TOKEN, Project
from settings_tools import refused, resolved, told
from tls_tools import CA, CLIENT

from pytest_hydrasmoke.fake import FakeRouter


def not_set(name: str) -> str:
    return (
        f"{name} is not set: set HYDRA_SMOKE_{name.upper()}, or "
        f'{name} = "..." in [tool.hydra-smoke]; '
        f"pytest takes --hydra-smoke-{name.replace('_', '-')} too"
    )


def test_what_is_missing_is_told_with_what_is_nearly_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_TOKN", "a-token-of-a-test")
    no_token = (
        "the token is not set: set HYDRA_SMOKE_TOKEN (or OPS_BEARER_TOKEN) in the environment, "
        "or HYDRA_SMOKE_TOKEN_FILE; pytest takes --hydra-smoke-token-file too"
    )
    nearly = "HYDRA_SMOKE_TOKN is not a setting: did you mean HYDRA_SMOKE_TOKEN?"
    missing = map(not_set, ("url", "manifest_id", "region_id", "tier_id"))
    assert refused(project.suite("mixed")) == [*missing, no_token, nearly]


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
        "url = 'http://router.example' would send the token in clear: use https://, or set ",
    ]
    assert [any(line.startswith(start) for line in found) for start in starts] == [True] * 8
    assert len(found) == len(starts)


NO_TEXT = "is empty, or no text: give one, or leave it out"
TABLES = {
    "manifestid = 1": "[[]tool.hydra-smoke] of */pyproject.toml has the unknown key manifestid: *",
    "manifestId = 1": "* has the unknown key manifestId: did you mean manifest_id?",
    "tier = 1": "* has the unknown key tier: did you mean tier_id?",
    "time_out = 1": "* has the unknown key time_out: did you mean chat_timeout?",
    "Keep = 1": "* has the unknown key Keep: did you mean keep?",
    "URL = 1": "* has the unknown key URL: did you mean url?",
    "zzz = 1": "* has the unknown key zzz: docs/reference/settings.md lists all keys",
    "output = 5": "output = '5' (pyproject.toml): *",
    "expect_models = 5": "expect_models = '5' (pyproject.toml): *",
    "budgets = 5": "budgets = '5' (pyproject.toml): must be a table, such as { ready = 300 }",
    "token_file = 5": "token_file (pyproject.toml)*",
    # TOML's true is no 1.
    "deadline = true": "deadline = 'True' (*): must be a number of seconds, such as 300",
    "row_settle = false": "row_settle = 'False' (*): must be a number of seconds, such as 300",
    "max_instances = true": "max_instances = 'True' (pyproject.toml): must be a whole number",
    "budgets = { gap = true }": "budgets = * (pyproject.toml): 'gap' must be a number, such as 300",
    **{
        f'{name} = "{text}"': f"{name} (pyproject.toml) {NO_TEXT}"
        for text in ("", " ", "a\\u0000b")
        for name in ("agent_name", "scenario", "output", "record", "ca_file", "run_id", "prompt")
    },
    f'token = "{TOKEN}"': (
        "token must not be in [[]tool.hydra-smoke] of */pyproject.toml, which others can read: "
        "set HYDRA_SMOKE_TOKEN in the environment, or token_file"
    ),
    f'TOKEN = "{TOKEN}"': "token must not be in [[]tool.hydra-smoke] of *, or token_file",
    f'agent_token = "{TOKEN}"': (
        "agent_token must not be in * set HYDRA_SMOKE_AGENT_TOKEN in the environment"
    ),
}


@pytest.mark.parametrize("line", TABLES)
def test_what_is_wrong_in_a_table_is_told(
    live: Project, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if line.startswith("token_file"):
        monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    live.table(line)
    [problem] = told(live)
    assert fnmatch(problem, TABLES[line]), problem


@pytest.mark.parametrize(
    "text", ["[tool.hydra-smoke\n", "tool = 5", "[tool]\nhydra-smoke = 5", "a = '\udcff'"]
)
def test_a_table_that_can_not_be_read_is_told(live: Project, text: str) -> None:
    file = live.path / "pyproject.toml"
    file.write_text(text, "utf-8", errors="surrogateescape")
    [problem] = told(live)
    assert problem.startswith(f"[tool.hydra-smoke] of {file} can't be read: ")


@pytest.mark.parametrize("name", ["hydra_smoke", "hydrasmoke", "Hydra-Smoke", "pytest-hydrasmoke"])
def test_a_table_that_is_misspelt_is_told(live: Project, name: str) -> None:
    file = live.write("pyproject.toml", f"[tool.{name}]\nprompt = 'read by nobody'\n")
    wrong = f"[tool.{name}] of {file} is not read: did you mean [tool.hydra-smoke]?"
    assert refused(live) == [wrong]
    # The right one beside it does not make up for it.
    file.write_text(f"{file.read_text('utf-8')}[tool.hydra-smoke]\nkeeep = 'always'\n", "utf-8")
    assert told(live)[0] == wrong
    assert "unknown key keeep" in told(live)[1]


NOT_A_BUDGET = (
    "is not a budget: write name=number, with commas between budgets, such as "
    "ready=300,first_event=5. A name is one of provision, row, *"
)
# In the environment: a setting, its value, and what is told after `setting = 'value' `.
WRONG = [
    ("run_id", "no spaces", "must be 1 to 64 of A to Z, a to z, 0 to 9, dot, underscore and *"),
    ("run_id", "x" * 65, "must be 1 to 64 of*"),
    ("run_id", "nul", "must not be a device's name on Windows*"),
    ("expect_text", "(", "is not a regular expression: *"),
    ("instance", "not-a-uuid", "is not a UUID"),
    ("ca_file", "none.pem", "there is no file *"),
    # A file whose first bytes nobody can read, whoever asks.
    *([("ca_file", "/proc/self/mem", "*can't be read: *")] if sys.platform == "linux" else []),
    ("ca_file", __file__, "*has no certificate in it: give the CA's, as PEM"),
    ("ready_timeout", "0", "must be greater than 0"),
    ("ready_timeout", "5m", "must be a number of seconds, such as 300"),
    ("ready_timeout", TOKEN, "must be a number of seconds, such as 300"),
    ("chat_timeout", "-1", "must be greater than 0"),
    ("llm_events_timeout", "nan", "must be*"),
    ("usage_settle", "-1", "must be*"),
    ("delete_timeout", "inf", "must be a finite number"),
    ("scope", "galaxy", "must be 'session', 'package', 'module', 'class' or 'function'"),
    ("keep", "sometimes", "must be 'never', 'on-failure' or 'always'"),
    ("max_instances", "0", "must be greater than or equal to 1"),
    ("max_instances", "1.5", "must be a whole number"),
    ("chat_end", "never", "must be 'auto', 'required' or 'optional'"),
    ("bundled_checks", "perhaps", "must be true, false or core"),
    ("prompt", "x" * 4001, "*should have at most 4000 characters"),
    ("trace_url", "https://traces.example/", "must be a URL with {trace_id}, *"),
    ("trace_url", "javascript:{trace_id}", "must be a URL with {trace_id}, *"),
    ("trace_url", "https://traces.example/\n{trace_id}", "must be a URL with {trace_id}, *"),
    ("report", "perhaps", "must be 'never', 'on-failure' or 'always'"),
    ("report_replies", "perhaps", "must be true or false"),
    (
        "budgets",
        "redy=1",
        "'redy' can't have a budget (did you mean ready?): it must be one of provision, row, *",
    ),
    ("budgets", "boot=1", "'boot' can't have a budget: it must be one of provision, row, *"),
    *(("budgets", part, f"{part!r} {NOT_A_BUDGET}") for part in ("300", "ready=", "=5", "a=5 b=3")),
    ("budgets", "turn=5,ready", f"'ready' {NOT_A_BUDGET}"),
    ("budgets", "turn=5,ready=60,turn=50", "has two budgets for 'turn': keep one of them"),
    ("budgets", "ready=soon", "'ready' must be a number, such as 300"),
    ("budgets", "ready=0", "'ready' must be greater than 0"),
    ("budgets", "\x1b[1m" + "x" * 500, f"'*' {NOT_A_BUDGET}"),
    ("manifest_id", "x" * 101, "*should have at most 100 characters"),
    ("group", "x" * 201, "must be 1 to 200 printable characters*"),
    ("group", "one\ntwo", "must be 1 to 200 printable characters*"),
    ("group", " one", "must be 1 to 200 printable characters, with no blank at either end"),
    ("region_id", "x" * 81, "*should have at most 80 characters"),
    ("tier_id", "x" * 81, "*should have at most 80 characters"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_value_is_told_with_its_source(
    live: Project, name: str, value: str, words: str
) -> None:
    [problem] = told(live.set(**{name: value}))
    assert fnmatch(problem, f"{name} = '*' (environment): {words}"), problem
    assert len(problem) < 600
    if name != "ca_file" and value.isprintable():
        shown = "********" if value == TOKEN else value.strip()
        assert problem.startswith(f"{name} = '{shown[:60]}")


# What is wrong with settings that are valid one by one


HAS_TOKEN = "contains the token, and is printed and written into files: remove the token from it"
NO_FOLDER = (
    "*is the project's folder, the home folder, or a folder that contains one of them: "
    "give a folder for recordings alone, such as 'recordings'"
)
NOT_IN_ONE_ANOTHER = "* must not contain each other: recordings are kept with the tests; *"
TOGETHER: list[tuple[dict[str, object], list[str]]] = [
    (
        {"url": "http://router.example"},
        ["url = 'http://router.example' would send the token in clear: use https://, or set *"],
    ),
    # `told` sees to it that a password is not shown.
    *(
        ({"url": f"https://bob:{word}@host.example"}, [f"url = 'https://...@host.example' {why}"])
        for word, why in (("x" * 300, "must not have a user *"), ("long/secret", "is not a URL"))
    ),
    (
        {"url": f"https://bob:{TOKEN}@router.example/api"},
        ["url = 'https://...@router.example/api' must not have a user or password: *"],
    ),
    (
        {"trace_url": "https://bob:pass@traces.example/{trace_id}"},
        ["trace_url = 'https://...@traces.example/{trace_id}' (*, without a user or password"],
    ),
    (
        {"url": f"https://router.example/{TOKEN}", "agent_name": TOKEN},
        [f"url {HAS_TOKEN}", f"agent_name {HAS_TOKEN}"],
    ),
    *(
        (
            {f"{one}_statuses": "One,same", f"{other}_statuses": "other,SAME"},
            [f"{one}_statuses and {other}_statuses both have 'same': remove it from one of them"],
        )
        for one, other in (("ready", "failed"), ("ready", "gone"), ("failed", "gone"))
    ),
    (
        {"ready_statuses": ","},
        ["ready_statuses is empty: name at least one status word, or nothing is ever ready"],
    ),
    (
        {"record": "test_mixed.py", "report_replies": "false"},
        [
            (
                "record = * writes agents' replies into files, which report_replies = false "
                "forbids: remove one of the two settings"
            ),
            "record = *test_mixed.py' is a file: give a folder",
        ],
    ),
    *(
        ({"record": place, "output": "/elsewhere/out"}, [NO_FOLDER])
        for place in ("/", ".", "..", "~", "~/..")
    ),
    ({"record": ".hydrasmoke"}, [NOT_IN_ONE_ANOTHER]),
    ({"record": ".hydrasmoke/recordings"}, [NOT_IN_ONE_ANOTHER]),
    ({"record": "all", "output": "all/of/it"}, [NOT_IN_ONE_ANOTHER]),
    (
        {"client_key": CLIENT["client_key"]},
        ["client_key = '*' without client_cert: set client_cert (HYDRA_SMOKE_CLIENT_CERT) *"],
    ),
    ({"client_cert": "none.pem"}, ["client_cert: there is no file *none.pem"]),
    (
        {"client_cert": CLIENT["client_cert"]},
        ["client_cert: *has no private key in it: give client_key*"],
    ),
]


@pytest.mark.parametrize(("given", "words"), TOGETHER, ids=lambda it: "")
def test_what_is_wrong_with_settings_together_is_told(
    live: Project, given: dict[str, object], words: list[str]
) -> None:
    found = told(live.set(**{it: os.path.expanduser(str(value)) for it, value in given.items()}))
    assert len(found) == len(words)
    for problem, pattern in zip(found, words, strict=True):
        assert fnmatch(problem, pattern), problem


def test_an_option_without_a_value_is_told(live: Project) -> None:
    # As a variable of a script is that nobody has set: another value would be a surprise.
    for name in ("url", "output", "instance", "region_id", "token_file"):
        [problem] = told(live, **{name: ""})
        assert problem.startswith(f"{name} (option) {NO_TEXT}")


def test_bytes_that_are_no_text_may_name_a_file_and_nothing_else(live: Project) -> None:
    for name in ("agent_name", "region_id", "expect_text"):
        [problem] = told(live, **{name: "box-\udcff"})
        assert problem == f"{name} (option) {NO_TEXT}"
    assert resolved(live, output="out-\udcff").output == live.path / "out-\udcff"


def test_plain_http_is_for_this_machine_unless_it_is_allowed(live: Project) -> None:
    assert resolved(live.set(url="http://localhost:1/")).link.base_url == "http://localhost:1"
    live.set(url="http://router.example", allow_http="true")
    assert resolved(live).link.base_url == "http://router.example"


def test_a_ca_of_the_environment_that_is_not_there_is_named(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/ca.pem")
    problem = "trust_env is on, and SSL_CERT_FILE can't be used: there is no file /no/such/ca.pem"
    assert told(live.set(trust_env="true")) == [problem]
    monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    assert resolved(live).trust_env
