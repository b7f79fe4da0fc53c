"""Where requests go: rules for a router's URL, ids in a path, proxies, and the trace of each."""

from __future__ import annotations

import gc
import ipaddress
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from net_tools import client_of
from transport_tools import without_proxies

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._transport import links
from pytest_hydrasmoke._transport.exchange import build
from pytest_hydrasmoke._transport.links import Link, Trace, trace_of
from pytest_hydrasmoke._transport.protocol import Request
from pytest_hydrasmoke._transport.target import PREFIX, is_exempt, is_loopback, segment, url_problem

ROUTER = "https://router.example"
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
    "https://router.example/api/": None,
    "https://router.example:8443/a/b": None,
    "HTTPS://Router.Example": None,
    "https://[2001:db8::1]:8443": None,
    "https://router.example/internal-tools": None,
    "http://localhost": None,
    "http://LOCALHOST:8000": None,
    "http://fake.localhost": None,
    "http://127.0.0.1:9": None,
    "http://[::1]:8000": None,
    "http://router.example": CLEAR,
    "http://10.0.0.1": CLEAR,
    "http://localhost.example": CLEAR,
    "http://127.0.0.1.example": CLEAR,
    "http://[::2]": CLEAR,
    "": SCHEME,
    "router.example": SCHEME,
    "https://": SCHEME,
    "https:router.example": SCHEME,
    "ftp://router.example": SCHEME,
    "https://me:secret@router.example": USER,
    "https://:secret@router.example": USER,
    "https://@router.example": USER,
    "https://router.example\\@other.example": USER,
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
    "https://router.example/api/internal/": INTERNAL,
    "https://router.example/api/internal/v1/": INTERNAL,
    "https://router.example/internal/v1/smoke": INTERNAL,
    "https://router.example/api/internal/v1/smoke/provision": INTERNAL,
}


def test_what_is_wrong_with_a_url_is_told_and_plain_http_alone_may_be_allowed() -> None:
    assert {url: url_problem(url, allow_http=False) for url in URLS} == URLS
    allowed = {url: None if problem == CLEAR else problem for url, problem in URLS.items()}
    assert {url: url_problem(url, allow_http=True) for url in URLS} == allowed
    # What is no URL at all is told in the parser's words.
    for url, why in {
        "https://router.example:port": "Port could not be cast",
        "https://router.example:70000": "Port out of range",
        "https://[::1": "Invalid IPv6 URL",
    }.items():
        assert str(url_problem(url, allow_http=False)).startswith(f"is not a URL ({why}")
    for kind in ("sync", "asyncio"):
        with pytest.raises(ConfigError, match="the router's URL must not have a query"):
            client_of(kind, f"{ROUTER}/?x=1")


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


def test_urls_that_are_not_asked_for_again_are_not_kept() -> None:
    link, path = Link(ROUTER, None), f"{PREFIX}/instances/a/llm-events"
    for seconds in range(1000):
        built = build(link, Request("llm_events", "GET", f"{path}?window_seconds={seconds}"))
        assert built.url.target == f"{path}?window_seconds={seconds}".encode()
    gc.collect()
    assert sum(isinstance(one, httpx.URL) for one in gc.get_objects()) < 100


def test_a_request_without_the_token_has_no_header_of_it() -> None:
    for link in (
        Link(ROUTER, Token("made-up-token")),
        Link(ROUTER, None, authorization=Token("x" * 9)),
    ):
        for anonymous in (True, False):
            built = build(link, Request("poll", "GET", PREFIX, anonymous=anonymous))
            assert (b"authorization" in dict(built.headers)) is not anonymous


# Segments

SEGMENTS = {
    "a b": "a%20b",
    "../x": "..%2Fx",
    "?q#f": "%3Fq%23f",
    "a@b:c": "a%40b%3Ac",
    "...": "...",
}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_id_is_quoted_into_one_segment_and_means_its_text(text: str) -> None:
    assert {it: segment(it) for it in SEGMENTS} == SEGMENTS
    assume(text not in (".", ".."))
    quoted = segment(text)
    assert unquote(quoted) == text
    assert urlsplit(f"{ROUTER}/a/{quoted}/b").path.split("/") == ["", "a", quoted, "b"]


