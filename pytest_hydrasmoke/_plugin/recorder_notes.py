"""What became of recordings, as all processes of a run note it, and as the summary tells it.

Notes are lines in the run's folder, and what can't be noted there is kept until somebody takes it.
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
"""What can become of a recording."""
_MOST = 10
"""How many of a kind the summary lists."""


class Notes:
    """Notes what became of whose recording, and reads what other processes have noted."""

    def __init__(self, file: Path, scrub: Callable[[str], str]) -> None:
        self._file = file
        self._scrub = scrub
        self.lost: list[dict[str, str]] = []
        """What could not be left in the file."""

    def note(self, owner: str, what: str, why: str) -> None:
        """Note what became of an owner's recording; the last note is the one that counts."""
        self._add(of=self._scrub(owner), what=what, why=safe_line(self._scrub(why), 400))

    def leave(self, owner: str, text: str) -> None:
        """Leave a recording to the main process."""
        self._add(of=self._scrub(owner), left=text)

    def left(self) -> Iterator[tuple[str, str]]:
        """Yield what was left, with whose it is."""
        for entry in self._entries():
            if "left" in entry:
                yield entry["of"], entry["left"]

    def unwritten(self) -> dict[str, str]:
        """Return whose recordings could not be written, and why."""
        return {
            entry["of"]: entry["why"] for entry in self._entries() if entry.get("what") == UNWRITTEN
        }

    def told(
        self, recordings: Recordings, reported: Collection[str], *, whole: bool
    ) -> Iterator[str]:
        """Yield what became of recordings, and in a `whole` run which of them nobody used."""
        found = {entry["of"]: entry for entry in self._entries() if "what" in entry}
        counts = Counter(entry["what"] for entry in found.values())
        told = ", ".join(f"{counts[what]} {what}" for what in _WHATS if counts[what])
        yield f"recordings in {recordings.folder}: {told or 'there was nothing to record'}"
        for what in (NEW, CHANGED, NOT_RECORDED, UNWRITTEN):
            yield from _listed(
                f"{what}: {owner}{entry['why'] and ': '}{entry['why']}"
                for owner, entry in sorted(found.items())
                if entry["what"] == what
            )
        used = found.keys() | set(map(self._scrub, reported))
        # Of a run with workers they are looked for when these are over.
        unused = [
            str(path.relative_to(recordings.folder))
            for owner, path in sorted(recordings.owners.items())
            if owner not in used
        ]
        if whole and unused:
            yield f"  used by no test of this run: {len(unused)}: {first_few(unused)}"

    def _add(self, **entry: str) -> None:
        # A line of its own, although the one before it was cut short on a full disk.
        line = b"\n" + json.dumps(entry).encode() + b"\n"
        try:
            append(self._file, line)
        except OSError:
            self.lost.append(entry)

    def _entries(self) -> Iterator[dict[str, str]]:
        with suppress(OSError):
            for line in self._file.read_bytes().splitlines():
                with suppress(ValueError):  # Its process was killed in the middle of it.
                    yield json.loads(line)
        yield from self.lost


def _listed(lines: Iterable[str]) -> Iterator[str]:
    every = [f"  {line}" for line in lines]
    yield from every[:_MOST]
    if len(every) > _MOST:
        yield f"  {every[0].strip().partition(':')[0]}: {len(every) - _MOST} more"
