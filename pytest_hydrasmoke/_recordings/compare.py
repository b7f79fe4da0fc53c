"""What becomes of the recorded turns of an owner as they are recorded again.

Their words are compared: ids and times differ each time.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as replaced
from typing import NamedTuple

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._runtimes.content import Content

from .format import Recorded, in_json

_AROUND = 3
"""How many words are shown before the first difference, and after it."""
_LONGEST = 60
"""Most characters of such words."""
_ROOM = 240
"""Characters for a turn's differences: one that finds no room is only named."""
_NONE = {"LLM events": "not counted", "format": "unknown"}
"""How the absence of something is called, where it is not "none"."""


class Words(NamedTuple):
    """The words of a turn."""

    text: str
    tools: str
    reasoning: str
    finish_reason: str | None
    runtimes: tuple[str, ...]
    """The runtimes of its events, in the order in which they first appeared."""
    models: tuple[str, ...] = ()
    complete: bool = False
    failed: bool = False
    """Whether its agent reported an error: the words of one differ each time."""

    @property
    def digest(self) -> str | None:
        """A digest of it; of its reasoning, only whether there is any.

        None where nothing was understood: its events themselves are what it says.
        """
        if not any(self):
            return None
        # A model thinks in other words each time.
        words = repr(self._replace(reasoning="some" if self.reasoning else ""))
        return hashlib.sha256(words.encode()).hexdigest()[:16]


def played(stream: bytes, reading: Reading) -> Words:
    """Read a stream to its end, or to the point where it breaks off, without its pauses."""
    content = Content()
    came = Incoming(reading, content=content)
    came.room = math.inf
    came.feed(stream)
    came.take_last_done(0.0)
    while came.take() is not None:
        pass
    return said(came, content)


def said(came: Incoming, content: Content) -> Words:
    """Return what a turn has said, all of whose text was kept."""
    text, end = came.reply, came.end
    tools = [f"{call.name}({call.arguments}) -> {call.result}" for call in content.tool_calls]
    reasoning, runtimes = content.reasoning(text), tuple(end.runtimes)
    return Words(
        *(text, ", ".join(tools), reasoning, end.finish_reason, runtimes),
        models=tuple(came.end.models),
        complete=end.told,
        failed=came.fault is not None,
    )


def compared(
    old: Sequence[Recorded],
    new: Sequence[Recorded],
    reading: Reading,
    left: Callable[[Recorded], bool] = lambda turn: True,
) -> tuple[list[Recorded], str | None]:
    """Return new turns, or old ones where the words are equal, and a summary of the changes.

    An old one is as it was only if the user's hook has `left` it so. The summary is None if nothing
    has changed.
    """
    waiting = _by_key(old, _asked)
    kept, changes = list[Recorded](), list[str]()
    for number, now in enumerate(new, 1):
        same = waiting.get(_asked(now))
        was = same.popleft() if same else None
        change = f"new: {_message(now)}" if was is None else _difference(was, now, reading)
        if change is None and was is not None and was != now and not left(was):
            change = "pytest_hydra_smoke_record no longer leaves it as it was"
        kept.append(now if was is None or change is not None else was)
        if change is not None:
            changes.append(f"turn {number}, {change}")
    gone = [_message(turn) for turn in itertools.chain.from_iterable(waiting.values())]
    if not changes and not gone and _order(old) != _order(kept):
        return kept, "its messages came in another order"
    return kept, _summary(changes, gone)


def _order(turns: Sequence[Recorded]) -> dict[str, list[str]]:
    """Return the messages of each instance in each run: several instances have no common order."""
    # Any number of instances are recorded as none.
    known = [turn for turn in turns if turn.instance is not None]
    order = _by_key(known, lambda turn: in_json([turn.run, turn.instance]))
    return {key: [turn.message for turn in same] for key, same in order.items()}


def _summary(changes: Sequence[str], gone: Sequence[str]) -> str | None:
    """Return the first change and the first removed turn, and how many more there are of each."""
    parts = list(changes[:1])
    if len(changes) > 1:
        more = len(changes) - 1
        parts.append(f"and {more} more {'turn' if more == 1 else 'turns'}")
    if gone:
        more = len(gone) - 1
        parts.append(f"removed: {gone[0]}" + (f" and {more} more" if more else ""))
    return "; ".join(parts) or None


def _message(turn: Recorded) -> str:
    return repr(safe_line(turn.message, 60))


