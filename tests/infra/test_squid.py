"""A run through a forward proxy, Squid: a tunnel to https, and plain http."""

from __future__ import annotations

from pathlib import Path

import pytest
from infra_tools import ca_file, certificate, proxy, see, squid
from plugin_tools import Project

pytestmark = pytest.mark.infra

DENIED = "http_access deny all"


def test_a_run_works_through_a_tunnel(
    project: Project, tmp_path: Path, upstream: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        proxy("nginx", tmp_path, upstream, tls=certificate(tmp_path)) as port,
        squid(monkeypatch) as (_, asked),
    ):
        seen = see(
            project, f"https://localhost:{port}", ca_file=ca_file(tmp_path), trust_env="true"
        )
        log = asked.read_text("utf-8")
    assert (seen.passed, seen.errors) == (True, [])
    assert f"CONNECT localhost:{port}" in log


def test_a_run_works_in_plain_http(
    project: Project, upstream: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with squid(monkeypatch):
        seen = see(project, f"http://127.0.0.1:{upstream}", trust_env="true")
    assert (seen.passed, seen.errors) == (True, [])


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("http_access allow all", "503 Service Unavailable"),
        (DENIED, "403 Forbidden"),
    ],
    ids=["gone", "denied"],
)
def test_what_squid_answers_in_a_routers_place_is_told_as_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch, rules: str, words: str
) -> None:
    with squid(monkeypatch, rules):
        error = see(project, "http://127.0.0.1:9", trust_env="true", ready_timeout=3).error
    assert words.split()[0] in error
    assert "ERROR: The requested URL could not be retrieved (answered by squid/" in error
    assert ", via 1.1 proxy.example (squid/" in error


def test_a_tunnel_that_is_denied_names_the_proxy(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with squid(monkeypatch, DENIED) as (denying, _):
        error = see(project, "https://localhost:9", trust_env="true", ready_timeout=3).error
    assert (
        f"the proxy 127.0.0.1:{denying} refused to connect to the router (403 Forbidden)" in error
    )
    assert "allow requests to localhost there" in error


def test_a_tunnel_to_nowhere_is_asked_for_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with squid(monkeypatch):
        error = see(project, "https://localhost:9", trust_env="true", ready_timeout=3).error
    assert "(503 Service Unavailable) (" in error
    assert " attempts" in error
