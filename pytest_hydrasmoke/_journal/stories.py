"""What a run's entries make of it: its instances, its tests, and the forms of its router's answers.

A fold: the same entries give the same stories, whoever reads them and whenever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .codec import entries_of
from .events import (
    Answered,
    Cured,
    CutShort,
    Drifted,
    Entry,
    Event,
    FailedTest,
    Heard,
    NotRun,
    Opened,
    RunsCounted,
    Selected,
)
from .journal import JOURNAL
from .story import Failure, Story


@dataclass
class Stories:
    """A run's story."""

    instances: dict[str, Story] = field(default_factory=dict[str, Story])
    """By key, or by the id of one without."""
    selected: dict[str, None] = field(default_factory=dict[str, None])
    """The smoke tests that were to run."""
    cut_short: dict[str, None] = field(default_factory=dict[str, None])
    """The tests that an interrupt ended."""
    untried: dict[str, str] = field(default_factory=dict[str, str])
    """The tests that were skipped since what they need was shown not to work, and why."""
    failures: dict[str, str] = field(default_factory=dict[str, str])
    """What tests have failed of."""
    runs: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """How often a test's body was run, and how often that passed."""
    forms: dict[Event, None] = field(default_factory=dict[Event, None])
    """Those of the router's answers and streams, and what the contract does not know of them."""

    def apply(self, process: str, entry: Entry) -> None:
        """Add an entry of a process."""
        if entry.of is not None:
            story = self.instances.setdefault(entry.of, Story(key=entry.of))
            story.apply(process, entry.at, entry.event)
        self._apply(process, entry.at, entry.event)

    def _apply(self, process: str, at: float, event: Event) -> None:
        match event:
            case Selected():
                self.selected |= dict.fromkeys(event.tests)
            case CutShort():
                self.cut_short[event.test] = None
            case NotRun():
                self.untried[event.test] = event.why
            case RunsCounted():
                self.runs[event.test] = event.began, event.passed
            case FailedTest():
                self.failures[event.test] = event.message or event.brief
                for name, story in self.instances.items():
                    fail_test(story, process, at, event, uses=name in event.used)
            case Cured():
                self.failures.pop(event.test, None)
                for story in self.instances.values():
                    cured(story, event.test)
            case Answered() | Heard() | Drifted():
                self.forms[event] = None
            case _:
                pass

    def users(self, test: str) -> Iterator[str]:
        """Yield the instances that a test used before its teardown."""
        for name, story in self.instances.items():
            if story.tests.get(test) is False:
                yield name

    @property
    def used(self) -> list[str]:
        """The tests that have used an instance before their teardown."""
        return [
            test
            for story in self.instances.values()
            for test, only_then in story.tests.items()
            if not only_then
        ]

    @property
    def smoke_tests(self) -> set[str]:
        """The tests with the marker, and those that have used an instance."""
        return {*self.selected, *self.cut_short, *self.used}


def fail_test(story: Story, process: str, at: float, event: FailedTest, *, uses: bool) -> None:
    """Add a test's failure to the story of an instance that it used, or that caused it."""
    mine = [story.failures.get((process, number)) for number in event.causes]
    causes = [failure for failure in mine if failure is not None]
    for failure in causes:
        failure.test = failure.test or event.test
        failure.repeated = event.again
    if uses:
        story.failed |= not event.again
        if not causes:
            words = event.message
            failure = Failure(at, words, event.brief, test=event.test, repeated=event.again)
            story.add_failure((event.test, at), failure)


def cured(story: Story, test: str) -> None:
    """Mark the failures of a test that a plugin has run again, with success."""
    for failure in story.failures.values():
        failure.cured |= failure.repeated and failure.test == test


def sizes(folder: Path) -> dict[str, int]:
    """Return how long the files of a run's journal are: they only grow."""
    found: dict[str, int] = {}
    for path in (folder / JOURNAL).glob("*.jsonl"):
        with contextlib.suppress(OSError):  # Its process is removing it.
            found[path.name] = path.stat().st_size
    return found


def read(folder: Path, sent: Mapping[str, str], wall: float = 0.0) -> dict[str, list[Entry]]:
    """Read what the processes of a run have `sent`, by their names, and the files of all others.

    Lines that are torn are left out. A process without a file here may be on another host, whose
    clock is another one: its times are moved by how far its wall clock is from this one's, `wall`.
    """
    written = {name: list(entries_of(text.encode())) for name, text in sent.items()}
    for path in sorted((folder / JOURNAL).glob("*.jsonl")):
        if path.stem not in sent:
            with contextlib.suppress(OSError):  # Its process is removing it.
                written[path.stem] = list(entries_of(path.read_bytes()))
    here = sizes(folder)
    return {
        name: told if f"{name}.jsonl" in here else _moved(told, wall)
        for name, told in written.items()
    }


class Tail:
    """Reads what the other processes of a run write, as they write it."""

    def __init__(self, folder: Path, own: str) -> None:
        self._folder = folder / JOURNAL
        self._own = own
        self._at: dict[Path, int] = {}

    def new(self) -> Iterator[tuple[str, Entry]]:
        """Yield each whole entry that has come since, with the process that wrote it."""
        for path in sorted(self._folder.glob("*.jsonl")):
            with contextlib.suppress(OSError):  # Its process is removing it.
                if path.stem != self._own:
                    with path.open("rb") as file:
                        file.seek(self._at.get(path, 0))
                        text = file.read()
                    whole = text[: text.rfind(b"\n") + 1]
                    self._at[path] = self._at.get(path, 0) + len(whole)
                    for entry in entries_of(whole):
                        yield path.stem, entry


def _moved(entries: Sequence[Entry], wall: float) -> list[Entry]:
    opened = (entry.event for entry in entries if isinstance(entry.event, Opened))
    by = next((event.wall - wall for event in opened), 0.0)
    return [entry._replace(at=entry.at + by) for entry in entries]


def fold(processes: Mapping[str, Iterable[Entry]]) -> Stories:
    """Fold the entries of several processes, in the order of their times."""
    every = [(name, entry) for name, entries in processes.items() for entry in entries]
    stories = Stories()
    for name, entry in sorted(every, key=lambda it: it[1].at):
        stories.apply(name, entry)
    return stories
