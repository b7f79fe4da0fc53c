"""Read a recorded stream as a turn reads it, without its pauses."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_hydrasmoke._runtimes.content import Content

from .incoming import Incoming
from .reading import Reading


@dataclass(frozen=True, slots=True)
class Said:
    """The words of a turn, without an error of its agent."""

    text: str
    tools: str
    reasoning: str
    finish_reason: str | None
    runtimes: Sequence[str]
    """The runtimes of its events, in the order in which they first appeared."""

    @property
    def digest(self) -> str:
        """A digest of its words; of its reasoning, only whether there is any."""
        # A model thinks in other words each time.
        facts = (*self.runtimes, bool(self.reasoning))
        words = repr((self.text, self.tools, self.finish_reason, facts))
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def played(stream: bytes, reading: Reading) -> Said:
    """Read a stream to its end, or to the point where it breaks off."""
    content = Content()
    came = Incoming(reading, "optional", content)
    came.most_text = math.inf
    came.feed(stream, 0.0)
    while came.take() is not None:
        pass
    return said(came, content)


def said(came: Incoming, content: Content) -> Said:
    """Return what a turn has said, all of whose text was kept."""
    text, end = came.text, came.end
    tools = [f"{call.name}({call.arguments}) -> {call.result}" for call in content.tool_calls]
    reasoning, runtimes = content.reasoning(text), tuple(end.runtimes)
    return Said(text, ", ".join(tools), reasoning, end.finish_reason, runtimes)
