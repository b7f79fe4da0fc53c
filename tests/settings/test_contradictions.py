"""What is wrong with settings that are valid one by one."""

from __future__ import annotations

import os
from fnmatch import fnmatch

import pytest
from plugin_tools import TOKEN, Project, problems
from settings_tools import resolved, told
from tls_tools import CA, CLIENT

URLS = [
    ("router.example", "must begin with https:// and a host, such as https://router.example"),
    ("ftp://router.example", "must begin with https:// and a host, such as *"),
    ("https://", "must begin with https:// and a host, such as *"),
    ("https://router.example:port", "is not a URL (*)"),
    ("https://bob:sesame@router.example", "must not have a user or password: *"),
    ("https://router.example/?a=b", "must not have a query or a fragment: remove ? or #*"),
    ("https://router.example/#a", "must not have a query or a fragment: remove ? or #*"),
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


def test_a_setting_that_has_the_token_in_it_is_refused(live: Project) -> None:
    words = "contains the token, and is printed and written into files: remove the token from it"
    assert told(live.set(url=f"https://router.example/{TOKEN}", agent_name=TOKEN)) == [
        f"url {words}",
        f"agent_name {words}",
    ]


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
    [problem] = told(live, record=place, output="/elsewhere/out")
    assert problem.endswith(
        "is the project's folder, the home folder, or a folder that contains one of them: "
        "give a folder for recordings alone, such as 'recordings'"
    )


@pytest.mark.parametrize("record", [".hydrasmoke", ".hydrasmoke/recordings"])
def test_recordings_and_the_output_do_not_lie_in_one_another(live: Project, record: str) -> None:
    [problem] = told(live, record=record)
    assert "must not contain each other: recordings are kept with the tests" in problem


WRONG_CLIENTS = [
    (
        {"client_key": CLIENT["client_key"]},
        "client_key = '*' without client_cert: set client_cert (HYDRA_SMOKE_CLIENT_CERT) to the *",
    ),
    ({"client_cert": "none.pem"}, "client_cert: there is no file *none.pem"),
    ({"client_cert": CLIENT["client_cert"]}, "client_cert: *has no private key in it: give cli*"),
]


@pytest.mark.parametrize(("given", "words"), WRONG_CLIENTS, ids=lambda it: "")
def test_a_client_certificate_that_is_wrong(
    live: Project, given: dict[str, object], words: str
) -> None:
    [problem] = problems(live.set(**given).live())
    assert fnmatch(problem, words), problem


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
