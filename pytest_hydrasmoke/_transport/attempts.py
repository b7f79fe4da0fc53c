"""What one attempt at a request comes to: an answer's bytes, or the error of the network."""

from __future__ import annotations

from typing import TypeVar

from pytest_hydrasmoke._base.errors import (
    ContractError,
    TransportError,
    TransportTimeoutError,
    hide_own_frames,
)

__tracebackhide__ = hide_own_frames

T = TypeVar("T")


ANSWER_LIMIT = 1 << 20
"""Bytes of an answer that is not a stream; none of the six needs more than a few hundred."""


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
    """Return an attempt's result, or raise the error that it is."""
    if isinstance(result, TransportError):
        raise result
    return result


def lost_attempt(base_url: str, why: str, *, reached: bool, late: bool) -> TransportError:
    """Return the error of an attempt that brought no answer."""
    if reached:
        what = "no answer in time" if late else "the answer was lost"
    else:
        what = f"no connection to {base_url}" + (" in time" if late else "")
    if late:
        return TransportTimeoutError(what, reached=reached)
    return TransportError(f"{what} ({why})", reached=reached)


def queue_timeout(base_url: str) -> TransportError:
    """Return the error of a request that waited for others until its deadline, and was not sent."""
    return lost_attempt(base_url, "", reached=False, late=True)
