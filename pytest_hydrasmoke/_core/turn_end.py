"""Whether a turn is complete, by what its events have meant.

A turn ends at its terminal event, not where the connection happens to end: a cut connection can
look just like a closed one. If the model has given a finish reason, the end of the stream will do.
What is said after an end takes that end back: the agent goes on, and needs another one.
"""

from __future__ import annotations

from typing import Literal

from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._runtimes.values import goes_on

UNENDED = "a chat's stream ended without a terminal event"
"""The note on a turn that no rule could call cut, nor whole."""
AFTER_END = 2.0
"""Seconds without an event after the terminal one until the turn counts as over."""
Ending = Literal["closed", "cut", "stalled", "left"]
"""How a stream ended: by itself, lost, at the turn's deadline, or left by its reader."""
EndRule = Literal["auto", "required", "optional"]
"""Whether a stream must have a terminal event: where it is known to send them, always, or never."""


class TurnEnd:
    """What the events of a turn mean for its end."""

    def __init__(self, rule: EndRule) -> None:
        self.rule: EndRule = rule
        self.complete = False
        self.finish_reason: str | None = None
        self.runtimes: list[str] = []

    def saw(self, known: Meaning) -> None:
        """Record what an event means."""
        if (self.complete or self.finish_reason) and (known.begins or known.text.strip()):
            self.complete, self.finish_reason = False, None
        if known.finish is not None:
            self.finish_reason = known.finish
        if known.runtime is not None and known.runtime not in self.runtimes:
            self.runtimes.append(known.runtime)
        if known.end:
            # A message that stops for tool calls is not the last: the agent goes on with another,
            # or it has died in its tools.
            self.complete |= not (known.of_message and goes_on(self.finish_reason))

    def stream_ended(self, *, end_is_known: bool) -> str | None:
        """Record the stream's end; return why a terminal event was needed, None if it was not.

        `end_is_known`: whether an earlier turn on the instance had one.
        """
        waits = goes_on(self.finish_reason)
        if self.finish_reason and not waits:
            self.complete = True
            return None
        if self.rule == "required":
            return "as the settings require"
        if self.rule == "optional":
            return None
        if waits:
            return f"as its model stopped for its tools ({self.finish_reason})"
        # A router may end the stream of a crashed agent as it ends any other.
        if self.runtimes:
            return "as this runtime always sends one"
        return "as an earlier turn of this instance had one" if end_is_known else None
