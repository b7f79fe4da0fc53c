"""Turn a finished turn into what is written: without the token, and edited by the user's hook."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from pytest_hydrasmoke._base.token import Token, hiding, scrubbing
from pytest_hydrasmoke._core.expected import surely_since
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.stage import RecordedChat

from .compare import Words, played, said
from .format import NotWrittenError, Recorded, RecordedEvents, RecordedTurn, Refusal

Edit = Callable[[RecordedTurn], RecordedTurn | None]


class Masking:
    """Removes the token from turns, and applies the user's hook."""

    def __init__(self, token: Token | None, reading: Reading, edit: Edit) -> None:
        self._hide = hiding(token)
        self._scrub = scrubbing(token)
        self._reading = reading
        self._edit = edit

    def turn(self, owner: str, begun: Recorded, taken: RecordedChat) -> Recorded | None:
        """Return a turn as it is to be written; None for one that the hook drops.

        `begun` is what was known of it before its message left.

        Raises `NotWrittenError`, and what the hook raises.
        """
        plain = _plain(begun, taken)
        turn = self._without_token(plain)
        edited = self._edited(owner, turn)
        if edited is None:
            return None
        if edited is not turn:
            turn = self._without_token(edited)
        live = _live(taken)
        doubtful = live is None or self._has_token(live)
        # Only words that came in several pieces are not masked yet.
        if doubtful and self._has_token(played(turn.stream, self._reading)):
            raise NotWrittenError("its reply spells the token in pieces, over several events")
        # Words that were removed must not leave a digest, either.
        return turn if live is None or turn != plain else replace(turn, said=live.digest)

    def leaves(self, owner: str, turn: Recorded) -> bool:
        """Return whether the hook leaves a turn of an earlier run as it is; raises as `turn`."""
        return self._edited(owner, turn) is turn

    def _without_token(self, turn: Recorded) -> Recorded:
        scrub, refused, events = self._scrub, turn.refused, turn.llm_events
        hidden = self._hide(turn.stream)
        if refused is not None:
            kind, body = scrub(refused.content_type), self._hide(refused.body)
            refused = Refusal(refused.status, kind, body)
        if events is not None:
            # They are the router's words, which may be any.
            events = replace(events, providers=tuple(map(scrub, events.providers)))
        return replace(
            recut(turn, hidden),
            spec={name: scrub(value) for name, value in turn.spec.items()},
            message=scrub(turn.message),
            llm_events=events,
            refused=refused,
        )

    def _edited(self, owner: str, turn: Recorded) -> Recorded | None:
        raw = turn.stream if turn.refused is None else turn.refused.body
        shown = RecordedTurn(owner, turn.run, turn.message, raw.decode(errors="surrogateescape"))
        edited = self._edit(shown)
        if edited is None or edited == shown:
            return None if edited is None else turn
        text = edited.text.encode(errors="surrogateescape")
        if turn.refused is not None:
            return replace(turn, message=edited.message, refused=replace(turn.refused, body=text))
        return replace(recut(turn, text), message=edited.message)

    def _has_token(self, words: Words) -> bool:
        texts = (words.text, words.tools, words.reasoning)
        return any(self._scrub(text) != text for text in texts)


def _live(turn: RecordedChat) -> Words | None:
    """Return the turn's words as they were read; None where not all of them were kept."""
    content = turn.came.content
    return None if content is None or turn.outcome.refusal is not None else said(turn.came, content)


def _plain(begun: Recorded, turn: RecordedChat) -> Recorded:
    refused = None
    if (reply := turn.outcome.refusal) is not None:
        refused = Refusal(reply.status, reply.headers.get("content-type", ""), reply.body)
    return replace(
        begun,
        llm_events=_counted(turn),
        end=turn.outcome.ending if refused is None else None,
        chunks=[(at * 1000, chunk) for at, chunk in turn.kept.chunks],
        refused=refused,
    )


def _counted(turn: RecordedChat) -> RecordedEvents | None:
    found, before = turn.account.found, turn.account.before
    if found is None or before.error is not None:
        return None
    added = max(found.count - before.count, 0)
    surely = surely_since(before.providers, found.providers, added)
    # If several had been seen before, the provider of a new event is not known.
    names = (surely or found.providers) if added else ()
    return RecordedEvents(
        added, tuple(sorted(names)), round(max(found.at - turn.outcome.at, 0.0), 2)
    )


def recut(turn: Recorded, text: bytes) -> Recorded:
    """Give a turn another text, in chunks that end as near as possible to the old ends."""
    old = turn.stream
    if old == text:
        return turn
    if not old:
        return replace(turn, chunks=[(0, text)])
    moved = _moved(old, text)
    ends = [moved(end) for end in itertools.accumulate(len(chunk) for _, chunk in turn.chunks)]
    parts = zip(turn.chunks, [0, *ends], ends, strict=False)
    chunks = [(at, text[start:end]) for (at, _), start, end in parts if start < end]
    return replace(turn, chunks=chunks)


def _moved(old: bytes, text: bytes) -> Callable[[int], int]:
    """Return a function that maps a position in the old text to one in the new text."""
    starts, others = _line_starts(old), _line_starts(text)
    if len(starts) != len(others):
        return lambda at: at * len(text) // len(old)

    def in_its_line(at: int) -> int:
        line = bisect_right(starts, at) - 1
        end = others[line + 1] if line + 1 < len(others) else len(text)
        return len(text) if at == len(old) else min(others[line] + at - starts[line], end)

    return in_its_line


def _line_starts(text: bytes) -> list[int]:
    lines = text.split(b"\n")
    return [0, *itertools.accumulate(len(line) + 1 for line in lines[:-1])]
