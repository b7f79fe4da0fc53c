"""Where settings come from, and what is wrong with them."""

from __future__ import annotations

import os
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from plugin_tools import ALL, SOMEBODY, TOKEN, Project, count, problems
from recording_tools import says, write
from tls_tools import CA, CLIENT, TLS

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, InstanceSpec
from pytest_hydrasmoke._base import platform
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._options import SETTINGS
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter

NOWHERE = "https://router.example"


@pytest.fixture
def live(project: Project) -> Project:
    """A project with one smoke test, and everything set that a live run needs."""
    return project.suite("mixed").at(NOWHERE)


def told(project: Project, *arguments: str) -> list[str]:
    """Run, and give the problems; nothing but they came out."""
    result = project.live(*arguments)
    assert "collected" not in result.stdout.str()
    return problems(result)


def resolved(project: Project, **options: str) -> HydraSmokeConfig:
    """Resolve the project's settings as a live run would."""
    return load({**dict.fromkeys(SETTINGS), **options}, project.path, fake=False).config


# Who beats whom


def test_option_beats_environment_beats_table_beats_default(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, run_id="run", agent_name="by-env", scope="module")
    project.table('agent_name = "by-table"', 'scope = "class"', 'prompt = "by-table"')
    result = project.live("--hydra-smoke-agent-name=by-option", "-k", "test_smoke")
    result.assert_outcomes(passed=1, deselected=2 + ALL)
    assert router.instances[0].agent_name == "by-option"
    result.stdout.fnmatch_lines(
        [
            (
                "hydra-smoke settings: agent_name by-option (option), *"
                "prompt by-table (pyproject.toml), *run_id run (environment), "
                "scope module (environment), *"
            )
        ]
    )
    result.stdout.no_fnmatch_line("*chat_timeout*")


def test_the_header_names_each_source_and_hides_the_token(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, run_id="run", gone_statuses="left,gone")
    result = project.live("test_mixed.py")
    result.stdout.fnmatch_lines(
        [
            f"hydra-smoke: live router {router.url}, run id run",
            (
                "hydra-smoke settings: *gone_statuses gone,left (environment), *"
                "token [*][*][*][*][*][*][*][*] (environment), *"
            ),
        ]
    )


def test_defaults_are_those_of_the_documentation(live: Project) -> None:
    config = resolved(live)
    plain = config.model_dump(
        exclude={"url", "token", "run_id", *InstanceSpec.model_fields}
        | {"usage_settle", *(f"{word}_timeout" for word in ("ready", "llm_events", "delete"))}
    )
    assert plain == {
        "token_file": None,
        "chat_timeout": 120,
        "scope": "session",
        "instance": None,
        "report": "on-failure",
        "report_replies": True,
        "budgets": {},
        "row_settle": 3600,
        "keep": "never",
        "output": live.path / ".hydrasmoke",
        "max_instances": 4,
        "ready_statuses": {"running", "active", "ready", "online"},
        "failed_statuses": {"failed", "error", "provision_failed", "cancelled"},
        "gone_statuses": {"deleted", "deleting", "terminated"},
        "chat_end": "auto",
        "bundled_checks": True,
        "prompt": "Reply with one short sentence: are you ready?",
        "expect_text": None,
        "expect_providers": set(),
        "allow_http": False,
        "trust_env": False,
        "ca_file": None,
        "client_cert": None,
        "client_key": None,
        "group": None,
        "record": None,
        "replay_pace": 0,
        "scenario": "default",
    }


