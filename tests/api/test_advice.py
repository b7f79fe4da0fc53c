"""Advice that can be followed: where a redirect leads, as a URL that the settings take."""

from __future__ import annotations

import re

import pytest
from scripted_io import reply

from pytest_hydrasmoke._api.responses import failure
from pytest_hydrasmoke._transport.protocol import Request
from pytest_hydrasmoke._transport.target import PREFIX, url_problem

PATH = f"{PREFIX}/instances/by-key/k?x=1"
NOT_FOLLOWED = "redirects are not followed"

REDIRECTS: dict[str, str] = {
    f"https://www.router.example{PATH}": (
        "set HYDRA_SMOKE_URL to https://www.router.example: redirects would carry the token"
    ),
    f"https://router.example:8443/api{PATH}": (
        "set HYDRA_SMOKE_URL to https://router.example:8443/api: redirects would carry the token"
    ),
    f"http://127.0.0.1:8080{PATH}": (
        "set HYDRA_SMOKE_URL to http://127.0.0.1:8080: redirects would carry the token"
    ),
    f"http://router.example{PATH}": (
        "it leads to http://router.example, where the token would cross the network in clear: try "
        "https://router.example as HYDRA_SMOKE_URL, and correct what redirects to http"
    ),
    f"/api{PATH}": f"set HYDRA_SMOKE_URL to the same host with the path /api: {NOT_FOLLOWED}",
    PATH: f"set HYDRA_SMOKE_URL to the same host with the path /: {NOT_FOLLOWED}",
    f"https://router.example{PREFIX}/instances/by-key/k/?x=1": (
        f"it leads to another path (https://router.example{PREFIX}/instances/by-key/k/?x=1): "
        "something on the way rewrites the router's paths, and must not; " + NOT_FOLLOWED
    ),
    f"https://somebody:else@router.example{PATH}": (
        f"it leads to https://somebody:else@router.example{PATH}, which can't be HYDRA_SMOKE_URL: "
        "that must not have a user or password: the router takes the token alone"
    ),
    f"//router.example{PATH}": (
        f"it leads to //router.example{PATH}, which can't be HYDRA_SMOKE_URL: that must begin with "
        "https:// and a host, such as https://router.example"
    ),
    "https://sso.example/login?next=\x1b[1m": (
        "it leads to https://sso.example/login?next=\\x1b[1m, where the router is not: a sign-in, "
        "or another site? Set HYDRA_SMOKE_URL to where the router itself answers: " + NOT_FOLLOWED
    ),
}


@pytest.mark.parametrize("to", REDIRECTS, ids=ascii)
def test_a_redirects_advice_can_be_followed(to: str) -> None:
    error = failure(Request("poll", "GET", PATH), reply(302, location=to), 1)
    assert error.next_step == REDIRECTS[to]
    for url in re.findall(r"(?:URL to|try) (https?://\S+?)(?::? |$)", error.next_step):
        assert url_problem(url, allow_http=False) is None
