"""What an agent says, and scripted replies: which message gets which answer."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, fields
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, TypeAdapter
from pydantic.dataclasses import dataclass

from .records import Json
from .validity import CONFIG, AnyJson, JsonObject, Text, in_words

Fields = dict[str, Json]

AGAIN = " again"
"""The text of an agent that never stops."""
_PIECE = re.compile(r"\s*\w+|\s*[^\w\s]+|\s+")


def pieces(text: str) -> list[str]:
    """Split a text as models stream it: words, each with the space before it."""
    return _PIECE.findall(text)


def as_json(value: Json) -> str:
    """Return JSON with non-ASCII characters as they are: readers have to handle UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(it.name for it in fields(kind))


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return re.compile(value)
    except (re.error, OverflowError, RecursionError) as problem:
        raise ValueError(f"is no regular expression: {problem}: {value!r}") from None


def _one_or_more(value: object) -> object:
    if isinstance(value, str):
        return [value]
    if value and isinstance(value, list | tuple):
        return cast(Sequence[object], value)
    raise ValueError(f"is a text, or a list of one or more, not {value!r}")


def _not_empty(name: str) -> str:
    if not name:
        raise ValueError("is empty: a tool has a name")
    return name


@dataclass(frozen=True, slots=True, eq=False, config=CONFIG)
class ToolUse:
    """A tool that the agent calls."""

    name: Annotated[Text, AfterValidator(_not_empty)]
    arguments: JsonObject = field(default_factory=dict[str, Json])
    result: AnyJson = None
    """None where no result is reported."""

    @property
    def written(self) -> str:
        """The arguments as models write them."""
        return as_json(self.arguments)

    @property
    def result_text(self) -> str:
        """The result as a string, for runtimes that send strings."""
        return self.result if isinstance(self.result, str) else as_json(self.result)


@plain_dataclass(frozen=True, slots=True)
class Speech:
    """What the agent says in one turn; it thinks first, and calls its tools before it answers."""

    message: str
    """The user's message."""
    text: str
    tools: tuple[ToolUse, ...] = ()
    reasoning: str = ""

    @property
    def calls(self) -> Sequence[tuple[str, ToolUse]]:
        """The tools, each with the id of its call."""
        return [(f"call_{number}", tool) for number, tool in enumerate(self.tools, 1)]

    @property
    def words(self) -> list[str]:
        """The text in pieces, and one more, for `Frames.spoken`."""
        return [*pieces(self.text), AGAIN]

    @property
    def tokens(self) -> tuple[int, int, int]:
        """The tokens read, written, and both together: a streamed piece is one."""
        texts = (self.reasoning, *(tool.written for tool in self.tools), self.text)
        read, written = len(pieces(self.message)), sum(len(pieces(text)) for text in texts)
        return read, written, read + written

    def usage(self, *names: str) -> Fields:
        """Return these tokens by the runtime's names for them."""
        return dict(zip(names, self.tokens, strict=False))


@in_words(*_names(ToolUse))
@dataclass(frozen=True, slots=True, eq=False, config=CONFIG)
class ScriptedReply:
    """What the agent says to messages that match."""

    match: Annotated[re.Pattern[str], BeforeValidator(_pattern)]
    text: Annotated[tuple[Text, ...], BeforeValidator(_one_or_more)]
    """Used in order, one per turn, and from the start again after the last."""
    tool_calls: tuple[ToolUse, ...] = ()
    reasoning: Text = ""

    def said(self, message: str, times: int) -> Speech:
        """Return what the agent says to a message, after `times` uses of this reply."""
        text = self.text[times % len(self.text)]
        return Speech(message, text, self.tool_calls, self.reasoning)


KEYS = (*_names(ScriptedReply), *_names(ToolUse))
"""The keys of a reply, and of the tools in it."""
_TABLES = TypeAdapter(tuple[ScriptedReply, ...])


def scripted(tables: object) -> tuple[ScriptedReply, ...]:
    """Make the replies of a scenario's tables."""
    return _TABLES.validate_python(tables)


def copies(tables: object) -> tuple[Mapping[str, Json], ...]:
    """Check a scenario's replies, and return private copies of them."""
    scripted(tables)
    private: list[Mapping[str, Json]] = json.loads(json.dumps(tables))
    return tuple(private)


class Replies:
    """The replies of one world, and how often each instance has had which."""

    def __init__(self, tables: object) -> None:
        self._scripted = scripted(tables)
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget what was added and what was said."""
        with self._lock:
            self._added: dict[str, ScriptedReply] = {}
            self._given: Counter[tuple[str, ScriptedReply]] = Counter()

    def add(self, reply: ScriptedReply) -> None:
        """Add a reply before the scenario's, or replace one with the same `match`."""
        with self._lock:
            self._added[reply.match.pattern] = reply

    def answer(self, instance_id: str, message: str) -> Speech | None:
        """Return what is said to a message, if any reply matches."""
        with self._lock:
            for reply in (*self._added.values(), *self._scripted):
                if reply.match.search(message):
                    given = self._given[instance_id, reply]
                    self._given[instance_id, reply] += 1
                    return reply.said(message, given)
        return None