def test_what_no_quoting_keeps_in_place_is_refused() -> None:
    for text in ("", ".", "..", "a\ud800"):
        with pytest.raises(ConfigError) as caught:
            segment(text)
        assert str(caught.value) == (
            f"{text!r} can't name an instance or a key\n"
            "  next step: give the id or the idempotency key that the router knows"
        )


# Proxies, and hosts that are reached without them: against a reference made of bits and labels

PROXY = "http://proxy.example:3128"
PROXIES: list[tuple[dict[str, str], str, str | None]] = [
    # The environment, the base URL, the proxy.
    ({}, ROUTER, None),
    ({"HTTPS_PROXY": PROXY}, f"{ROUTER}/api", PROXY),
    ({"https_proxy": PROXY}, "http://router.example", None),
    ({"http_proxy": PROXY}, "http://router.example", PROXY),
    ({"all_proxy": PROXY}, ROUTER, PROXY),
    ({"all_proxy": "http://other.example", "https_proxy": PROXY}, ROUTER, PROXY),
    ({"https_proxy": "proxy.example:3128"}, ROUTER, PROXY),
    ({"https_proxy": "https://p.example"}, ROUTER, "https://p.example"),
]
EXEMPT = [
    ("https://10.1.2.3", "10.0.0.0/8", True),
    ("https://10.1.2.3:8443", " 192.168.0.0/16 , 10.1.0.0/16", True),
    ("https://10.1.2.3", "::/0", False),
    ("https://[fd00::1]", "fd00::/8", True),
    ("https://[fd00::1]", "[fd00::]/8", True),
    ("https://[fe80::1]", "fd00::/8", False),
    ("https://[::1]", "[::1]", True),
    ("https://[::1]:8443", "[::1]:8443", True),
    ("https://[::1]:8443", "[::1]:8080", False),
    ("https://[0:0::1]", "::1", True),
    ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
    ("https://10.1.2.3:8443", "10.1.2.3:80", False),
    ("https://10.1.2.3", "10.1.2", False),
    ("https://10.1.2.3", "10.0.0.0/99", False),
    (ROUTER, "ROUTER.example", True),
    ("https://router.example.", "router.example", True),
    (ROUTER, "router.example:443", True),
    ("http://router.example", "router.example:80", True),
    (ROUTER, "*", True),
    (ROUTER, "other.example,*", True),
    (ROUTER, "", False),
    (ROUTER, ",.,:,:443,[,]x[", False),
]


def test_the_environments_proxy_is_used_only_where_it_is_trusted_and_not_exempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exempt = [
        ({"https_proxy": PROXY, "http_proxy": PROXY, "no_proxy": no}, url, None if out else PROXY)
        for url, no, out in EXEMPT
    ]
    for environment, url, proxy in (*PROXIES, *exempt):
        with monkeypatch.context() as patch:
            without_proxies(patch)
            for name, value in environment.items():
                patch.setenv(name, value)
            assert (environment, Link(url, None, trust_env=True).proxy()) == (environment, proxy)
            assert Link(url, None).proxy() is None
    for url, no_proxy, out in EXEMPT:
        assert (url, no_proxy, is_exempt(url, no_proxy)) == (url, no_proxy, out)


def test_so_is_the_proxy_that_windows_or_a_mac_has_in_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As `urllib.request` gives it there, where no variable says otherwise.
    monkeypatch.setattr(links, "getproxies", lambda: {"http": PROXY, "https": PROXY})
    monkeypatch.setattr(links, "proxy_bypass", lambda host: host == "intranet.example")
    for url, proxy in ((ROUTER, PROXY), ("https://intranet.example", None)):
        assert Link(url, None, trust_env=True).proxy() == proxy
        assert Link(url, None, trust_env=False).proxy() is None


