"""What two recordings of the same test say, compared: ids and times are other ones each time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.played import played
from pytest_hydrasmoke._core.reading import Reading

from .recording import Turn

_AROUND = 3
"""How many words are shown before the first that differs, and after it."""


def difference(old: Sequence[Turn], new: Sequence[Turn], reading: Reading) -> str | None:
    """Return what is another one first, for a person; None where the words are the same."""
    for number, (was, now) in enumerate(zip(old, new, strict=False), 1):
        if _raw(was) == _raw(now):
            continue
        # Reading a stream takes as long as the turn took of the processor's time.
        if was.said is not None and was.said == now.said and _frame(was) == _frame(now):
            continue
        one, other = _told(was, reading), _told(now, reading)
        for name, before in one.items():
            if before != other[name]:
                shown = _first_words(str(before), str(other[name]))
                return f"turn {number}, {name}: {shown}"
    if len(old) != len(new):
        return f"it has {len(new)} turns now, and had {len(old)}"
    return None


def _raw(turn: Turn) -> tuple[object, ...]:
    return (*_frame(turn).values(), turn.stream, turn.refused)


def _frame(turn: Turn) -> dict[str, object]:
    """Return all that counts of a turn, but for its stream."""
    events = turn.llm_events
    return {
        "message": turn.message,
        "run": turn.run,
        "instance": turn.instance,
        "spec": dict(turn.spec),
        "ending": "refused" if turn.end is None else turn.end,
        "LLM events": events and f"{events.count} of {', '.join(events.providers) or 'nobody'}",
    }


def _told(turn: Turn, reading: Reading) -> dict[str, object]:
    """Return what counts of a turn, with the names that a person knows its parts by."""
    refused, said = turn.refused, played(turn.stream, reading)
    return {
        **_frame(turn),
        "refusal": refused and f"{refused.status} {refused.body.decode(errors='replace')}",
        "text": said.text,
        "tools": said.tools,
        "finish reason": said.finish_reason,
    }


def _first_words(before: str, now: str) -> str:
    one, other = before.split(), now.split()
    same = len(list(itertools.takewhile(lambda it: it[0] == it[1], zip(one, other, strict=False))))
    shown = [_around(words, same) for words in (one, other)]
    return f"{shown[1]}, and was {shown[0]}"


def _around(words: Sequence[str], at: int) -> str:
    part = " ".join(words[max(at - _AROUND, 0) : at + _AROUND])
    dots = ("… " if at > _AROUND else "", " …" if at + _AROUND < len(words) else "")
    return repr(f"{dots[0]}{safe_line(part)}{dots[1]}")
