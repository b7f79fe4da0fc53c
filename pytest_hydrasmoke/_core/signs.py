"""What a chat shows without a word of it; pure rules.

A refusal may mean that its message was not accepted in time, or that it is run all the same. A
reply that comes late and all at once looks like a proxy that buffers the stream, and one that falls
silent like a proxy that cuts silent streams: these make notes and advice, never a failure.
"""

from __future__ import annotations

from typing import Literal

from pytest_hydrasmoke._api.retry import RULES
from pytest_hydrasmoke._base.errors import (
    ChatTimeoutError,
    HydraSmokeError,
    RouterError,
    TransportError,
)

Pace = Literal["at once", "streamed"]

TEXTS = 5
"""Fewest events with text from which the pace of a stream can be judged.

A framework that does not stream sends its text in one event, among half a dozen others.
"""
AWAITED = 1.0
"""Seconds before the first event that count as held back; a shorter wait does no harm."""
EACH = 0.0005
"""Seconds per event with text, from the first event to the last: no model is that fast."""
SILENT = 1.0
"""Seconds without a byte from which a silence is reported."""
NEAR = 0.3
"""Seconds by which a silence may miss a limit that cut it."""
ROUND = 5.0
"""Limits of proxies are multiples of this many seconds: 30, 50, 60, 100, 350."""


def pace(texts: int, awaited: float, spread: float) -> Pace | None:
    """Return how a stream came; None if it was too short, or too quick, to judge.

    `texts` of its events had text; its reader waited `awaited` seconds for the first event, and
    `spread` seconds passed from that to the last one.
    """
    if texts < TEXTS:
        return None
    if spread > EACH * texts:
        return "streamed"
    return "at once" if awaited >= AWAITED else None


def is_limit(silence: float, before: tuple[float, ...]) -> bool:
    """Return whether a stream was cut as by a limit: after a round time, or the same as before.

    `before` are the silences after which earlier ones were cut.
    """
    to_round = abs(silence - round(silence / ROUND) * ROUND)
    is_round = to_round <= NEAR and silence >= ROUND - NEAR
    return is_round or any(abs(silence - other) <= NEAR for other in before)


IDLE_LIMIT = (
    "a proxy's idle timeout may have cut the silent stream: raise it above the agent's longest "
    "silence (nginx: proxy_read_timeout; HAProxy: timeout server), or have keep-alives sent; else "
)


IF_LATE = (
    "raise HYDRA_SMOKE_CHAT_TIMEOUT, or this chat's own timeout, if turns take longer, "
    "else see the agent's log of this turn"
)


def not_taken(refusal: HydraSmokeError, timeout: float) -> ChatTimeoutError | None:
    """Return the error for a message not accepted in time; None for any other refusal."""
    if isinstance(refusal, RouterError):
        if refusal.status_code not in RULES["chat"].again:
            return None
        late = ChatTimeoutError(f"not accepted within {timeout:g} s: {refusal.message}")
        # The agent has never seen the message.
        late.next_step = refusal.next_step
        return late
    if isinstance(refusal, TransportError) and refusal.late:
        words = f"not answered within {timeout:g} s: {refusal.message}"
        return ChatTimeoutError(words, next_step=IF_LATE)
    return None


def may_run(refusal: HydraSmokeError) -> bool:
    """Return whether the agent may process a message although no stream came of it."""
    if isinstance(refusal, TransportError):
        return refusal.reached
    if isinstance(refusal, RouterError):
        code = refusal.status_code
        return code == 408 or not (400 <= code < 500 or code == 503)
    return True