@pytest.mark.parametrize("scheme", ["socks5", "ftp"])
def test_a_proxy_that_speaks_anything_but_http_is_refused(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    without_proxies(monkeypatch)
    monkeypatch.setenv("all_proxy", f"{scheme}://user:made-up@proxy.example:1080")
    with pytest.raises(ConfigError) as caught:
        Link(ROUTER, None, trust_env=True).proxy()
    assert str(caught.value) == (
        f"the environment's proxy speaks {scheme}: only http and https are supported\n"
        "  next step: set HTTPS_PROXY to an http proxy, NO_PROXY, or trust_env = false"
    )
    link = Link(ROUTER, Token("made-up-token"), ca_file=Path("ca.pem"))
    assert (link.trust_env, link.proxy()) == (False, None)
    assert "made-up" not in repr(link)


def is_among(bits: int, host: int, network: int, length: int) -> bool:
    """Say whether an address begins with so many bits of another: the reference."""
    return f"{host:0{bits}b}"[:length] == f"{network:0{bits}b}"[:length]


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 32), st.booleans())
@example(0, 2**32 - 1, 0, False)
@example(2**32 - 1, 2**32 - 1, 32, False)
def test_networks_of_ipv4_are_those_of_the_reference(
    host: int, network: int, length: int, near: bool
) -> None:
    network = host ^ (1 << (31 - length % 32)) if near else network
    no_proxy = f"{ipaddress.IPv4Address(network)}/{length}"
    url = f"https://{ipaddress.IPv4Address(host)}"
    assert is_exempt(url, no_proxy) is is_among(32, host, network, length)


LABELS = st.lists(st.sampled_from(["a", "b", "ab", "x-1"]), min_size=1, max_size=4)
ENTRIES = st.tuples(st.sampled_from(["", ".", "*."]), LABELS, st.sampled_from([None, 443, 8443]))


@given(LABELS, st.sampled_from([443, 8443]), st.lists(ENTRIES, max_size=4), st.text(max_size=30))
def test_names_are_those_of_the_reference_and_whatever_stands_there_is_no_error(
    host: list[str], port: int, entries: list[tuple[str, list[str], int | None]], other: str
) -> None:
    no_proxy = ",".join(
        f"{dot}{'.'.join(labels)}" + ("" if wanted is None else f":{wanted}")
        for dot, labels, wanted in entries
    )
    expected = any(
        host[-len(labels) :] == labels and wanted in (None, port) for _, labels, wanted in entries
    )
    assert is_exempt(f"https://{'.'.join(host)}:{port}", no_proxy) is expected
    assert is_exempt(ROUTER, other) in (True, False)


# Every request can be found: its trace, its run and its client, told to the one origin

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{ID}-{SPAN}-01"
NO_PARENTS = (
    *("", "00", ID, f"00-{ID}-{SPAN}", f"00-{ID}-{SPAN}-01-", f" {PARENT}", PARENT.upper()),
    *(f"ff-{ID}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01"),
)


def test_a_request_is_a_span_of_the_pipeline_s_trace_or_of_the_run_s_own() -> None:
    trace = trace_of("run", environ={"TRACEPARENT": PARENT, "TRACESTATE": "vendor=1"})
    one, other = trace.headers(), trace.headers()
    assert one["traceparent"].startswith(f"00-{ID}-")
    assert one["traceparent"] != other["traceparent"]
    assert SPAN not in one["traceparent"]
    assert one["tracestate"] == "vendor=1"
    # Its own is the same in all of its processes.
    own = trace_of("run", environ={})
    assert own.id != trace_of("other", environ={}).id
    assert trace_of(None, environ={}).id != trace_of(None, environ={}).id
    assert own.headers().keys() == {"traceparent"}
    for parent in NO_PARENTS:
        environ = {"TRACEPARENT": parent, "TRACESTATE": "vendor=1"}
        assert (parent, trace_of("run", environ=environ)) == (parent, own)
    assert Trace(ID).shown == ID
    assert Trace(ID, url="https://traces.example/t/{trace_id}?a=1").shown.endswith(f"/t/{ID}?a=1")


@given(st.text(), st.text(), st.text())
def test_its_headers_are_safe_whatever_the_environment(name: str, parent: str, state: str) -> None:
    form = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")
    for environ in ({"TRACEPARENT": parent}, {"TRACEPARENT": PARENT, "TRACESTATE": state}):
        for key, value in trace_of(name, environ=environ).headers().items():
            assert value.isascii()
            assert value.isprintable()
            assert key != "traceparent" or form.fullmatch(value)
