"""What has come of a folder's recordings: who was on stage, and what was asked otherwise.

Each process of a run has its own course; the main process adds those of the others to its own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .recordings import PlayableTurn, RecordedFolder

_SHOWN = 120
"""How many characters of a message are shown."""
_COMPARED = 200
"""How many characters of a message are compared to find the nearest."""
_CHANGES = 4
"""How many differences between two messages are shown."""


class Course:
    """What has come of a folder's recordings in this process, and in others that add theirs."""

    def __init__(self, recordings: RecordedFolder) -> None:
        self.recordings = recordings
        self.collected: frozenset[str] = frozenset()
        """The tests that may still be on stage, in this process or in another one."""
        self.came: dict[tuple[Any, ...], None] = {}
        """What happened, each once: `begun` (an owner), `given` (an owner, the number of its turn),
        `missed` (an owner, or "", and a message that no recording has answered)."""
        self.of_message: dict[str, list[PlayableTurn]] = {}
        for recording in recordings.each:
            for turn in recording.turns:
                self.of_message.setdefault(turn.message, []).append(turn)

    def note(self, *fact: str | int | None) -> None:
        """Note what happened, and to whom."""
        self.came.setdefault(fact)

    def add(self, came: Iterable[Sequence[Any]]) -> None:
        """Add what has come of it in another process; harmless if done before."""
        self.came |= dict.fromkeys(map(tuple, came))

    def _all(self, kind: str) -> Mapping[tuple[Any, ...], None]:
        return {fact[1:]: None for fact in self.came if fact[0] == kind}

    def unasked(self) -> Mapping[str, Sequence[str]]:
        """Return the unused messages of owners who were on stage."""
        begun, given = self._all("begun"), self._all("given")
        every = {
            one.of: [turn.message for turn in one.turns if (one.of, turn.number) not in given]
            for one in self.recordings.each
            if (one.of,) in begun
        }
        return {owner: messages for owner, messages in every.items() if messages}

    def missed(self) -> Mapping[str, Sequence[str]]:
        """Return the messages of owners that no recording has answered."""
        missed = dict[str, list[str]]()
        for owner, message in self._all("missed"):
            missed.setdefault(owner, []).append(message)
        return missed

    def not_on_stage(self) -> Sequence[str]:
        """Return the owners with recordings who never were on stage."""
        begun = self._all("begun")
        return [one.of for one in self.recordings.each if (one.of,) not in begun]

    def of_another(self, message: str) -> str:
        """Describe the first recording that has a message, and whose owner never was on stage."""
        for turn in self.of_message.get(message, ()):
            if turn.of not in self.collected and ("begun", turn.of) not in self.came:
                file = shown_path(self.recordings.by_owner[turn.of].file)
                return f"; it was for {turn.of}: if that was renamed, change `of` in {file}"
        return ""


def shown_path(path: Path) -> str:
    """Return a path relative to the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def nearest(message: str, recorded: Collection[str]) -> str:
    """Return the recorded message most like this one, and how they differ."""
    heads = {other[:_COMPARED]: other for other in recorded}
    found = difflib.get_close_matches(message[:_COMPARED], heads, cutoff=0)
    if not found:
        return ""
    near = heads[found[0]]
    return f"; the nearest that was: {shown(near)} ({_difference(near, message)})"


def _difference(before: str, after: str) -> str:
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    changes = [
        " ".join(
            f"{sign}{shown(words)}"
            for sign, words in (("-", "".join(old[a:b])), ("+", "".join(new[c:d])))
            if words
        )
        for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, False).get_opcodes()
        if tag != "equal"
    ]
    more = ["..."] if len(changes) > _CHANGES else []
    return ", ".join(changes[:_CHANGES] + more)


def shown(text: str) -> str:
    """Return a text in quotes, or its beginning."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
