"""The fake router's page, in a real browser where one is installed."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fake_tools import PREFIX, SPEC

from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import Server
from pytest_hydrasmoke.fake.standalone import with_controls

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = "<img src=x onerror=document.title='hit'>"


@pytest.fixture
def site() -> Iterator[httpx.Client]:
    scenario = Scenario(row_after=0, statuses=((0, "running"),), cleanup_after=1e6)
    router = FakeRouter(scenario, token="a-made-up-token")
    server = Server()
    try:
        server.mount("", with_controls(router))
        headers = {"authorization": "Bearer a-made-up-token"}
        with httpx.Client(
            base_url=server.url, headers=headers, trust_env=False, verify=False
        ) as http:
            yield http
    finally:
        server.close()


def rendered(http: httpx.Client, profile: Path) -> str:
    """Return the page as a browser has it after some seconds of its own time."""
    assert BROWSER is not None
    command = [BROWSER, *QUIET, f"--user-data-dir={profile}"]
    page = subprocess.run(
        [*command, "--virtual-time-budget=3000", "--dump-dom", str(http.base_url)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return page.stdout


def test_the_page_comes_with_a_policy_and_without_the_token(site: httpx.Client) -> None:
    answer = site.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert "a-made-up-token" not in answer.text
    assert not re.findall("(?:src|href)=", answer.text), "it loads nothing"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_instances_and_requests(site: httpx.Client, tmp_path: Path) -> None:
    order = {"idempotency_key": HOSTILE, **SPEC}
    instance_id = site.post(f"{PREFIX}/provision", json=order).json()["instance_id"]
    site.get(f"{PREFIX}/instances/{instance_id}")
    gone_id = site.post(f"{PREFIX}/provision", json={**order, "idempotency_key": "gone"}).json()[
        "instance_id"
    ]
    site.delete(f"{PREFIX}/instances/{gone_id}")
    site.get("/nowhere", params={"q": HOSTILE})
    page = rendered(site, tmp_path)
    cells = [html.unescape(cell) for cell in re.findall("<td>(.*?)</td>", page)]
    assert cells[:3] == [instance_id, HOSTILE, "running"]
    assert cells[4:9] == ["yes", "no", "done", "agent, server, dns_record", "\N{EN DASH}"]
    assert cells[9:12] == [gone_id, "gone", "deleted"]
    assert cells[13:18] == ["no", "yes", "done", "\N{EN DASH}", "running"]
    assert "status" in cells
    assert f"{PREFIX}/instances/{instance_id}" in cells
    assert "instances: 2, requests: 5" in page
    assert "<img" not in page
    assert "<title>Fake router</title>" in page
