"""What a run's entries make of it: its instances, its tests, and what its router and agents sent.

A fold: the same entries give the same story, whoever reads them and whenever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .events import (
    Answered,
    Attempt,
    Cured,
    CutShort,
    Drifted,
    Entry,
    FailedTest,
    Heard,
    NotRun,
    RunsCounted,
    Selected,
)
from .story import Story


@dataclass
class RunStory:
    """What is told of a run."""

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
    events: dict[Heard, None] = field(default_factory=dict[Heard, None])
    """The forms of the events that agents sent."""
    drift: dict[str, None] = field(default_factory=dict[str, None])
    """What the contract does not know, in answers."""
    is_answered: bool = False
    """Whether the router has answered any request."""

    def apply(self, process: str, entry: Entry) -> None:
        """Add an entry of a process."""
        at, event = entry.at, entry.event
        if entry.of is not None:
            story = self.instances.setdefault(entry.of, Story(key=entry.of))
            story.apply(process, at, event)
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
                    story.fail_test(process, at, event, uses=name in event.used)
            case Cured():
                self.failures.pop(event.test, None)
                for story in self.instances.values():
                    story.cure(event.test)
            case Heard():
                self.events[event] = None
            case Drifted():
                self.drift[event.text] = None
            case Answered() | Attempt(status=int()):
                self.is_answered = True
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


def fold(processes: Mapping[str, Iterable[Entry]]) -> RunStory:
    """Fold the entries of several processes, in the order of their times."""
    every = [(name, entry) for name, entries in processes.items() for entry in entries]
    story = RunStory()
    for name, entry in sorted(every, key=lambda it: it[1].at):
        story.apply(name, entry)
    return story
