"""The result of one attempt at a request: an answer's bytes, or a network error."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import urlsplit

from pytest_hydrasmoke._base.errors import (
    ContractError,
    TransportError,
    TransportTimeoutError,
    hide_own_frames,
)

from .reasons import Reason
from .steps import Reached

__tracebackhide__ = hide_own_frames

T = TypeVar("T")


ANSWER_LIMIT = 1 << 20
"""Most bytes of an answer that is no stream; one of the six calls has a few hundred."""


def append(body: bytearray, chunk: bytes) -> None:
    """Add to an answer's body; raises `ContractError` beyond `ANSWER_LIMIT`."""
    body += chunk
    if len(body) > ANSWER_LIMIT:
        raise ContractError(
            "the response body exceeds the limit",
            expected=f"at most {ANSWER_LIMIT:,} bytes",
            got="more",
            next_step="find out what answers at this URL",
        )


def unwrap(result: T | TransportError) -> T:
    """Return an attempt's result, or raise it if it is an error."""
    if isinstance(result, TransportError):
        raise result
    return result


def lost_attempt(base_url: str, reason: Reason, progress: Reached, *, late: bool) -> TransportError:
    """Return the error of an attempt without an answer."""
    if late:
        return _late(base_url, reason, progress)
    what = f"no connection to {base_url}"
    if progress is Reached.BEGUN:
        what = "the request was not sent whole"
    elif progress is Reached.SENT:
        what = "the answer was lost"
    if reason.permanent and progress.reached:
        what = f"no answer from {base_url}"
    return TransportError(
        f"{what} ({reason.words})",
        reached=progress.reached,
        next_step=reason.next_step,
        permanent=reason.permanent,
    )


def _late(base_url: str, reason: Reason, progress: Reached) -> TransportTimeoutError:
    why = f": {reason.words}" if reason.next_step else ""
    words, next_step = {
        Reached.CONNECTING: (f"no connection to {base_url} in time{why}", reason.next_step),
        Reached.SHAKING_HANDS: (
            f"no connection to {base_url} in time: its TLS handshake did not end",
            f"see what accepts connections at {base_url}: it did not answer in TLS",
        ),
        Reached.UNSENT: (f"the request to {base_url} was not sent in time", None),
        Reached.BEGUN: (
            "the request was not sent whole in time",
            f"see what answers at {base_url}: it did not read the request",
        ),
        Reached.SENT: (
            "no answer in time",
            (
                "see the router's log of this moment; if it has no such request, see what else "
                f"answers at {base_url}"
            ),
        ),
    }[progress]
    return TransportTimeoutError(words, reached=progress.reached, next_step=next_step)


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
    code = _code_of(reason) if refused else 0
    return TransportError(
        f"{name} {what} ({reason.words})",
        reached=False,
        next_step=_after_proxy(code, urlsplit(base_url).hostname or base_url),
        permanent=reason.permanent or (400 <= code < 500 and code not in _OF_THE_MOMENT),
    )


_PROXY = (
    "check the environment's proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), or set "
    "trust_env = false"
)
_OF_THE_MOMENT = frozenset({408, 425, 429})
"""Refusals of a tunnel that are transient, as those from 500 on are."""


def _code_of(refusal: Reason) -> int:
    """Return the status with which a proxy refused a tunnel, which its words begin with."""
    code = refusal.words.partition(" ")[0]
    return int(code) if code.isdecimal() else 0


def _after_proxy(code: int, host: str) -> str:
    if code == 403:
        return (
            f"allow requests to {host} there; else reach the router without it: add {host} to "
            "NO_PROXY, or set trust_env = false"
        )
    if code == 407:
        return (
            "put a user and a password that it accepts into its URL, in the environment's "
            "HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT); or reach the router without it: "
            f"add {host} to NO_PROXY, or set trust_env = false"
        )
    return _PROXY


def queue_timeout() -> TransportError:
    """Return the error of a request that waited for others until its deadline, and was not sent."""
    return TransportTimeoutError(
        "the request was not sent in time: it waited for others", reached=False
    )
