"""Where the token comes from, and what is wrong with where it is."""

from __future__ import annotations

import os

import pytest
from plugin_tools import TOKEN, Project
from settings_tools import loaded, refused, resolved, told

from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def bare(live: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of which everything is set but the token."""
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    return live


# Who beats whom


def test_a_nearer_source_of_the_token_wins(live: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    live.write("by-option", "token-by-option")
    live.write("by-table", "token-by-table")
    live.write("by-variable", "token-by-variable")
    live.table('token_file = "by-table"')
    monkeypatch.setenv("OPS_BEARER_TOKEN", "the-other-token")
    assert (resolved(live).token, resolved(live).token_file) == (Token(TOKEN), None)
    assert resolved(live, token_file="by-option").token == Token("token-by-option")
    live.set(token="")
    assert resolved(live).token == Token("the-other-token")
    live.set(token_file="by-variable")
    assert resolved(live).token == Token("token-by-variable")
    live.set(token_file="")
    monkeypatch.delenv("OPS_BEARER_TOKEN")
    assert resolved(live).token == Token("token-by-table")


def test_token_and_token_file_in_the_environment_are_refused(live: Project) -> None:
    live.write("token", TOKEN)
    assert told(live.set(token_file="token")) == [
        "HYDRA_SMOKE_TOKEN and HYDRA_SMOKE_TOKEN_FILE are both set: remove one of them"
    ]


def test_a_token_file_is_relative_to_where_it_is_named(
    bare: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.write("secret/token", TOKEN)
    bare.write("inner/token", "token-of-the-call")
    inner = bare.path / "inner"
    monkeypatch.chdir(inner)
    bare.table('token_file = "secret/token"')
    read = load({}, inner, fake=False)
    assert (read.config.token, read.sources["token"]) == (
        Token(TOKEN),
        "pyproject.toml's token_file",
    )
    bare.set(token_file="token")
    assert resolved(bare).token == Token("token-of-the-call")


# Files


@pytest.mark.parametrize(("begin", "end"), [("", ""), ("", "\n"), ("\ufeff", "\r\n")])
def test_a_token_file_may_begin_with_the_mark_of_windows_and_end_in_a_line_end(
    bare: Project, begin: str, end: str
) -> None:
    (bare.path / "token").write_bytes(f"{begin}{TOKEN}{end}".encode())
    assert resolved(bare, token_file="token").token == Token(TOKEN)


def test_a_run_with_a_token_file_names_it(bare: Project, router: FakeRouter) -> None:
    bare.set(url=router.url).write("token.txt", f"{TOKEN}\n")
    result = bare.live("--hydra-smoke-token-file=token.txt", "test_mixed.py")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*token [*]* (option's token_file), token_file token.txt (option)*"]
    )


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize(("mode", "told"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_token_file_that_others_can_read_is_warned_of(
    bare: Project, mode: int, told: int
) -> None:
    bare.write("secret", TOKEN).chmod(mode)
    warning = f"others can read secret (mode {mode:03o}): chmod 600 secret"
    assert loaded(bare, token_file="secret").warnings == told * (warning,)


def test_a_missing_token_file_is_named_only_where_that_looks_like_a_place(bare: Project) -> None:
    assert told(bare, token_file="none") == [
        "token_file (option): there is no file of this name (not shown: it may be the token)"
    ]
    missing = bare.path / "none"
    assert refused(bare, f"--hydra-smoke-token-file={missing}") == [
        f"token_file (option): there is no file {missing}"
    ]


def test_a_token_file_that_can_not_be_read_or_is_none_is_told(bare: Project) -> None:
    (bare.path / "token").write_bytes(b"\xff\xfe" + TOKEN.encode())
    [problem] = told(bare, token_file="token")
    assert problem.startswith("token_file token can't be read: ")
    bare.table("token_file = 5")
    [problem] = told(bare)
    assert problem.startswith("token_file (pyproject.toml)")


# What is no token


@pytest.mark.parametrize("key", ["token", "TOKEN"])
def test_a_token_in_the_table_is_refused(live: Project, key: str) -> None:
    live.table(f'{key} = "{TOKEN}"')
    [problem] = told(live)
    assert problem.startswith("token must not be in [tool.hydra-smoke] of ")
    assert problem.endswith("set HYDRA_SMOKE_TOKEN in the environment, or token_file")


@pytest.mark.parametrize("name", ["HYDRA_SMOKE_TOKEN", "OPS_BEARER_TOKEN"])
def test_bytes_that_are_no_text_are_refused_as_a_token(
    bare: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "made-up-\udc80\udcff-token")
    [problem] = refused(bare)
    assert problem.startswith("token"), problem


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