def _difference(was: Recorded, now: Recorded, reading: Reading) -> str | None:
    """Return the differences of a turn; None where the words are equal."""
    if now.llm_events is None:
        # What nobody counted this time may still be as it was.
        now = replaced(now, llm_events=was.llm_events)
    # Reading a stream costs as much CPU time as the turn did.
    same_words = was.said is not None and was.said == now.said
    same = same_words or (was.stream, was.refused) == (now.stream, now.refused)
    if same and (was.end, was.spec, _counted(was)) == (now.end, now.spec, _counted(now)):
        return None
    one, other = _words(was, reading), _words(now, reading)
    told, room = list[str](), _ROOM
    for name, before in one.items():
        if before != other[name]:
            whole = f"{name}: {_change(before, other[name], _NONE.get(name, 'none'))}"
            told.append(whole if len(whole) <= room else name)
            room -= len(told[-1])
    return "; ".join(told) or None


def _counted(turn: Recorded) -> str | None:
    events = turn.llm_events
    return None if events is None else f"{events.count} of {', '.join(events.providers) or 'none'}"


def _words(turn: Recorded, reading: Reading) -> dict[str, str | bool | None]:
    """Return the words of a turn, with readable names of its parts, in the order of telling.

    True stands for words that are not compared.
    """
    words, refusal = played(turn.stream, reading), None
    if (refused := turn.refused) is not None:
        refusal = f"{refused.status} {refused.body.decode(errors='replace')}"
    return {
        "text": words.text,
        "tools": words.tools,
        "finish reason": words.finish_reason,
        "ending": "refused" if turn.end is None else turn.end,
        "refusal": refusal,
        "format": ", ".join(words.runtimes) or None,
        "reasoning": True if words.reasoning else None,
        "models": ", ".join(words.models) or None,
        "terminal event": True if words.complete else None,
        "error": True if words.failed else None,
        "events": None if any(words) else turn.stream.decode(errors="replace") or None,
        "LLM events": _counted(turn),
        "spec": str(dict(sorted(turn.spec.items()))),
    }


def _change(before: str | bool | None, now: str | bool | None, none: str) -> str:
    """Return what is now and what was, around the first words that differ."""
    old, new = (it.split() if isinstance(it, str) else [] for it in (before, now))
    same = len(list(itertools.takewhile(bool, map(operator.eq, old, new))))

    def shown(value: str | bool | None, words: Sequence[str]) -> str:
        if not isinstance(value, str):
            return "some" if value else none
        part = safe_line(" ".join(words[max(same - _AROUND, 0) : same + _AROUND]), _LONGEST)
        before, after = same > _AROUND, same + _AROUND < len(words)
        return repr(f"{'… ' * before}{part}{' …' * after}")

    return f"{shown(now, new)}, and was {shown(before, old)}"


def overlaid(old: Sequence[Recorded], new: Sequence[Recorded], *, whole: bool) -> list[Recorded]:
    """Replace an owner's old turns by new ones; a run may have repeated only a part of them.

    Drop old turns that a `whole` run did not repeat on an instance that had turns; keep further
    turns with the same message, and instances without turns in this run.
    """
    waiting = _by_key(new, _said_on)
    used = set(map(_instance, new))
    merged: list[Recorded] = []
    for turn in old:
        same = waiting.get(_said_on(turn))
        if same:
            merged.append(same.popleft())
        elif same is not None or not whole or _instance(turn) not in used:
            merged.append(turn)
    left = [turn for turns in waiting.values() for turn in turns]
    return merged + [turn for turn in new if any(turn is one for one in left)]


def _by_key(
    turns: Iterable[Recorded], key: Callable[[Recorded], str]
) -> dict[str, deque[Recorded]]:
    """Return the turns with each key, in their order."""
    found: dict[str, deque[Recorded]] = {}
    for turn in turns:
        found.setdefault(key(turn), deque()).append(turn)
    return found


def _asked(turn: Recorded) -> str:
    """Return the key by which a turn is looked up, but for the spec of a shared instance."""
    return in_json([turn.run, turn.instance, turn.message])


def _said_on(turn: Recorded) -> str:
    """Return the key of a turn among those of an owner that has instances of several specs."""
    return in_json([_asked(turn), _instance(turn)])


def _instance(turn: Recorded) -> str:
    # Others are numbered, so that one with another spec takes the place of the old one.
    spec = sorted(turn.spec.items()) if turn.instance in ("shared", None) else None
    return in_json([turn.instance, spec])
