"""What the pauses of a chat's stream tell of what stands between here and the agent; pure rules.

Whoever answers late and all at once looks like a proxy that holds a stream back until it is whole,
and whoever falls silent like one that cuts silent streams. So these make notes and advice, never
a failure.
"""

from __future__ import annotations

from typing import Literal

Pace = Literal["at once", "streamed"]

TEXTS = 5
"""Events with text that a stream has at least whose pace tells anything.

Frameworks say what they have not streamed in one such event, with half a dozen others round it.
"""
AWAITED = 1.0
"""Seconds that nothing came at first, if it was being held back: below them nobody would mind."""
EACH = 0.0005
"""Seconds for an event with text, from the first event to the last: no model is as fast."""
SILENT = 1.0
"""Seconds without a byte that are told."""
NEAR = 0.3
"""Seconds by which a silence may miss a limit that cut it."""
ROUND = 5.0
"""Limits of proxies are multiples of so many seconds: 30, 50, 60, 100, 350."""


def pace(texts: int, awaited: float, spread: float) -> Pace | None:
    """Tell how a stream came; None where it was too short, or too quick, to tell.

    `texts` of its events had text, its reader was `awaited` seconds in waiting for the first of
    all, and from that to the last one passed `spread` seconds.
    """
    if texts < TEXTS:
        return None
    if spread > EACH * texts:
        return "streamed"
    return "at once" if awaited >= AWAITED else None


def is_limit(silence: float, before: tuple[float, ...]) -> bool:
    """Return whether a stream was cut as by a limit: after a round time, or after the same again.

    `before` are the silences after which earlier ones were cut.
    """
    to_round = abs(silence - round(silence / ROUND) * ROUND)
    is_round = to_round <= NEAR and silence >= ROUND - NEAR
    return is_round or any(abs(silence - it) <= NEAR for it in before)


HELD_BACK = (
    "a chat's stream came all at once: is it held back on the way? (nginx: proxy_buffering off, "
    "or X-Accel-Buffering: no)"
)
IDLE_LIMIT = (
    "a proxy's idle timeout may have cut the silent stream: raise it above the agent's longest "
    "silence (nginx: proxy_read_timeout; HAProxy: timeout server), or have keep-alives sent; else "
)
