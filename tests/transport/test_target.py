"""The rules for a router's URL, and ids that stay one segment of a path."""

from __future__ import annotations

import gc
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._transport import target
from pytest_hydrasmoke._transport.httpx_adapter import build
from pytest_hydrasmoke._transport.protocol import Request
from pytest_hydrasmoke._transport.target import PREFIX, Link, is_loopback, segment, url_problem

SCHEME = "must begin with https:// and a host, such as https://router.example"
USER = "must not have a user or password: the router takes the token alone"
QUERY = "must not have a query or a fragment: remove ? or # and what follows"
CHARACTER = "has a character that is not valid in a URL"
INTERNAL = "must stop before /internal: /internal/v1/smoke/... is added to it"
HOST = "has an invalid host: give a name such as router.example, or an address"
CLEAR = "would send the token in clear: use https://, or set allow_http = true"

URLS = {
    "https://router.example": None,
    "https://router.example/": None,
    "https://router.example/api": None,
    "https://router.example/api/": None,
    "https://router.example:8443/a/b": None,
    "HTTPS://Router.Example": None,
    "https://[2001:db8::1]:8443": None,
    "https://router.example/internal-tools": None,
    "http://localhost": None,
    "http://localhost:8000/api": None,
    "http://LOCALHOST:8000": None,
    "http://fake.localhost": None,
    "http://127.0.0.1:9": None,
    "http://127.9.9.9": None,
    "http://[::1]:8000": None,
    "http://router.example": CLEAR,
    "http://10.0.0.1": CLEAR,
    "http://localhost.example": CLEAR,
    "http://notlocalhost": CLEAR,
    "http://127.0.0.1.example": CLEAR,
    "http://[::2]": CLEAR,
    "": SCHEME,
    "router.example": SCHEME,
    "//router.example": SCHEME,
    "https://": SCHEME,
    "https:///api": SCHEME,
    "https:router.example": SCHEME,
    "ftp://router.example": SCHEME,
    "file:///etc": SCHEME,
    "https://me@router.example": USER,
    "https://me:secret@router.example": USER,
    "https://:secret@router.example": USER,
    "https://@router.example": USER,
    "https://router.example\\@other.example": USER,
    "https://router.example?x=1": QUERY,
    "https://router.example/api#x": QUERY,
    "https://router.example?": QUERY,
    "https://router.example/api#": QUERY,
    "https://router.example/a b": CHARACTER,
    "https://xn--bcher-kva.example": None,
    "https://a_b.example": None,
    "https://router.example.": None,
    "https://192.0.2.7": None,
    "https://999.1.1.1": HOST,
    "https://1.2.3": HOST,
    "https://0x7f.1": HOST,
    "https://xn--a.example": HOST,
    "https://./": HOST,
    "https://a..b": HOST,
    "https://-a.example": HOST,
    "https://*.example": HOST,
    f"https://{'a' * 64}.example": HOST,
    f"https://{'a.' * 127}example": HOST,
    " https://router.example": CHARACTER,
    "https://router.example\n": CHARACTER,
    "https://router.example/\tapi": CHARACTER,
    "https://röuter.example": CHARACTER,
    "https://router.example/internal": INTERNAL,
    "https://router.example/api/internal/": INTERNAL,
    "https://router.example/api/internal/v1/": INTERNAL,
    "https://router.example/internal/v1/smoke": INTERNAL,
    "https://router.example/api/internal/v1/smoke/provision": INTERNAL,
}


@pytest.mark.parametrize("url", URLS, ids=repr)
def test_what_is_wrong_with_a_url_is_told_and_plain_http_alone_may_be_allowed(url: str) -> None:
    problem = URLS[url]
    assert url_problem(url, allow_http=False) == problem
    assert url_problem(url, allow_http=True) == (None if problem == CLEAR else problem)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://router.example:port", "Port could not be cast"),
        ("https://router.example:70000", "Port out of range"),
        ("https://[::1", "Invalid IPv6 URL"),
    ],
)
def test_what_is_no_url_at_all_is_told_in_the_parsers_words(url: str, why: str) -> None:
    problem = url_problem(url, allow_http=False)
    assert problem is not None
    assert problem.startswith(f"is not a URL ({why}")


HOSTS = st.from_regex(r"\A[a-z0-9.@:\\\[\]%]{1,20}\Z")
PATHS = st.from_regex(r"\A(/[a-z@:\\% ?#]{0,6}){0,3}\Z")


@given(st.builds("{}://{}{}".format, st.sampled_from(["http", "https"]), HOSTS, PATHS))
@example("https://router.example\x00")
@example("https://router.example/@other.example")
def test_a_url_that_passes_leads_to_its_host_and_nowhere_else(url: str) -> None:
    if url_problem(url, allow_http=False) is None:
        parts = urlsplit(url + PREFIX)
        assert parts.scheme == "https" or is_loopback(str(parts.hostname))
        assert parts.hostname == urlsplit(url).hostname
        assert (parts.username, parts.password) == (None, None)
        assert "@" not in parts.netloc


