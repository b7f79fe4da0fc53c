"""Read a recorded stream as a turn reads it, without its pauses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import ChatError
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import IO, Stream, drive

from .chat import Turn
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
    content, texts = Content(), list[str]()
    turn = Turn(
        _Played(stream),
        "a recording",
        "",
        timeout=1,
        end="optional",
        reading=reading,
        content=content,
    )
    drive(turn.open())
    try:
        with suppress(ChatError):
            while (event := drive(turn.next())) is not None:
                texts.append(event.text)
    finally:
        drive(turn.close())
    return said("".join(texts), content, turn.finish_reason, turn.runtimes)


def said(text: str, content: Content, finish_reason: str | None, runtimes: Sequence[str]) -> Said:
    """Combine what a turn has said."""
    tools = [f"{call.name}({call.arguments}) -> {call.result}" for call in content.tool_calls]
    return Said(text, ", ".join(tools), content.reasoning(text), finish_reason, tuple(runtimes))


class _Played(Calls):
    """Calls whose chat returns a recorded stream."""

    def __init__(self, stream: bytes) -> None:
        self.io = cast("IO", self)
        self._replay = None
        self._chunks = [stream] if stream else []

    def now(self) -> float:
        return 0.0

    async def chat(
        self, instance_id: str, message: str, *, deadline: float | None = None
    ) -> tuple[Stream, float]:
        return cast("Stream", self), 0.0

    async def read(self, deadline: float) -> bytes:
        return self._chunks.pop() if self._chunks else b""

    async def close(self) -> None:
        pass
