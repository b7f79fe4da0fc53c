"""What a real agent's stream says of its turn: its texts, its model calls, how it ended; pure.

Only what the fake needs, to keep a conversation and to count: the client reads the same stream by
rules of its own.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

Message: TypeAlias = dict[str, str]
"""A message of a conversation: its `role` and `content`."""


@dataclass(slots=True)
class Conversation:
    """What an agent remembers of one instance."""

    name: str = field(default_factory=lambda: str(uuid.uuid4()))
    messages: list[Message] = field(default_factory=list[Message])
    """Those of whole turns."""


class AgentError(Exception):
    """Raised where an agent does not do its part; the text is for people."""


class Listener:
    """What is known of a turn whose stream is fed to it."""

    def __init__(self) -> None:
        self.over = False
        """Whether the event came that is a turn's last."""
        self._text = ""
        self._finished = self._failed = False
        self._calls: dict[str, str] = {}
        """The providers of model calls that took tokens, by what tells the calls apart."""
        self._rest = b""
        self._data: list[bytes] = []

    @property
    def said(self) -> str:
        """What the agent said."""
        # Two deltas may have the halves of one character.
        return self._text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    @property
    def whole(self) -> bool:
        """Whether the agent came to its end, and told no failure."""
        return self._finished and not self._failed

    @property
    def providers(self) -> list[str]:
        """One for each model call that usage tells of, and at least one if the turn is whole."""
        return [*self._calls.values()] or ["unknown"] * self.whole

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, wherever they are cut."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in (it.rstrip(b"\r") for it in lines):
            if line.startswith(b"data:"):
                self._data.append(line.removeprefix(b"data:").strip())
            elif not line and self._data:
                data, self._data = b"\n".join(self._data), []
                self._take(data)

    def _take(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._finished = self.over = True
            return
        chunk = parsed(data)
        choice = as_object(next(iter(_items(chunk.get("choices"))), None))
        text, finish = as_object(choice.get("delta")).get("content"), choice.get("finish_reason")
        if isinstance(text, str):
            self._text += text
        self._finished |= isinstance(finish, str)
        self._failed |= finish == "error" or bool(chunk.get("error"))
        self._count(str(chunk.get("id")), chunk.get("usage"), chunk.get("provider"))

    def _count(self, call: str, usage: object, provider: object) -> None:
        tokens = as_object(usage).values()
        if any(type(number) is int and number > 0 for number in tokens):
            self._calls[call] = provider if isinstance(provider, str) else "unknown"


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def parsed(data: bytes) -> dict[str, Any]:
    """Parse a JSON object; return an empty one for anything else."""
    try:
        return as_object(json.loads(data))
    except (ValueError, RecursionError):
        return {}


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