def test_default_deadlines_and_a_random_run_id(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("READY_TIMEOUT", "LLM_EVENTS_TIMEOUT", "DELETE_TIMEOUT", "USAGE_SETTLE"):
        monkeypatch.delenv(f"HYDRA_SMOKE_{name}")
    one, other = resolved(live), resolved(live)
    assert (one.ready_timeout, one.llm_events_timeout, one.delete_timeout) == (900, 30, 60)
    assert one.usage_settle == 5
    assert one.run_id != other.run_id
    assert one.run_id.startswith("smoke-")


def test_the_nearest_table_upwards_is_read(live: Project) -> None:
    live.table('agent_name = "far"')
    inner = live.path / "a" / "b"
    inner.mkdir(parents=True)
    assert load({}, inner, fake=False).config.agent_name == "far"
    live.write("a/pyproject.toml", '[tool.hydra-smoke]\nagent_name = "near"')
    assert load({}, inner, fake=False).config.agent_name == "near"
    live.write("a/b/pyproject.toml", "")
    assert load({}, inner, fake=False).config.agent_name is None


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


@pytest.mark.parametrize("place", ["", "/tests", "/tests/test_agent.py::test_one"])
def test_tests_that_are_named_have_the_table_of_their_own(monorepo: Project, place: str) -> None:
    monorepo.table('agent_name = "whole"')
    result = monorepo.live("--hydra-smoke-plan", f"services/agent{place}")
    result.stdout.fnmatch_lines(["*, agent_name agent"])


def test_the_header_names_the_folder_of_that_table(monorepo: Project, router: FakeRouter) -> None:
    monorepo.at(router)
    result = monorepo.live("services/agent", "services/agent/tests/test_agent.py::test_one")
    result.assert_outcomes(passed=1)
    assert router.instances[0].agent_name == "agent"
    file = os.path.join("services", "agent", "pyproject.toml")
    result.stdout.fnmatch_lines([f"hydra-smoke settings: agent_name agent ({file}), *"])


def test_tests_of_different_tables_are_refused(monorepo: Project) -> None:
    [problem] = told(monorepo, "services/agent", "services/billing", "test_mixed.py")
    files = [monorepo.path / "services" / name / "pyproject.toml" for name in ("agent", "billing")]
    assert problem == (
        f"each of {files[0]}, {files[1]} has a table [tool.hydra-smoke] for some of the tests that "
        "are named, and a run has one set of settings: run pytest once for each of them"
    )


def test_without_a_table_of_their_own_that_of_the_folder_counts(monorepo: Project) -> None:
    (monorepo.path / "services/agent/pyproject.toml").write_text("", "utf-8")
    monorepo.table('agent_name = "whole"')
    for named in ("services/agent", "test_mixed.py", "pytest_hydrasmoke/checks/test_chat.py"):
        result = monorepo.live("--hydra-smoke-plan", named)
        result.stdout.fnmatch_lines(["*, agent_name whole"])


def test_a_broken_file_of_the_tests_is_told(monorepo: Project) -> None:
    file = monorepo.write("services/agent/pyproject.toml", "tool = 1")
    with pytest.raises(ConfigError) as caught:
        load({}, monorepo.path, fake=False, places=[file.parent])
    assert f"[tool.hydra-smoke] of {file} can't be read: " in str(caught.value)


def test_a_table_of_the_tests_with_a_wrong_name_is_warned_of(monorepo: Project) -> None:
    file = monorepo.write("services/agent/pyproject.toml", "[tool.hydra_smoke]\nscope = 'class'")
    result = monorepo.live("--hydra-smoke-plan", "services/agent")
    result.stdout.fnmatch_lines([f"*[[]tool.hydra_smoke[]] of {file} is not read: did you mean *"])


def test_without_any_table(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not even the folders above a test's own may hold one.
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    assert resolved(live).agent_name is None


def test_an_empty_variable_is_not_set(live: Project) -> None:
    live.table('agent_name = "by-table"')
    live.set(agent_name="", scope="", region_id="")
    assert told(live) == [
        (
            'region_id is not set: set HYDRA_SMOKE_REGION_ID, or region_id = "..." in '
            "[tool.hydra-smoke]; pytest takes --hydra-smoke-region-id too"
        )
    ]
    assert resolved(live.set(region_id="r")).agent_name == "by-table"


def test_lists_come_from_variables_by_commas(live: Project) -> None:
    live.set(ready_statuses="Up, RUNNING,,", expect_providers="OpenAI, anthropic")
    config = resolved(live)
    assert config.ready_statuses == {"up", "running"}
    assert config.expect_providers == {"OpenAI", "anthropic"}


def test_lists_come_from_tables_as_lists(live: Project) -> None:
    live.table('gone_statuses = ["Gone"]', 'failed_statuses = "Broken,BAD"')
    config = resolved(live)
    assert config.gone_statuses == {"gone"}
    assert config.failed_statuses == {"broken", "bad"}


# The token


def test_the_fallback_variable_holds_the_token(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_BEARER_TOKEN", "the-other-token")
    assert resolved(live).token == Token(TOKEN)
    live.set(token="")
    assert resolved(live).token == Token("the-other-token")


def test_a_token_file_may_begin_with_the_mark_that_windows_writes(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    (live.path / "token").write_bytes(b"\xef\xbb\xbf" + TOKEN.encode())
    live.set(token_file="token")
    assert resolved(live).token == Token(TOKEN)


def test_the_mode_of_a_token_file_says_nothing_where_there_are_none(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    file = live.path / "token"
    file.write_text(TOKEN, "utf-8")
    file.chmod(0o666)
    live.set(token_file="token")

    def warnings() -> tuple[str, ...]:
        return load(dict.fromkeys(SETTINGS), live.path, fake=False).warnings

    assert len(warnings()) == 1
    monkeypatch.setattr(platform, "here", platform.Windows())
    assert warnings() == ()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_token_file_may_end_in_a_line_end(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    project.suite("mixed").at(router)
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    (project.path / "token.txt").write_bytes(f"{TOKEN}{end}".encode())
    result = project.live("--hydra-smoke-token-file=token.txt", "test_mixed.py")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*token [*]* (option's token_file), token_file token.txt (option)*"]
    )


def test_a_table_s_token_file_is_relative_to_the_table(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    live.table('token_file = "secret/token"')
    live.write("secret/token", TOKEN)
    inner = live.path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    loaded = load({}, inner, fake=False)
    assert loaded.config.token == Token(TOKEN)
    assert loaded.sources["token"] == "pyproject.toml's token_file"


def test_a_variable_s_token_file_is_relative_to_the_folder_of_the_call(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    live.write("inner/token", TOKEN)
    monkeypatch.chdir(live.path / "inner")
    live.set(token_file="token")
    assert resolved(live).token == Token(TOKEN)


def test_a_nearer_source_of_the_token_wins(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("by-option", "token-by-option")
    live.write("by-table", "token-by-table")
    live.table('token_file = "by-table"')
    assert resolved(live).token == Token(TOKEN)
    assert resolved(live).token_file is None
    assert resolved(live, token_file="by-option").token == Token("token-by-option")
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    assert resolved(live).token == Token("token-by-table")
    monkeypatch.setenv("OPS_BEARER_TOKEN", "the-other-token")
    assert resolved(live).token == Token("the-other-token")


def test_token_and_token_file_in_the_environment_are_refused(live: Project) -> None:
    live.write("token", TOKEN)
    assert told(live.set(token_file="token")) == [
        "HYDRA_SMOKE_TOKEN and HYDRA_SMOKE_TOKEN_FILE are both set: remove one of them"
    ]


def test_a_token_file_in_the_environment_beats_the_fallback(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.write("token", "token-of-the-file")
    monkeypatch.setenv("OPS_BEARER_TOKEN", TOKEN)
    live.set(token="", token_file="token")
    assert resolved(live).token == Token("token-of-the-file")


def test_a_missing_token_file_is_told(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    assert told(live, "--hydra-smoke-token-file=none") == [
        "token_file (option): there is no file of this name (not shown: it may be the token)"
    ]


def test_a_missing_token_file_is_named_where_that_looks_like_a_place(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    missing = live.path / "none"
    assert told(live, f"--hydra-smoke-token-file={missing}") == [
        f"token_file (option): there is no file {missing}"
    ]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_token_file_that_others_can_read_is_warned_of(
    live: Project, monkeypatch: pytest.MonkeyPatch, mode: int, told: int
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    live.write("secret", TOKEN).chmod(mode)
    loaded = load({"token_file": "secret"}, live.path, fake=False)
    warning = f"others can read secret (mode {mode:03o}): chmod 600 secret"
    assert loaded.warnings == told * (warning,)


def test_what_is_warned_of_is_in_the_summary_where_there_is_no_header(
    project: Project, router: FakeRouter
) -> None:
    project.suite("mixed").at(router, agent_nam="x")
    result = project.live("-q", "test_mixed.py")
    result.assert_outcomes(passed=3)
    warning = "HYDRA_SMOKE_AGENT_NAM is not a setting: did you mean HYDRA_SMOKE_AGENT_NAME?"
    told = [line for line in result.outlines if "HYDRA_SMOKE_AGENT_NAM" in line]
    assert told == [f"hydra-smoke: {warning}"]
    # Before the run has begun, too.
    assert result.errlines == [f"hydra-smoke: WARNING: {warning}"]


def test_a_warning_that_the_header_shows_is_told_once(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, agent_nam="x")
    result = project.live("test_mixed.py")
    assert result.stdout.str().count("HYDRA_SMOKE_AGENT_NAM ") == 1
    assert result.errlines == []


def test_a_warning_comes_before_the_router_is_asked(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, agent_nam="x")
    router.fail("poll", status=401)
    result = project.live("-q", "test_mixed.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0].startswith("hydra-smoke: WARNING: HYDRA_SMOKE_AGENT_NAM ")
    assert result.errlines[1].startswith("ERROR: poll was refused with 401")


def test_a_setting_that_has_the_token_in_it_is_refused(live: Project) -> None:
    assert told(live.set(url=f"https://router.example/{TOKEN}", agent_name=TOKEN)) == [
        "url has the token in it, and is written down and printed: remove the token from it",
        "agent_name has the token in it, and is written down and printed: remove the token from it",
    ]


def test_a_token_given_in_another_place_too_is_not_shown(live: Project) -> None:
    [problem] = told(live.set(ready_timeout=TOKEN))
    assert problem.startswith("ready_timeout = '********' (environment): must be a valid number")


def test_an_unreadable_token_file_is_told(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    (live.path / "token").write_bytes(b"\xff\xfe" + TOKEN.encode())
    [problem] = told(live, "--hydra-smoke-token-file=token")
    assert problem.startswith("token_file token can't be read: ")


def test_a_token_file_that_is_no_text_is_told(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    live.table("token_file = 5")
    [problem] = told(live)
    assert problem.startswith("token_file (pyproject.toml)")


def test_a_token_in_the_table_is_refused(live: Project) -> None:
    live.table(f'token = "{TOKEN}"')
    [problem] = told(live)
    assert problem.startswith("token is in [tool.hydra-smoke] of ")
    assert problem.endswith("set HYDRA_SMOKE_TOKEN in the environment, or token_file")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (f"Bearer {TOKEN}", 'begins with "Bearer ": give the token alone'),
        (f" {TOKEN}", "has white space or a newline around it: remove it"),
        (f"{TOKEN}\n", "has white space or a newline around it: remove it"),
        (f"{TOKEN[:9]} {TOKEN[9:]}", "has white space in it"),
        (f"{TOKEN}ä", "has a character that is not ASCII"),
        (f"{TOKEN}\x07", "has a control character in it"),
        ("short", "is too short (5 characters; at least 8)"),
        (" ", "is empty"),
    ],
)
def test_a_malformed_token_is_told_and_not_shown(live: Project, value: str, words: str) -> None:
    assert told(live.set(token=value)) == [f"token (environment): {words}"]


# What is wrong, all at once


def test_nothing_set(project: Project) -> None:
    assert told(project.suite("mixed")) == [
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
    project.suite("mixed").set(url="https://router.example", region_id="eu", tier_id="small")
    monkeypatch.setenv("HYDRA_SMOKE_TOKN", "a-token-of-a-test")
    file = project.pytester.makepyprojecttoml('[tool.hydrasmoke]\nmanifest_id = "hermes"')
    found = told(project)
    assert len(found) == 4
    assert found[2:] == [
        "HYDRA_SMOKE_TOKN is not a setting: did you mean HYDRA_SMOKE_TOKEN?",
        f"[tool.hydrasmoke] of {file} is not read: did you mean [tool.hydra-smoke]?",
    ]


def test_every_problem_is_in_one_message(live: Project) -> None:
    live.set(url="http://router.example", token="short", tier_id="", max_instances=0)
    live.table('manifestid = "x"', f'token = "{TOKEN}"', 'scope = "galaxy"')
    found = told(live, "--hydra-smoke-instance=nobody", "--hydra-smoke-scenario=default")
    starts = [
        "token is in [tool.hydra-smoke] of ",
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
        ("zzz", "see docs/reference/settings.md for those that there are"),
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


def test_a_pyproject_without_the_table_sets_nothing(live: Project) -> None:
    live.write("pyproject.toml", "[project]\nname = 'x'\n")
    assert resolved(live).agent_name is None


URLS = [
    ("router.example", "must begin with https:// and a host, such as https://router.example"),
    ("ftp://router.example", "must begin with https:// and a host, such as *"),
    ("https://", "must begin with https:// and a host, such as *"),
    ("https://router.example:port", "is not a URL (*)"),
    ("https://bob:sesame@router.example", "must not have a user or password: *"),
    (
        "https://router.example/?a=b",
        "must not have a query or a fragment: remove ? or # and what follows",
    ),
    (
        "https://router.example/#a",
        "must not have a query or a fragment: remove ? or # and what follows",
    ),
    ("https://router.example/a b", "has a character that is not valid in a URL"),
    ("https://router.example/internal", "must stop before /internal: *"),
    ("https://router.example/api/internal/v1/smoke", "must stop before /internal: *"),
    ("http://router.example", "would send the token in clear: use https://, or set allow_http*"),
    ("http://127.0.0.1.example", "would send the token in clear: *"),
]


@pytest.mark.parametrize(("url", "words"), URLS)
def test_a_bad_url_is_told(live: Project, url: str, words: str) -> None:
    [problem] = told(live.set(url=url))
    pytest.LineMatcher([problem]).fnmatch_lines([f"url = * {words}"])


def test_a_password_in_the_url_is_not_shown(live: Project) -> None:
    # `told` sees to it that the output does not hold the token.
    [problem] = told(live.set(url=f"https://bob:{TOKEN}@router.example"))
    assert "must not have a user or password" in problem


@pytest.mark.parametrize(
    "url",
    [
        "https://router.example/api/",
        "https://router.example:8443",
        "http://localhost:1",
        "http://127.0.0.1:1",
        "http://[::1]:1",
    ],
)
def test_a_good_url(live: Project, url: str) -> None:
    assert resolved(live.set(url=url)).link.base_url == url.rstrip("/")


def test_plain_http_to_other_hosts_if_allowed(live: Project) -> None:
    live.set(url="http://router.example", allow_http="true")
    assert resolved(live).link.base_url == "http://router.example"


HOW_TO_BUDGET = (
    "write both with = between them, and a comma before the next, such as "
    "ready=300,first_event=5. A name is one of provision, row, "
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
    ("ready_timeout", "soon", "must be a valid number"),
    ("chat_timeout", "-1", "must be greater than 0"),
    ("llm_events_timeout", "nan", "must be"),
    ("usage_settle", "-1", "must be"),
    ("usage_settle", "inf", "must be a finite number"),
    ("delete_timeout", "inf", "must be a finite number"),
    ("scope", "galaxy", "must be 'session', 'package', 'module', 'class' or 'function'"),
    ("keep", "sometimes", "must be 'never', 'on-failure' or 'always'"),
    ("max_instances", "0", "must be greater than or equal to 1"),
    ("max_instances", "1.5", "must be a valid integer"),
    ("chat_end", "never", "must be 'auto', 'required' or 'optional'"),
    ("bundled_checks", "perhaps", "must be true or false"),
    ("prompt", "x" * 4001, "should have at most 4000 characters"),
    ("report", "perhaps", "must be 'never', 'on-failure' or 'always'"),
    ("report_replies", "perhaps", "must be true or false"),
    (
        "budgets",
        "redy=1",
        "'redy' can't have a budget, did you mean ready? It is for one of provision, row, ",
    ),
    ("budgets", "boot=1", "'boot' can't have a budget. It is for one of provision, row, "),
    *(
        ("budgets", value, f"{part!r} is not a name and a figure: {HOW_TO_BUDGET}")
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
    ("budgets", "ready=soon", "'ready' must be a valid number"),
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
    [problem] = told(live, "--hydra-smoke-run-id", "\x1b[31m::error::\n" + "x" * 500)
    assert "\x1b" not in problem
    assert len(problem) < 400


@pytest.mark.parametrize("pair", [("ready", "failed"), ("ready", "gone"), ("failed", "gone")])
def test_status_words_must_not_overlap(live: Project, pair: tuple[str, str]) -> None:
    one, other = (f"{word}_statuses" for word in pair)
    assert told(live.set(**{one: "One,same", other: "other,SAME"})) == [
        f"{one} and {other} both have 'same': remove it from one of them"
    ]


def test_ready_statuses_must_not_be_empty(live: Project) -> None:
    assert told(live.set(ready_statuses=",")) == [
        "ready_statuses is empty: name at least one status word, or nothing is ever ready"
    ]


def test_no_run_records_where_it_must_not(live: Project) -> None:
    live.set(record="pyproject.toml", report_replies="false").table()
    kept_out, file = told(live)
    assert kept_out.startswith("record = ")
    assert "writes agents' replies into files, which report_replies = false forbids" in kept_out
    assert file.endswith("pyproject.toml' is a file: give a folder")


@pytest.mark.parametrize("record", ["/", ".", "..", "~", "~/.."])
def test_what_is_clearly_no_folder_of_recordings_is_refused(live: Project, record: str) -> None:
    place = os.path.expanduser(record)
    [problem] = told(live, "--hydra-smoke-record", place, "--hydra-smoke-output=/elsewhere/out")
    assert problem.endswith(
        "is the project's own folder, the home folder, or one that they lie in: "
        "give a folder for recordings alone, such as 'recordings'"
    )


@pytest.mark.parametrize("record", [".hydrasmoke", ".hydrasmoke/recordings"])
def test_recordings_and_the_output_do_not_lie_in_one_another(live: Project, record: str) -> None:
    [problem] = told(live, "--hydra-smoke-record", record)
    assert "are one inside the other: recordings are to be kept with the tests" in problem


def test_where_to_record_is_relative_to_where_it_is_said(live: Project) -> None:
    (live.path / "below").mkdir()
    live.table('record = "recordings"', "replay_pace = 1")
    found = load({}, live.path / "below", fake=False).config
    assert (found.record, found.replay_pace) == (live.path / "recordings", 1)
    found = load({"record": "here"}, live.path / "below", fake=False).config
    assert found.record == live.path / "below" / "here"
    # A run against the fake has nothing to record.
    assert load({}, live.path, fake=True).config.record is None


def test_an_output_that_is_no_path_is_told(live: Project) -> None:
    live.table("output = 5")
    [problem] = told(live)
    assert problem.startswith("output = '5' (pyproject.toml): ")


def test_a_budget_without_a_figure_is_a_short_line(live: Project) -> None:
    [problem] = told(live.set(budgets="\x1b[1m" + "x" * 500))
    assert "\x1b" not in problem
    assert len(problem) < 600


def test_budgets_that_are_no_table_are_told(live: Project) -> None:
    live.table("budgets = 5")
    [problem] = told(live)
    assert problem.startswith(
        "budgets = '5' (pyproject.toml): must be a table, such as { ready = 300 }"
    )


def test_a_variable_that_is_no_setting_is_warned_of(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router).set(region="r", agent_nam="bob")
    result = project.live("test_mixed.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            f"hydra-smoke: WARNING: {name} is not a setting: did you mean {meant}?"
            for name, meant in (
                ("HYDRA_SMOKE_AGENT_NAM", "HYDRA_SMOKE_AGENT_NAME"),
                ("HYDRA_SMOKE_REGION", "HYDRA_SMOKE_REGION_ID"),
            )
        ]
    )


def test_a_ca_file_is_relative_to_its_table(live: Project) -> None:
    live.table('ca_file = "ca.pem"')
    file = live.write("ca.pem", CA.read_text("utf-8"))
    assert resolved(live).link.ca_file == file


def test_a_client_certificate_is_relative_to_its_table(live: Project) -> None:
    live.table('client_cert = "pki/cert.pem"', 'client_key = "pki/key.pem"')
    cert = live.write("pki/cert.pem", CLIENT["client_cert"].read_text("utf-8"))
    key = live.write("pki/key.pem", CLIENT["client_key"].read_text("utf-8"))
    link = resolved(live).link
    assert (link.client_cert, link.client_key) == (cert, key)


def test_a_certificate_is_found_from_wherever_a_test_goes(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = live.write("ca.pem", CA.read_text("utf-8"))
    config = resolved(live.set(ca_file="ca.pem"))
    monkeypatch.chdir("/")
    assert config.link.ca_file == file


WRONG_CLIENTS = [
    (
        {"client_key": CLIENT["client_key"]},
        "client_key = '*' without client_cert: set client_cert (HYDRA_SMOKE_CLIENT_CERT) to the *",
    ),
    ({"client_cert": "none.pem"}, "client_cert: there is no file *none.pem"),
    ({"client_cert": CLIENT["client_cert"]}, "client_cert: *has no private key in it: give cli*"),
    (
        {**CLIENT, "client_cert": TLS / "client-expired.pem"},
        "client_cert: the certificate in *client-expired.pem has expired: give one that is valid",
    ),
]


@pytest.mark.parametrize(("given", "words"), WRONG_CLIENTS, ids=lambda it: "")
def test_a_client_certificate_that_is_wrong(
    live: Project, given: dict[str, object], words: str
) -> None:
    [problem] = problems(live.set(**given).live())
    assert fnmatch(problem, words), problem


def test_an_instance_needs_no_spec(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").set(url=router.url, token=TOKEN, instance=SOMEBODY.upper())
    config = resolved(project)
    assert config.instance == SOMEBODY
    assert config.spec == InstanceSpec(manifest_id="", region_id="", tier_id="")


# The settings as an object


def test_what_is_not_set_is_told_when_it_is_asked_for() -> None:
    config = HydraSmokeConfig(region_id="r")
    with pytest.raises(ConfigError, match="url and token are not set"):
        _ = config.link
    with pytest.raises(ConfigError, match="not set: manifest_id, tier_id"):
        _ = config.spec
    with pytest.raises(ConfigError, match="url and token are not set"):
        _ = HydraSmokeConfig(url=NOWHERE).link


def test_the_object_reads_no_environment_of_its_own(live: Project) -> None:
    assert HydraSmokeConfig().url is None


def test_settings_travel_in_plain_types(live: Project) -> None:
    live.write("ca.pem", CA.read_text("utf-8"))
    live.set(ca_file="ca.pem", ready_statuses="up,on", max_instances=2)
    config = resolved(live)
    plain = config.to_plain()
    assert HydraSmokeConfig.from_plain(plain) == config
    assert plain["token"] == TOKEN
    without = HydraSmokeConfig(run_id="r")
    assert HydraSmokeConfig.from_plain(without.to_plain()) == without
    assert "token" not in without.to_plain()


def test_no_form_of_the_object_shows_the_token(live: Project) -> None:
    config = resolved(live)
    for text in (repr(config), str(config), str(config.model_dump()), repr(config.link)):
        assert TOKEN not in text


def test_wrong_settings_reach_no_router(project: Project, router: FakeRouter) -> None:
    project.suite("mixed").at(router, max_instances="many")
    assert told(project)
    assert count(router, "provision") == 0
    assert router.requests == ()


@pytest.mark.parametrize("name", ["hydrasmoke", "hydra_smoke", "pytest-hydrasmoke", "HydraSmoke"])
def test_a_table_whose_name_is_nearly_right_is_warned_of(live: Project, name: str) -> None:
    file = live.write("pyproject.toml", f'[tool.{name}]\nagent_name = "bob"\n[tool.other]\n')
    loaded = load({}, live.path, fake=False)
    assert loaded.config.agent_name is None
    assert loaded.warnings == (
        f"[tool.{name}] of {file} is not read: did you mean [tool.hydra-smoke]?",
    )


@pytest.mark.parametrize("text", ["", "[tool.other]\n", "[tool.hydra-smoke]\n"])
def test_no_other_table_is_warned_of(live: Project, text: str) -> None:
    live.write("pyproject.toml", text)
    assert load({}, live.path, fake=False).warnings == ()


def test_a_ca_of_the_environment_that_is_not_there_is_named(
    live: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/ca.pem")
    [problem] = told(live.set(trust_env="true"))
    assert problem == (
        "trust_env is on, and SSL_CERT_FILE can't be used: there is no file /no/such/ca.pem"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(CA))
    assert resolved(live).trust_env


def test_a_scenario_of_the_table_lies_beside_it(project: Project) -> None:
    write(project.path / "recordings", "t.py::test", says("a", "b"))
    for name in ("text", "inner"):
        (project.path / name).mkdir()
    for given, folder in (("recordings", project.path / "recordings"), ("text", None)):
        project.table(f'scenario = "{given}"')
        scenario = load({}, project.path / "inner", fake=True).scenario
        assert scenario is not None
        recordings = scenario.recordings
        assert (None if recordings is None else recordings.folder) == folder
