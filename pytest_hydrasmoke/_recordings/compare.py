"""What becomes of the recorded turns of an owner as they are recorded again.

Their words are compared: ids and times differ each time.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace as replaced
from typing import NamedTuple

from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._runtimes.content import Content

from .format import Recorded, in_json


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
    """Return new turns, or old ones where the words are equal, and what has changed in a line.

    An old one is as it was only if the user's hook has `left` it so. The line is None if nothing
    has changed.
    """
    waiting = _by_key(old, _asked)
    kept, changes = list[Recorded](), list[str]()
    for number, now in enumerate(new, 1):
        same = waiting.get(_asked(now))
        was = same.popleft() if same else None
        if was is None:
            changes.append(f"turn {number} is new")
            kept.append(now)
        elif _has_changed(was, now, reading) or (was != now and not left(was)):
            changes.append(f"turn {number} changed")
            kept.append(now)
        else:
            kept.append(was)
    gone = sum(map(len, waiting.values()))
    if not changes and not gone and _order(old) != _order(kept):
        return kept, "its messages came in another order"
    more = len(changes) - 1
    told = changes[0] if changes else ""
    told += f", and {more} more" if more > 0 else ""
    removed = f"{gone} turn{'' if gone == 1 else 's'} removed" if gone else ""
    return kept, "; ".join(filter(None, (told, removed))) or None


def _order(turns: Sequence[Recorded]) -> dict[str, list[str]]:
    """Return the messages of each instance in each run: several instances have no common order."""
    # Any number of instances are recorded as none.
    known = [turn for turn in turns if turn.instance is not None]
    order = _by_key(known, lambda turn: in_json([turn.run, turn.instance]))
    return {key: [turn.message for turn in same] for key, same in order.items()}


def _has_changed(was: Recorded, now: Recorded, reading: Reading) -> bool:
    """Return whether a turn's words are others, or what came with them."""
    if now.llm_events is None:
        # What nobody counted this time may still be as it was.
        now = replaced(now, llm_events=was.llm_events)
    # Reading a stream costs as much CPU time as the turn did.
    same_words = was.said is not None and was.said == now.said
    same = same_words or (was.stream, was.refused) == (now.stream, now.refused)
    if same and (was.end, was.spec, _counted(was)) == (now.end, now.spec, _counted(now)):
        return False
    return _compared(was, reading) != _compared(now, reading)


def _counted(turn: Recorded) -> tuple[int, tuple[str, ...]] | None:
    events = turn.llm_events
    return None if events is None else (events.count, tuple(events.providers))


def _compared(turn: Recorded, reading: Reading) -> tuple[object, ...]:
    """Return what of a turn is compared: of reasoning, only whether there is any."""
    words, refused = played(turn.stream, reading), turn.refused
    return (
        words._replace(reasoning="some" if words.reasoning else ""),
        None if any(words) else turn.stream,
        turn.end,
        refused and (refused.status, refused.body),
        _counted(turn),
        dict(turn.spec),
    )


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
