"""The target of a client: its arguments, checked before anything is sent."""

from __future__ import annotations

import dataclasses
import re
from os import PathLike
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames
from pytest_hydrasmoke._base.token import Token

from .certificates import certificates_problem, client_problem
from .target import Link, url_problem
from .trace import trace_of

__tracebackhide__ = hide_own_frames

HEADER = re.compile(r"[\x21-\x7e]+( +[\x21-\x7e]+)*")
StrPath = str | PathLike[str]


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