# --- segments --------------------------------------------------------------------------------

SEGMENTS = {
    "night-0": "night-0",
    "a b": "a%20b",
    "../x": "..%2Fx",
    "a/b": "a%2Fb",
    "a\\b": "a%5Cb",
    "?q#f": "%3Fq%23f",
    "%2e": "%252e",
    "a@b:c": "a%40b%3Ac",
    "...": "...",
    "\r\n": "%0D%0A",
    "é🐙": "%C3%A9%F0%9F%90%99",
}


def test_an_id_is_quoted_into_one_segment() -> None:
    for text, quoted in SEGMENTS.items():
        assert segment(text) == quoted


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_segment_stays_one_segment_and_means_its_text(text: str) -> None:
    assume(text not in (".", ".."))
    quoted = segment(text)
    assert unquote(quoted) == text
    assert urlsplit(f"https://router.example/a/{quoted}/b").path.split("/") == [
        "",
        "a",
        quoted,
        "b",
    ]


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_what_no_quoting_keeps_in_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        segment(text)
    assert str(caught.value) == (
        f"{text!r} can't name an instance or a key\n"
        "  next step: give the id or the idempotency key that the router knows"
    )


# --- proxies ---------------------------------------------------------------------------------

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


PROXIES = [
    # the environment, whether it is trusted, the base URL, the proxy
    ({}, True, "https://router.example", None),
    ({"https_proxy": PROXY}, False, "https://router.example", None),
    ({"https_proxy": PROXY}, True, "https://router.example", PROXY),
    ({"HTTPS_PROXY": PROXY}, True, "https://router.example/api", PROXY),
    ({"https_proxy": PROXY}, True, "http://router.example", None),
    ({"http_proxy": PROXY}, True, "http://router.example", PROXY),
    ({"all_proxy": PROXY}, True, "https://router.example", PROXY),
    ({"all_proxy": "http://other.example", "https_proxy": PROXY}, True, "https://r.example", PROXY),
    ({"https_proxy": PROXY, "no_proxy": "router.example"}, True, "https://router.example", None),
    ({"https_proxy": PROXY, "no_proxy": "other.example"}, True, "https://router.example", PROXY),
    ({"https_proxy": PROXY, "no_proxy": "*"}, True, "https://router.example", None),
    ({"https_proxy": PROXY, "no_proxy": ".example"}, True, "https://router.example:8443", None),
    ({"https_proxy": "proxy.example:3128"}, True, "https://router.example", PROXY),
    ({"https_proxy": "https://p.example"}, True, "https://r.example", "https://p.example"),
]


@pytest.mark.parametrize(("environment", "trusted", "url", "proxy"), PROXIES)
def test_the_environments_proxy_is_used_only_where_it_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    trusted: bool,
    url: str,
    proxy: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Link(url, None, trust_env=trusted).proxy() == proxy


@pytest.mark.parametrize(
    ("url", "proxy"), [("https://router.example", PROXY), ("https://intranet.example", None)]
)
def test_so_is_the_proxy_that_windows_or_a_mac_has_in_its_settings(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None
) -> None:
    # As `urllib.request` gives it there, where no variable says otherwise.
    monkeypatch.setattr(target, "getproxies", lambda: {"http": PROXY, "https": PROXY})
    monkeypatch.setattr(target, "proxy_bypass", lambda host: host == "intranet.example")
    assert Link(url, None, trust_env=True).proxy() == proxy
    assert Link(url, None, trust_env=False).proxy() is None


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "ftp"])
def test_a_proxy_that_speaks_anything_but_http_is_refused(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("all_proxy", f"{scheme}://user:made-up@proxy.example:1080")
    with pytest.raises(ConfigError) as caught:
        Link("https://router.example", None, trust_env=True).proxy()
    assert str(caught.value) == (
        f"the environment's proxy speaks {scheme}: only http and https are supported\n"
        "  next step: set HTTPS_PROXY to an http proxy, NO_PROXY, or trust_env = false"
    )
    assert Link("https://router.example", None, trust_env=False).proxy() is None


def test_a_link_trusts_no_environment_unless_told_to() -> None:
    link = Link("https://router.example", Token("made-up-token"), ca_file=Path("ca.pem"))
    assert link.trust_env is False
    assert "made-up" not in repr(link)


def test_urls_that_are_not_asked_for_again_are_not_kept() -> None:
    link, path = Link("https://router.example", None), f"{PREFIX}/instances/a/llm-events"
    for seconds in range(1000):
        built = build(link, Request("llm_events", "GET", f"{path}?window_seconds={seconds}"))
        assert built.url.query == f"window_seconds={seconds}".encode()
    gc.collect()
    assert sum(isinstance(one, httpx.URL) for one in gc.get_objects()) < 100
