"""Readable reasons for a failed attempt, and whether a retry may help."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from pytest_hydrasmoke._base.text import safe_line

from .names import NameTimeoutError

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


_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST")
"""What OpenSSL makes of bytes that are no TLS."""
_OTHER_NUMBERS = (socket.gaierror, ssl.SSLError)
"""Errors whose numbers are not the system's errno values."""


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
