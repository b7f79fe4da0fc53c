"""A run through Caddy, whose refusals have no body."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from infra_tools import ca_file, caddy, certificate, see
from plugin_tools import Project

pytestmark = pytest.mark.infra

Serving = Callable[..., int]


def test_a_run_works_and_streams(project: Project, tmp_path: Path, serving: Serving) -> None:
    router = serving(first=1.3, pause=0.05, words=tuple("abcdefgh"))
    with caddy(tmp_path / "caddy", router) as port:
        seen = see(project, f"http://localhost:{port}")
    assert (seen.passed, seen.errors, seen.notes) == (True, [], [])


def test_a_run_works_over_tls(project: Project, tmp_path: Path, upstream: int) -> None:
    with caddy(tmp_path / "caddy", upstream, tls=certificate(tmp_path)) as port:
        seen = see(project, f"https://localhost:{port}", ca_file=ca_file(tmp_path))
    assert (seen.passed, seen.errors) == (True, [])


HASH = "$2a$04$abcdefghijklmnopqrstuuLQaOmjTGvXSNrVYK6jWA9dpMbRiNMRm"
"""Of a password that nobody has."""

REFUSING: dict[str, tuple[str, tuple[str, ...]]] = {
    "a sign-in": (
        f"basicauth {{\n    somebody {HASH}\n  }}",
        (
            "401",
            "answered by Caddy",
            "Basic, realm 'restricted'",
            "a gateway in front of the router",
        ),
    ),
    # Caddy 2.6 says 502 of it, newer ones 413.
    "a tiny body limit": ("request_body {\n    max_size 10\n  }", ("answered by Caddy",)),
    "a page in the router's place": (
        'header Content-Type text/html\n  respond "<h1>It works!</h1>" 200',
        ("got: It works! (answered by Caddy, text/html)",),
    ),
    "a redirect": (
        "redir https://www.router.example{uri}",
        ("302", "set HYDRA_SMOKE_URL to https://www.router.example:"),
    ),
}


@pytest.mark.parametrize("case", REFUSING)
def test_what_caddy_refuses_is_told_as_its_own(
    project: Project, tmp_path: Path, upstream: int, case: str
) -> None:
    lines, words = REFUSING[case]
    with caddy(tmp_path / "caddy", upstream, site=lines) as port:
        error = see(project, f"http://localhost:{port}", ready_timeout=4).error
    assert all(it in error for it in words), error
    assert "<" not in error, "a tag"


def test_an_upstream_that_is_gone_is_a_502(project: Project, tmp_path: Path) -> None:
    with caddy(tmp_path / "caddy", 9) as port:
        error = see(project, f"http://localhost:{port}", ready_timeout=3).error
    assert "502" in error
    assert "answered by Caddy" in error
    assert "the gateway did not reach the router" in error
