"""Outcomes of recordings, as all processes of a run note them and the summary shows them.

A worker's notes are lines in the run's folder, since it may be killed; what can't be written there
is sent with its report. The main process keeps its own notes in memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pytest_hydrasmoke._base.files import append
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._run.recordings import Recordings

NEW, CHANGED, SAME, NOT_RECORDED, UNWRITTEN = _WHATS = (
    *("new", "changed", "unchanged", "not recorded", "could not be written"),
)
"""The possible outcomes of a recording."""
_MOST = 10
"""How many of a kind the summary lists."""


class Notes:
    """Notes the outcome of each owner's recording, and reads the notes of other processes."""

    def __init__(self, file: Path, scrub: Callable[[str], str], *, from_worker: bool) -> None:
        self._file = file
        self._scrub = scrub
        self._from_worker = from_worker
        self.kept: list[dict[str, str]] = []
        """Notes that are not in the file."""

    def note(self, owner: str, what: str, why: str) -> None:
        """Note the outcome of an owner's recording; the last note counts."""
        self._add(of=self._scrub(owner), what=what, why=safe_line(self._scrub(why), 400))

    def leave(self, owner: str, text: str) -> None:
        """Leave a recording to the main process."""
        self._add(of=self._scrub(owner), left=text)

    def left(self) -> Iterator[tuple[str, str]]:
        """Yield the recordings that processes have left, each with its owner."""
        for entry in self._entries():
            if "left" in entry:
                yield entry["of"], entry["left"]

    def unwritten(self) -> dict[str, str]:
        """Return whose recordings could not be written, and why."""
        return {
            entry["of"]: entry["why"] for entry in self._entries() if entry.get("what") == UNWRITTEN
        }

    def summary(
        self, recordings: Recordings, reported: Collection[str], *, whole: bool
    ) -> Iterator[str]:
        """Yield the outcomes of recordings, and in a `whole` run the unused ones."""
        found = {entry["of"]: entry for entry in self._entries() if "what" in entry}
        counts = Counter(entry["what"] for entry in found.values())
        counted = ", ".join(f"{counts[what]} {what}" for what in _WHATS if counts[what])
        yield f"recordings in {recordings.folder}: {counted or 'there was nothing to record'}"
        for what in (NEW, CHANGED, NOT_RECORDED, UNWRITTEN):
            yield from _listed(
                f"{what}: {owner}{entry['why'] and ': '}{entry['why']}"
                for owner, entry in sorted(found.items())
                if entry["what"] == what
            )
        used = found.keys() | set(map(self._scrub, reported))
        # Read here, because by now workers have written all files.
        unused = [
            str(path.relative_to(recordings.folder))
            for owner, path in sorted(recordings.owners.items())
            if owner not in used
        ]
        if whole and unused:
            yield f"  used by no test of this run: {len(unused)}: {first_few(unused)}"

    def _add(self, **entry: str) -> None:
        if not self._from_worker:
            self.kept.append(entry)
            return
        # Begins with a newline: the line before may have been cut short on a full disk.
        line = b"\n" + json.dumps(entry).encode() + b"\n"
        try:
            append(self._file, line)
        except OSError:
            self.kept.append(entry)

    def _entries(self) -> Iterator[dict[str, str]]:
        with suppress(OSError):
            for line in self._file.read_bytes().splitlines():
                with suppress(ValueError):  # Its process was killed while it wrote the line.
                    yield json.loads(line)
        yield from self.kept


def _listed(lines: Iterable[str]) -> Iterator[str]:
    every = [f"  {line}" for line in lines]
    yield from every[:_MOST]
    if len(every) > _MOST:
        yield f"  {every[0].strip().partition(':')[0]}: {len(every) - _MOST} more"
