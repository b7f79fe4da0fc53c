"""Where the token comes from, and what is wrong with where it is."""

from __future__ import annotations

import os

import pytest
from plugin_tools import TOKEN, Project
from settings_tools import resolved, told

from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._options import SETTINGS
from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter


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
    file.chmod(0o600)
    assert warnings() == ()


@pytest.mark.parametrize("name", ["HYDRA_SMOKE_TOKEN", "OPS_BEARER_TOKEN"])
def test_bytes_that_are_no_text_are_refused_as_a_token(
    live: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    monkeypatch.setenv(name, "made-up-\udc80\udcff-token")
    [problem] = told(live)
    assert problem.startswith("token"), problem


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


@pytest.mark.parametrize("key", ["token", "TOKEN"])
def test_a_token_in_the_table_is_refused(live: Project, key: str) -> None:
    live.table(f'{key} = "{TOKEN}"')
    [problem] = told(live)
    assert problem.startswith("token must not be in [tool.hydra-smoke] of ")
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
