"""What a failed attempt is: why it failed, in words, and whether the router may have had it."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httpcore
import httpx

from pytest_hydrasmoke._base.errors import TransportError, TransportTimeoutError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import bare

from .links import Link
from .names import NameTimeoutError
from .steps import PROXY_ERRORS, Reached, Steps

FAULTS = (
    httpx.TransportError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    # Under anyio, a TLS error after the handshake has no httpcore class: under TLS 1.3 a missing
    # client certificate, or a damaged record.
    ssl.SSLError,
    TimeoutError,
)
_LATE = (httpx.TimeoutException, httpcore.TimeoutException, TimeoutError)
_TRUST = (
    "set ca_file (HYDRA_SMOKE_CA_FILE) to a PEM file of the CA that signed the router's certificate"
)
_NAME = "check HYDRA_SMOKE_URL: the certificate there is for another name"
_TIME = "renew the router's certificate, or correct this machine's clock"
_ADVICE = {9: _TIME, 10: _TIME, 62: _NAME, 64: _NAME}
"""By OpenSSL verification code; for most others `_TRUST` is the remedy."""
_RESOLVER = "check HYDRA_SMOKE_URL, and this machine's name servers: they did not answer in time"
_CLIENT = (
    "if it asks its clients for a certificate, set client_cert (HYDRA_SMOKE_CLIENT_CERT) and "
    "client_key to one that it accepts"
)
_CLEAR = (
    "check the port in HYDRA_SMOKE_URL: what answers there does not speak https; plain http is "
    "only for this machine, unless allow_http is set"
)
_PROXY = (
    "check the environment's proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), or set "
    "trust_env = false"
)
_REFUSED = {
    403: "allow requests to {host} there; else reach the router without it: add {host} to "
    "NO_PROXY, or set trust_env = false",
    407: "put a user and a password that it accepts into its URL, in the environment's HTTPS_PROXY "
    "(http://USER:PASSWORD@HOST:PORT); or reach the router without it: add {host} to NO_PROXY, or "
    "set trust_env = false",
}
"""By the status with which a proxy refused a tunnel; for all others `_PROXY` is the remedy."""
_OF_THE_MOMENT = frozenset({408, 425, 429})
"""Refusals of a tunnel that are transient, as those from 500 on are."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")
"""What OpenSSL makes of bytes that are no TLS."""
_OTHER_NUMBERS = (socket.gaierror, ssl.SSLError)
"""Errors whose numbers are not the system's errno values."""
_HOW_FAR = {
    Reached.CONNECTING: ("no connection to {url}", "no connection to {url} in time", ""),
    Reached.SHAKING_HANDS: (
        "no connection to {url}",
        "no connection to {url} in time: its TLS handshake did not end",
        "see what accepts connections at {url}: it did not answer in TLS",
    ),
    Reached.UNSENT: ("no connection to {url}", "the request to {url} was not sent in time", ""),
    Reached.BEGUN: (
        "the request was not sent whole",
        "the request was not sent whole in time",
        "see what answers at {url}: it did not read the request",
    ),
    Reached.SENT: (
        "the answer was lost",
        "no answer in time",
        (
            "see the router's log of this moment; if it has no such request, see what else "
            "answers at {url}"
        ),
    ),
}
"""How far it came: what is said where it failed, and at its deadline, and what to do about that."""


def lost(raised: BaseException, link: Link, steps: Steps | None = None) -> TransportError:
    """Return the error of an attempt; re-raise what is no network failure, without its frames.

    Call it outside `except`: the frames that raised it, which hold the header, would become
    the context of everything raised here.
    """
    bare(raised)
    if not isinstance(raised, FAULTS):
        raise raised
    return fault(raised, link, steps)


