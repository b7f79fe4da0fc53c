"""`NO_PROXY`, with networks: against examples, and against a reference made of bits and labels."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hydrasmoke._transport.bypass import is_exempt
from pytest_hydrasmoke._transport.target import Link

ROUTER = "https://router.example"

EXAMPLES = [
    ("https://10.1.2.3", "10.0.0.0/8", True),
    ("https://11.1.2.3", "10.0.0.0/8", False),
    ("https://10.1.2.3:8443", " 192.168.0.0/16 , 10.1.0.0/16", True),
    ("https://10.1.2.3", "10.1.2.3/32", True),
    ("https://10.1.2.3", "10.1.2.9/24", True),
    ("https://10.1.2.3", "0.0.0.0/0", True),
    ("https://10.1.2.3", "::/0", False),
    ("https://[fd00::1]", "fd00::/8", True),
    ("https://[fd00::1]", "[fd00::]/8", True),
    ("https://[fe80::1]", "fd00::/8", False),
    ("https://[::1]:8443", "::1", True),
    ("https://[::1]", "[::1]", True),
    ("https://[::1]:8443", "[::1]:8443", True),
    ("https://[::1]:8443", "[::1]:8080", False),
    ("https://[0:0::1]", "::1", True),
    ("https://10.1.2.3:8443", "10.1.2.3:8443", True),
    ("https://10.1.2.3:8443", "10.1.2.3:80", False),
    ("https://10.1.2.3", "10.1.2", False),
    ("https://10.1.2.3", "10.0.0.0/99", False),
    (ROUTER, "10.0.0.0/8", False),
    (ROUTER, "router.example", True),
    (ROUTER, "ROUTER.example", True),
    ("https://router.example.", "router.example", True),
    (ROUTER, ".example", True),
    (ROUTER, "*.example", True),
    (ROUTER, ".router.example", True),
    (ROUTER, "outer.example", False),
    (ROUTER, "router.example:443", True),
    ("http://router.example", "router.example:80", True),
    (ROUTER, "router.example:8443", False),
    (ROUTER, "*", True),
    (ROUTER, "other.example,*", True),
    (ROUTER, "", False),
    (ROUTER, ",.,:,:443,[,]x[", False),
]


@pytest.mark.parametrize(("url", "no_proxy", "exempt"), EXAMPLES)
def test_no_proxy_takes_names_addresses_and_networks(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, exempt: bool
) -> None:
    assert is_exempt(url, no_proxy) is exempt
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert (Link(url, None, trust_env=True).proxy() is None) is exempt


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


@given(LABELS, st.sampled_from([443, 8443]), st.lists(ENTRIES, max_size=4))
def test_names_are_those_of_the_reference(
    host: list[str], port: int, entries: list[tuple[str, list[str], int | None]]
) -> None:
    no_proxy = ",".join(
        f"{dot}{'.'.join(labels)}" + ("" if wanted is None else f":{wanted}")
        for dot, labels, wanted in entries
    )
    expected = any(
        host[-len(labels) :] == labels and wanted in (None, port) for _, labels, wanted in entries
    )
    assert is_exempt(f"https://{'.'.join(host)}:{port}", no_proxy) is expected


@given(st.text(max_size=30))
def test_whatever_stands_there_is_no_error(no_proxy: str) -> None:
    assert is_exempt(ROUTER, no_proxy) in (True, False)
