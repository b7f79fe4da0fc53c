"""What one event of a chat stream means: text, an end, and parts.

A part is content beside text. Runtimes send it in pieces, and `content` combines them. A finish
reason is in the runtime's own word: `tool_calls`, `tool-calls` and `toolCalls` are one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

Key = str | int
"""What joins the pieces of a tool call: an index, an id, or a tool's name."""
NO_MESSAGE = "the agent reports an error, and no message with it"
_SEPARATORS = re.compile(r"[\W_]+")
_FAILED = re.compile("(?<!no)(error|failed|failure|cancell?ed|abort|aborted|exception|crashed)$")
_LATE = ("timeout", "timedout")
_USUAL = """
    stop stopsequence stoptoken end endturn endofturn eos eostoken done complete completed finish
    finished success normal
"""
_SAID_ALL = frozenset(_USUAL.split())
_GOES_ON = frozenset({"toolcalls", "toolcall", "tooluse", "functioncall", "pauseturn"})


class Reasoning(NamedTuple):
    """A piece of the model's reasoning."""

    text: str
    repeats: bool = False
    """Whether it may only repeat some of the reply."""


class ToolCalled(NamedTuple):
    """A tool call, at its beginning or as a whole."""

    key: Key
    name: str | None = None
    id: str | None = None
    arguments: object = None
    """All arguments, where they come as one: an object, or its JSON. An empty one tells that they
    are reported: there are none, unless pieces follow."""
    new: bool = False
    """Whether it is another call than the one before it with the same key."""


class ToolArguments(NamedTuple):
    """A piece of the JSON of a call's arguments; without a key, of the call that was last named."""

    key: Key | None
    piece: str


class ToolResult(NamedTuple):
    """A tool's result, of any type."""

    key: Key
    result: object


class TokensUsed(NamedTuple):
    """Tokens of a model call, or of the turn, so far; None where not reported."""

    read: object = None
    written: object = None
    cached: object = None
    """Of those that were read."""
    reasoned: object = None
    """Of those that were written."""


Part = Reasoning | ToolCalled | ToolArguments | ToolResult | TokensUsed


class Meaning(NamedTuple):
    """What one event adds to a chat turn."""

    text: str = ""
    """What to append to the reply, with nothing between."""
    end: bool = False
    """Whether it is the turn's terminal event."""
    of_message: bool = False
    """Whether that end is only a message's: more follow if the model has stopped for its tools."""
    done: bool = False
    """Whether that end is `[DONE]`: a runtime with an end of its own has not ended by it."""
    begins: bool = False
    """Whether a message, or a run, begins: what ended before was not the turn."""
    error: str | None = None
    """The agent's error, never empty; None where the event reports none."""
    finish: str | None = None
    """Why the model stopped, in the runtime's own word; the stream may go on for a while."""
    whole: str = ""
    """The whole reply once more: used only if no piece of it has come."""
    parts: tuple[Part, ...] = ()
    """Its tools, reasoning and usage: only what is known to be that."""
    models: tuple[str, ...] = ()
    """The models that it names, in the runtime's own words."""
    runtime: str | None = None
    """Its runtime, if that always sends a terminal event: without one, a reply was cut.
    None for words that runtimes share."""
    reply: str | None = None
    """The id of the model's reply of which it is a piece; None where the runtime gives none."""
    loose: bool = False
    """Whether its text is in no object: no runtime that is known sends such."""
    broken: bool = False
    """Whether its data begins as an object, and is none."""

    @property
    def says_more(self) -> bool:
        """Whether the agent goes on, if it has ended before."""
        return self.begins or bool(self.text.strip()) or any(map(_is_new, self.parts))


def _is_new(part: Part) -> bool:
    if isinstance(part, Reasoning):
        return bool(part.text.strip()) and not part.repeats
    return isinstance(part, ToolCalled)


def spelled_plainly(word: str) -> str:
    """Return a word in lower case without separators: `toolCall`, `tool_call`, `tool.call`."""
    return _SEPARATORS.sub("", word).lower()


def is_failure(word: str) -> bool:
    """Return whether the agent has failed: it may send its usual end all the same."""
    return names_failure(word) or spelled_plainly(word).endswith(_LATE)


def names_failure(word: str) -> bool:
    """Return whether an event of this name is a failure."""
    return _FAILED.search(spelled_plainly(word)) is not None


def has_said_all(word: str) -> bool:
    """Return whether the model stopped since it had said all: no limit or filter, nor any doubt."""
    return spelled_plainly(word) in _SAID_ALL


def goes_on(word: str | None) -> bool:
    """Return whether the model only waits for its tools: the agent is not done."""
    return word is not None and spelled_plainly(word) in _GOES_ON
