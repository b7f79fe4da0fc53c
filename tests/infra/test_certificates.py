"""Certificates of the router, right ones and broken ones, as each proxy hands them out."""

from __future__ import annotations

from pathlib import Path

import pytest
from infra_tools import (
    PROXIES,
    Certificate,
    ca_file,
    certificate,
    new_authority,
    proxy,
    see,
    written,
)
from plugin_tools import Project

pytestmark = pytest.mark.infra


@pytest.mark.parametrize("name", PROXIES)
def test_a_private_ca_that_is_named_is_trusted(
    project: Project, tmp_path: Path, upstream: int, name: str
) -> None:
    with proxy(name, tmp_path, upstream, tls=certificate(tmp_path)) as port:
        seen = see(project, f"https://localhost:{port}", ca_file=ca_file(tmp_path))
    assert (seen.passed, seen.errors) == (True, [])


def unknown(folder: Path) -> tuple[Certificate, dict[str, str]]:
    return certificate(folder), {}


def expired(folder: Path) -> tuple[Certificate, dict[str, str]]:
    return certificate(folder, expired=True), {"ca_file": ca_file(folder)}


def another_host(folder: Path) -> tuple[Certificate, dict[str, str]]:
    return certificate(folder, "router.example"), {"ca_file": ca_file(folder)}


def self_signed(folder: Path) -> tuple[Certificate, dict[str, str]]:
    # Of an authority of its own, which nobody has named.
    return written(folder, new_authority().issue_cert("localhost")), {"ca_file": ca_file(folder)}


BROKEN = {
    "unknown": (unknown, "certificate verify failed"),
    "expired": (expired, "certificate has expired"),
    "another host": (another_host, "not valid for 'localhost'"),
    "self-signed": (self_signed, "certificate verify failed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_certificate_is_one_clear_error(
    project: Project, tmp_path: Path, upstream: int, case: str
) -> None:
    make, words = BROKEN[case]
    tls, settings = make(tmp_path)
    with proxy("nginx", tmp_path, upstream, tls=tls) as port:
        error = see(project, f"https://localhost:{port}", ready_timeout=3, **settings).error
    assert words in error
    assert "attempts" not in error, "no second try makes a certificate another one"


WANTS_ONE = "ssl_verify_client on; ssl_client_certificate {ca};"


def test_a_router_that_wants_a_client_certificate_says_so(
    project: Project, tmp_path: Path, upstream: int
) -> None:
    ca = ca_file(tmp_path)
    wants = WANTS_ONE.format(ca=ca)
    with proxy("nginx", tmp_path, upstream, server=wants, tls=certificate(tmp_path)) as port:
        error = see(project, f"https://localhost:{port}", ready_timeout=3, ca_file=ca).error
    assert "No required SSL certificate was sent (answered by nginx/" in error


def test_a_client_certificate_is_sent(project: Project, tmp_path: Path, upstream: int) -> None:
    ca = ca_file(tmp_path)
    (tmp_path / "mine").mkdir()
    mine = certificate(tmp_path / "mine", "somebody")
    wants = WANTS_ONE.format(ca=ca)
    with proxy("nginx", tmp_path, upstream, server=wants, tls=certificate(tmp_path)) as port:
        seen = see(
            project,
            f"https://localhost:{port}",
            ca_file=ca,
            client_cert=mine.chain,
            client_key=mine.key,
        )
    assert (seen.passed, seen.errors) == (True, [])
