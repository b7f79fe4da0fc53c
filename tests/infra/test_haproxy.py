"""A run through HAProxy, which tells its name nowhere."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from infra_tools import haproxy, see
from plugin_tools import Project

pytestmark = pytest.mark.infra

Serving = Callable[..., int]

WORKING: dict[str, dict[str, str]] = {
    "as it is": {},
    "without a delay": {"defaults": "option http-no-delay"},
    "closing every connection": {"defaults": "option httpclose"},
    "an upstream in HTTP/1.0": {"backend": "http-request set-header connection close"},
    "a keep-alive of a second": {"defaults": "timeout http-keep-alive 1s"},
}


@pytest.mark.parametrize("case", WORKING)
def test_a_run_works(project: Project, tmp_path: Path, upstream: int, case: str) -> None:
    with haproxy(tmp_path / "haproxy", upstream, **WORKING[case]) as port:
        seen = see(project, f"http://127.0.0.1:{port}")
    assert (seen.passed, seen.errors) == (True, [])


@pytest.mark.parametrize("delay", [True, False])
def test_words_that_it_gathers_for_a_moment_are_not_held_back(
    project: Project, tmp_path: Path, serving: Serving, delay: bool
) -> None:
    # By default it sends what it has after a quarter of a second.
    lines = "" if delay else "option http-no-delay"
    router = serving(first=1.3, pause=0.06, words=tuple("abcdefgh"))
    with haproxy(tmp_path / "haproxy", router, defaults=lines) as port:
        seen = see(project, f"http://127.0.0.1:{port}")
    assert (seen.passed, seen.notes) == (True, [])


def test_an_idle_timeout_below_the_agents_silence_is_named(
    project: Project, tmp_path: Path, serving: Serving
) -> None:
    router = serving(after_words=20.0)
    with haproxy(tmp_path / "haproxy", router, backend="timeout server 5s") as port:
        error = see(project, f"http://127.0.0.1:{port}", chat_timeout=15).error
    # It has gathered the last words for a moment, in which there was no silence yet.
    assert "the stream was cut after" in error
    assert "s of silence" in error
    assert "HAProxy: timeout server" in error


REFUSING: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "a rate limit": (
        {"front": "http-request deny deny_status 429"},
        ("429 Too Many Requests (answered by an unnamed server, text/html)", "rate"),
    ),
    "forbidden": (
        {"front": "http-request deny"},
        ("403 Forbidden (answered by an unnamed server, text/html)",),
    ),
    "a sign-in": (
        {"front": 'http-request auth realm "staff only"'},
        ("401 Unauthorized", "Basic, realm 'staff only'", "a gateway in front of the router"),
    ),
    "a redirect to https": (
        {"front": "http-request redirect scheme https code 308"},
        ("308", "set HYDRA_SMOKE_URL to https://127.0.0.1:"),
    ),
    "a tiny body limit": (
        {"front": "http-request deny deny_status 413 if { req.body_size gt 10 }"},
        ("413 Payload Too Large", "limit"),
    ),
}


@pytest.mark.parametrize("case", REFUSING)
def test_what_haproxy_refuses_is_told_as_a_gateways(
    project: Project, tmp_path: Path, upstream: int, case: str
) -> None:
    lines, words = REFUSING[case]
    with haproxy(tmp_path / "haproxy", upstream, **lines) as port:
        error = see(project, f"http://127.0.0.1:{port}", ready_timeout=4).error
    assert all(it in error for it in words), error
    assert "<" not in error, "a tag"


def test_an_upstream_that_is_gone_is_a_503(project: Project, tmp_path: Path) -> None:
    lines = "timeout connect 100ms\n  retries 0"
    with haproxy(tmp_path / "haproxy", 9, defaults=lines) as port:
        error = see(project, f"http://127.0.0.1:{port}", ready_timeout=3).error
    assert "503 Service Unavailable (answered by an unnamed server, text/html)" in error
    assert "a gateway in front of the router has no router behind it" in error


def test_an_upstream_that_is_silent_is_a_504(project: Project, tmp_path: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        silent = deaf.getsockname()[1]
        with haproxy(tmp_path / "haproxy", silent, backend="timeout server 1s") as port:
            error = see(project, f"http://127.0.0.1:{port}", ready_timeout=4).error
    assert "504" in error
    assert "HAProxy: timeout server" in error
