"""The files of a run's journal: the one writer of a process, and who reads what others write.

What happened in a process is in a file that only it writes. Each entry is a line in one write, so
that a killed process leaves all of them but, perhaps, the last one's end. A process that comes to
its end sends all of it, so that the files are what is left of the others. Nothing here stops a run:
what can't be written, as on a full disk, stays in memory.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_hydrasmoke._base import clock, files
from pytest_hydrasmoke._base.forks import generation

from .codec import encode, entries_of
from .events import Attempt, Entry, Event, Opened, Skipped

JOURNAL = "journal"
"""The folder of these files, in a run's folder."""
MOST_LINES = 64_000
"""From here on requests are counted, a line for each `STEP` of a call."""
STEP = 1_000


class Journal:
    """Writes the entries of one process of a run."""

    def __init__(
        self, folder: Path, process: str, run_id: str, clean: Callable[[str], str], *, replies: bool
    ) -> None:
        self.process = process
        self.on_entry: Callable[[Entry], object] = lambda entry: None
        """Told of each entry in the thread that writes it, before the next step."""
        self._clean = clean
        self._replies = replies
        self._generation = generation()
        self._path = folder / JOURNAL / f"{process}.jsonl"
        self._lines = 0
        self._skipped: Counter[tuple[str | None, str]] = Counter()
        self._file: int | None = None
        self._reader: int | None = None
        """The same file, to be read even if a test has removed it."""
        self._torn = False
        """Whether the file may end in a part of a line: what follows would be read as its rest."""
        self._unwritten: list[bytes] = []
        with contextlib.suppress(OSError):
            files.make_folder(self._path.parent)
            self._file = files.opened(self._path, files.NEW | os.O_APPEND)
            self._reader = os.open(self._path, os.O_RDONLY)
        now = clock.now()
        self.wall = time.time() - now
        """How far the wall clock is ahead of the entries' clock, seconds."""
        self.note(Opened(process, run_id, os.getpid(), self.wall), at=now)

    def note(self, event: Event, of: str | None = None, at: float | None = None) -> None:
        """Write an event, now or as of `at`; a forked child's are dropped."""
        if generation() != self._generation:
            return
        entry = Entry(clock.now() if at is None else at, of, event)
        if self._lines >= MOST_LINES and isinstance(event, Attempt):
            self._skipped[of, event.call] += 1
            if self._skipped[of, event.call] < STEP:
                return
            entry = entry._replace(
                event=Skipped(event.call, self._skipped.pop((of, event.call), 0))
            )
        self._write(entry)
        self.on_entry(entry)

    def _write(self, entry: Entry) -> None:
        line = encode(entry, self._clean, replies=self._replies)
        self._lines += 1
        if self._file is not None and not self._torn:
            with contextlib.suppress(OSError):
                if os.write(self._file, line) == len(line):
                    return
            self._torn = True
        self._unwritten.append(line)

    @property
    def text(self) -> str:
        """All that this process has written, wherever its file is now, and what it could not."""
        skipped, self._skipped = self._skipped, Counter()
        for (of, call), times in skipped.items():
            self._write(Entry(clock.now(), of, Skipped(call, times)))
        there = b""
        if self._reader is not None:
            there = os.pread(self._reader, os.fstat(self._reader).st_size, 0)
        return (there + b"\n" + b"".join(self._unwritten)).decode()

    def close(self) -> None:
        """Write nothing more into the file."""
        if self._file is not None and generation() == self._generation:
            # A late thread must not write into what gets this number next.
            file, self._file = self._file, None
            os.close(file)
        self._file = None

    def discard(self, folder: Path) -> None:
        """Remove the files of all processes of a run: its report says what was in them."""
        self.close()
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None
        with contextlib.suppress(OSError):
            for path in (folder / JOURNAL).glob("*.jsonl"):
                path.unlink(missing_ok=True)
            (folder / JOURNAL).rmdir()


def _files(folder: Path) -> list[Path]:
    """Return the files of a journal; none where its folder can't be read."""
    with contextlib.suppress(OSError):
        return sorted(folder.glob("*.jsonl"))
    return []


def sizes(folder: Path) -> dict[str, int]:
    """Return how long the files of a run's journal are: they only grow."""
    found: dict[str, int] = {}
    for path in _files(folder / JOURNAL):
        with contextlib.suppress(OSError):  # Its process is removing it.
            found[path.name] = path.stat().st_size
    return found


def read(folder: Path, sent: Mapping[str, str], wall: float = 0.0) -> dict[str, list[Entry]]:
    """Read what the processes of a run have `sent`, by their names, and the files of all others.

    Lines that are torn are left out. A process without a file here may be on another host, whose
    clock is another one: its times are moved by how far its wall clock is from this one's, `wall`.
    """
    written = {name: list(entries_of(text.encode())) for name, text in sent.items()}
    for path in _files(folder / JOURNAL):
        if path.stem not in sent:
            with contextlib.suppress(OSError):  # Its process is removing it.
                written[path.stem] = list(entries_of(path.read_bytes()))
    here = sizes(folder)
    return {
        name: told if f"{name}.jsonl" in here else _moved(told, wall)
        for name, told in written.items()
    }


def _moved(entries: Sequence[Entry], wall: float) -> list[Entry]:
    opened = (entry.event for entry in entries if isinstance(entry.event, Opened))
    by = next((event.wall - wall for event in opened), 0.0)
    return [entry._replace(at=entry.at + by) for entry in entries]


class Growing:
    """A file to which entries are appended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    def new(self) -> Iterator[Entry]:
        """Return the entries whose whole lines have come since the last time; raises OSError."""
        size = self._path.stat().st_size
        if size == self._read_to:
            return iter(())
        with self._path.open("rb") as file:
            # One that was removed begins anew.
            begin = file.seek(self._read_to if size > self._read_to else 0)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_to = begin + len(whole)
        return entries_of(whole)


class Tail:
    """Reads what the other processes of a run write, as they write it."""

    def __init__(self, folder: Path, own: str) -> None:
        self._folder = folder / JOURNAL
        self._own = own
        self._files: dict[Path, Growing] = {}

    def new(self) -> Iterator[tuple[str, Entry]]:
        """Yield each whole entry that has come since, with the process that wrote it."""
        for path in _files(self._folder):
            if path.stem != self._own:
                with contextlib.suppress(OSError):  # Its process is removing it.
                    for entry in self._files.setdefault(path, Growing(path)).new():
                        yield path.stem, entry
