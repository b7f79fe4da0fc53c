"""What has come of a folder's recordings: who was on stage, and what was asked otherwise.

Each process of a run has its own course; the main process adds those of the others to its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .recordings import Recording, Recordings, Turn
from .specs import Difference, differences


class Course:
    """What has come of a folder's recordings in this process, and in others that add theirs."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings = recordings
        self.collected: frozenset[str] = frozenset()
        """The tests that may still be on stage, in this process or in another one."""
        self.begun: set[str] = set()
        self.given: set[tuple[str, int]] = set()
        """Owners with the numbers of their turns that were played."""
        self.late: dict[tuple[str, str], list[str]] = {}
        """Messages of an owner that an instance, by its key, got later than recorded."""
        self.unordered: set[tuple[str, str | None]] = set()
        """Owners without an order on an instance, or on any, as several threads chat there."""
        self.specs: dict[str, list[tuple[Mapping[str, str], Mapping[str, str]]]] = {}
        """The specs of an owner's turns, each as recorded and as asked."""
        self.of_message: dict[str, list[tuple[Recording, Turn]]] = {}
        for recording in recordings.each:
            for turn in recording.turns:
                self.of_message.setdefault(turn.message, []).append((recording, turn))

    def unasked(self) -> Mapping[str, Sequence[str]]:
        """Return the unused messages of owners who were on stage."""
        return {
            recording.of: messages
            for recording in self.recordings.each
            if recording.of in self.begun
            and (
                messages := [
                    turn.message
                    for number, turn in enumerate(recording.turns)
                    if (recording.of, number) not in self.given
                ]
            )
        }

    def reordered(self) -> Mapping[str, Sequence[str]]:
        """Return the messages that came later than recorded, of owners that have an order."""
        late: dict[str, list[str]] = {}
        for (owner, key), messages in self.late.items():
            if not self.unordered & {(owner, key), (owner, None)}:
                late.setdefault(owner, []).extend(messages)
        return {owner: list(dict.fromkeys(messages)) for owner, messages in late.items()}

    def other_specs(self, unset: Mapping[str, str]) -> Mapping[str, Sequence[Difference]]:
        """Return what owners ask for otherwise than recorded; see `specs.differences`."""
        each = {
            owner: [it for pair in pairs for it in differences(*pair, unset)]
            for owner, pairs in self.specs.items()
        }
        return {owner: list(dict.fromkeys(found)) for owner, found in each.items() if found}

    def not_on_stage(self) -> Sequence[str]:
        """Return the owners with recordings who never were on stage."""
        return [one.of for one in self.recordings.each if one.of not in self.begun]

    def of_another(self, message: str) -> str:
        """Describe the first recording that has a message, and whose owner never was on stage."""
        for recording, _ in self.of_message.get(message, ()):
            if recording.of not in self.begun | self.collected:
                return (
                    f"; it was for {recording.of}: if that was renamed, change `of` in "
                    f"{shown_path(recording.file)}"
                )
        return ""

    def asks(self, owner: str, recorded: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        """Note the spec of an owner's turn, as recorded and as asked."""
        pairs = self.specs.setdefault(owner, [])
        if (recorded, wanted) not in pairs:
            pairs.append((recorded, wanted))

    def to_plain(self) -> dict[str, Any]:
        """Return what has come of it in this process, in plain types."""
        return {
            "begun": sorted(self.begun),
            "given": [list(turn) for turn in self.given],
            "late": [[*place, messages] for place, messages in self.late.items()],
            "unordered": [list(place) for place in self.unordered],
            "specs": [
                [owner, dict(recorded), dict(wanted)]
                for owner, pairs in self.specs.items()
                for recorded, wanted in pairs
            ],
        }

    def add(self, plain: Mapping[str, Any]) -> None:
        """Add what has come of it in another process; harmless if done before."""
        self.begun.update(plain["begun"])
        self.given.update((owner, number) for owner, number in plain["given"])
        for owner, key, messages in plain["late"]:
            self.late.setdefault((owner, key), []).extend(messages)
        self.unordered.update((owner, key) for owner, key in plain["unordered"])
        for owner, recorded, wanted in plain["specs"]:
            self.asks(owner, recorded, wanted)


def shown_path(path: Path) -> str:
    """Return a path relative to the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
