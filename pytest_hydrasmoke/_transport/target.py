"""What URLs may look like: a router's, ids quoted for its paths, and hosts that need no proxy."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, urlsplit

import httpx

from pytest_hydrasmoke._base.errors import ConfigError

_WITH_PORT = re.compile(r"(\[.*\]|[^:\[\]]*)(?::(\d+))?")
_BRACKETS = re.compile(r"\[([^\]]+)\](/\d+)?")
PORTS = {"https": 443, "http": 80}
PREFIX = "/internal/v1/smoke"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE | re.ASCII)


def url_problem(url: str, *, allow_http: bool) -> str | None:
    """Return what is wrong with a router's base URL; None if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        # The parser quotes what may be a part of a password.
        return "is not a URL" if "@" in url else f"is not a URL ({error})"
    if parts.scheme not in ("http", "https") or not host:
        return "must begin with https:// and a host, such as https://router.example"
    if parts.username is not None:
        return "must not have a user or password: the router takes the token alone"
    if "?" in url or "#" in url:
        return "must not have a query or a fragment: remove ? or # and what follows"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "has a character that is not valid in a URL"
    if not _is_host(host):
        return "has an invalid host: give a name such as router.example, or an address"
    path = parts.path.rstrip("/")
    if PREFIX in path or path.endswith(("/internal", "/internal/v1")):
        return f"must stop before /internal: {PREFIX}/... is added to it"
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        return "would send the token in clear: use https://, or set allow_http = true"
    return None


def same_router(one: str, two: str) -> bool:
    """Return whether two base URLs are equal: scheme, host, port and path."""
    return _place(one) == _place(two)


def _place(url: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return (url,)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/"), parts.query


def _is_host(host: str) -> bool:
    """Return whether a host is an address or can be resolved: otherwise retries are pointless.

    After RFC 1123, with underscores, which some name servers accept.
    """
    labels = host.removesuffix(".").split(".")
    try:
        if ":" in host:
            ipaddress.IPv6Address(host)
            return True
        if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
            return False
        if labels[-1].isdigit():
            ipaddress.IPv4Address(host)
        # httpx decodes what stands for a name in another script, if it can.
        return bool(httpx.URL(scheme="https", host=host).host)
    except (ValueError, httpx.InvalidURL):
        return False


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def segment(text: str) -> str:
    """Quote an id or key so that it stays one path segment, whatever it contains.

    Raises `ConfigError` for an empty text, for "." and "..", which quoting does not change, and for
    half a character, which it can't quote.
    """
    try:
        quoted = quote(text, safe="")
    except UnicodeEncodeError:
        quoted = ""
    if quoted in ("", ".", ".."):
        raise ConfigError(
            f"{text!r} can't name an instance or a key",
            next_step="give the id or the idempotency key that the router knows",
        )
    return quoted


def is_exempt(url: str, no_proxy: str) -> bool:
    """Return whether an entry of `NO_PROXY` matches the host of a URL.

    Other programs accept networks (`10.0.0.0/8`) there, which neither urllib nor httpx supports.
    Entries are separated by commas: a name, which also matches its subdomains, with or without a
    leading dot; an address; a network; `*`. Each but the networks may have a port.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or PORTS.get(parts.scheme)
    return any(_names(entry.strip().lower(), host, port) for entry in no_proxy.split(","))


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    network = _network(entry)
    if network is None:
        found = _WITH_PORT.fullmatch(entry)
        if found is None or (found[2] is not None and int(found[2]) != port):
            return False
        entry = found[1]
        network = _network(entry)
    if network is not None:
        address = _network(host)
        return address is not None and address[0] in network
    name = entry.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Parse a network, or an address as a network of one; None for anything else."""
    bracketed = _BRACKETS.fullmatch(text)
    try:
        return ipaddress.ip_network("".join(bracketed.groups("")) if bracketed else text, False)
    except ValueError:
        return None