def fault(error: Exception, link: Link, steps: Steps | None = None) -> TransportError:
    """Return the error of a failed attempt; without `steps` the request had been sent."""
    late, reason = isinstance(error, _LATE), reason_of(error, steps and steps.failure)
    if steps is None:
        return lost_attempt(link.base_url, reason, Reached.SENT, late=late)
    proxy = steps.failed_proxy(error)
    if proxy is not None:
        refused = isinstance(error, PROXY_ERRORS)
        return lost_at_proxy(proxy, link.base_url, reason, refused=refused, late=late)
    return lost_attempt(link.base_url, reason, steps.progress(error), late=late)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why it failed; `permanent` if a retry can't help."""

    words: str
    next_step: str | None = None
    permanent: bool = False


def reason_of(error: BaseException, first: object = None) -> Reason:
    """Return the reason of an error, from its causes, or from `first`, an earlier error."""
    causes = [*_causes(error), *(_causes(first) if isinstance(first, Exception) else ())]
    for one in causes:
        if isinstance(one, NameTimeoutError):
            return Reason(str(one), _RESOLVER)
        if isinstance(one, ssl.SSLCertVerificationError):
            words = f"certificate verify failed: {safe_line(one.verify_message)}"
            return Reason(words, _ADVICE.get(one.verify_code, _TRUST), permanent=True)
        if isinstance(one, ssl.SSLError) and _refuses_client(one.reason or ""):
            words = (one.reason or "").rpartition("ALERT_")[2].lower().replace("_", " ")
            return Reason(f"it refused this client: {words}", _CLIENT, permanent=True)
        if isinstance(one, ssl.SSLError) and one.reason in _NO_TLS:
            return Reason(safe_line(str(one)), _CLEAR, permanent=True)
    for one in causes:
        # An error of the system, below library errors that only say that something failed.
        if isinstance(one, OSError) and one.errno and not isinstance(one, _OTHER_NUMBERS):
            return Reason(f"[Errno {one.errno}] {os.strerror(one.errno)}")
    # Of a broken connection anyio keeps no cause before 4.13, but a lookup in an empty queue.
    said = (str(one) for one in causes if not isinstance(one, LookupError))
    return Reason(safe_line(next(filter(None, said), type(error).__name__)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += reversed(cast("BaseExceptionGroup[BaseException]", one).exceptions)
        waiting.append(one.__cause__ or one.__context__)


def _refuses_client(reason: str) -> bool:
    """Return whether a server's TLS alert is about its client, such as its certificate."""
    about = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
    return "ALERT_" in reason and any(word in reason for word in about)


def lost_attempt(base_url: str, reason: Reason, progress: Reached, *, late: bool) -> TransportError:
    """Return the error of an attempt without an answer."""
    failed, words, advice = (text.format(url=base_url) for text in _HOW_FAR[progress])
    if late:
        if progress is Reached.CONNECTING and reason.next_step:
            words, advice = f"{words}: {reason.words}", reason.next_step
        return TransportTimeoutError(words, reached=progress.reached, next_step=advice or None)
    if reason.permanent and progress.reached:
        failed = f"no answer from {base_url}"
    return TransportError(
        f"{failed} ({reason.words})",
        reached=progress.reached,
        next_step=reason.next_step,
        permanent=reason.permanent,
    )


def lost_at_proxy(
    proxy: str, base_url: str, reason: Reason, *, refused: bool, late: bool
) -> TransportError:
    """Return the error of an attempt that did not get past a proxy; nothing was sent."""
    # Only its host and port: its URL may contain a user and a password.
    name = f"the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}"
    if late:
        return TransportTimeoutError(
            f"{name} did not answer in time", reached=False, next_step=_PROXY
        )
    what = "refused to connect to the router" if refused else "can't be used"
    # The words of a refusal begin with its status.
    first = reason.words.partition(" ")[0]
    code = int(first) if refused and first.isdecimal() else 0
    return TransportError(
        f"{name} {what} ({reason.words})",
        reached=False,
        next_step=_REFUSED.get(code, _PROXY).format(host=urlsplit(base_url).hostname or base_url),
        permanent=reason.permanent or (400 <= code < 500 and code not in _OF_THE_MOMENT),
    )


def queue_timeout() -> TransportError:
    """Return the error of a request that waited for others until its deadline, and was not sent."""
    return TransportTimeoutError(
        "the request was not sent in time: it waited for others", reached=False
    )
