"""Where requests go: the rules for a base URL, and ids quoted for a path."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames
from pytest_hydrasmoke._base.token import Token

from .bypass import PORTS, is_exempt
from .trace import Trace

__tracebackhide__ = hide_own_frames

PREFIX = "/internal/v1/smoke"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE | re.ASCII)


def url_problem(url: str, *, allow_http: bool) -> str | None:
    """Return what is wrong with a router's base URL; None if nothing is."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is not a URL ({error})"
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

    Raises `ConfigError` for an empty text and for "." and "..", which quoting does not change.
    """
    if text in ("", ".", ".."):
        raise ConfigError(
            f"{text!r} can't name an instance or a key",
            next_step="give the id or the idempotency key that the router knows",
        )
    return quote(text, safe="")


@dataclass(frozen=True)
class Link:
    """Where the router is and how to get there; `base_url` without a slash at its end."""

    base_url: str
    token: Token | None
    ca_file: Path | None = None
    trust_env: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    """None where the certificate's file contains the key."""
    authorization: Token | None = None
    """A whole header in place of the token's."""
    left_out: str | None = None
    """A field that no request's body has."""
    run_id: str | None = None
    """The run that its requests are of."""
    trace: Trace | None = None

    @property
    def trace_id(self) -> str:
        """The trace's id; all public ways to a router have a trace."""
        assert self.trace is not None
        return self.trace.id

    @property
    def traced(self) -> str | None:
        """How an error names the trace."""
        return None if self.trace is None else self.trace.shown

    def proxy(self) -> str | None:
        """Return the environment's proxy for this origin, if the environment is trusted.

        Raises `ConfigError` for a proxy URL with a scheme other than http.
        """
        parts = urlsplit(self.base_url)
        if not self.trust_env:
            return None
        proxies = getproxies()
        # The operating system's own exceptions apply too, where it has any.
        if is_exempt(self.base_url, proxies.get("no", "")) or proxy_bypass(parts.netloc):
            return None
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if proxy is None:
            return None
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        scheme = urlsplit(proxy).scheme
        if scheme not in ("http", "https"):
            raise ConfigError(
                f"the environment's proxy speaks {scheme}: only http and https are supported",
                next_step="set HTTPS_PROXY to an http proxy, NO_PROXY, or trust_env = false",
            )
        return proxy
