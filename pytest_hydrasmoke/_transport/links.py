"""Where a client's requests go and by which way, and the trace that they belong to.

A trace's headers are those of W3C's Trace Context, level 1. A pipeline that is traced itself gives
its trace in `TRACEPARENT` and `TRACESTATE`; else the run has one of its own, the same in each of
its processes. By it the router's operators find each request.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.token import Token

from .certificates import certificates_problem, client_problem, context_of
from .target import is_exempt, url_problem

HEADER = re.compile(r"[\x21-\x7e]+( +[\x21-\x7e]+)*")
StrPath = str | PathLike[str]
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?P<id>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
PLACE = "{trace_id}"
"""Where a link to a trace has its id."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace, and the link to it."""

    id: str
    """32 hexadecimal digits."""
    state: str | None = None
    """What a tracing system of the pipeline adds, as it stands."""
    url: str | None = None
    """A link, with `PLACE` in it."""

    def headers(self) -> dict[str, str]:
        """Return those of one request, which is a span of its own."""
        parent = f"00-{self.id}-{os.urandom(8).hex()}-01"
        state = {} if self.state is None else {"tracestate": self.state}
        return {"traceparent": parent, **state}

    @property
    def shown(self) -> str:
        """The link to it, or its id where there is none."""
        return self.id if self.url is None else self.url.replace(PLACE, self.id)


def trace_of(
    name: str | None, url: str | None = None, environ: Mapping[str, str] = os.environ
) -> Trace:
    """Return the pipeline's trace, else one of this name, else a new one."""
    parent = _PARENT.fullmatch(environ.get("TRACEPARENT", ""))
    if parent is not None and parent["id"].strip("0") and parent["span"].strip("0"):
        state = environ.get("TRACESTATE", "")
        return Trace(parent["id"], state if _STATE.fullmatch(state) else None, url)
    digest = hashlib.sha256((name or os.urandom(16).hex()).encode()).hexdigest()
    return Trace(digest[:32], None, url)


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

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for it; None for plain http."""
        if not self.base_url.startswith("https:"):
            return None
        return context_of(self.ca_file, self.trust_env, self.client_cert, self.client_key)


def link_to(
    base_url: str,
    token: Token,
    *,
    ca_file: StrPath | None = None,
    trust_env: bool = False,
    client_cert: StrPath | None = None,
    client_key: StrPath | None = None,
) -> Link:
    """Check a client's arguments; raises `ConfigError`."""
    problem = url_problem(base_url, allow_http=True)
    if problem is not None:
        raise ConfigError(
            f"the router's URL {problem}", next_step="give a URL such as https://router.example"
        )
    _check_token(token)
    ca, cert, key = (
        None if given is None else Path(given).absolute()
        for given in (ca_file, client_cert, client_key)
    )
    if ca is not None:
        _check("ca_file", certificates_problem(ca))
    if cert is not None:
        _check("client_cert", client_problem(cert, key))
    elif key is not None:
        raise ConfigError(
            "client_key is without client_cert",
            next_step="give client_cert, the file of the certificate that the key belongs to, as "
            "PEM; if that file has the key in it, leave out client_key",
        )
    return Link(base_url.rstrip("/"), token, ca, trust_env, cert, key, trace=trace_of(None))


def _check_token(token: Token) -> None:
    if token.problem is not None:
        raise ConfigError(
            f"the token {token.problem}", next_step="correct HYDRA_SMOKE_TOKEN or the token file"
        )


def link_of(token: Token | None, link: Link) -> Link:
    """Return the link with this token, or with none; raises `ConfigError`."""
    if token is not None:
        _check_token(token)
    return dataclasses.replace(link, token=token, authorization=None)


def authorized(header: Token | None, link: Link) -> Link:
    """Return the link with a whole header in place of the token's, or with none."""
    if header is not None and not HEADER.fullmatch(header.reveal()):
        raise ConfigError(
            "the authorization can't be sent in a header",
            next_step="give printable ASCII, without blanks around it",
        )
    return dataclasses.replace(link, token=None, authorization=header)


def _check(argument: str, problem: str | None) -> None:
    if problem is not None:
        raise ConfigError(f"{argument}: {problem}", next_step="give a file that can be used")
