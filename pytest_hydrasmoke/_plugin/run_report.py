"""What a run comes to: its report, made of what all of its processes have told, and its code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import pytest

from pytest_hydrasmoke._base.pytest_internals import failure_words
from pytest_hydrasmoke._base.text import safe_text
from pytest_hydrasmoke._journal.events import FailedTest
from pytest_hydrasmoke._journal.journal import read, sizes
from pytest_hydrasmoke._journal.run_story import RunStory, fold
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._report import terminal
from pytest_hydrasmoke._report.build import (
    breaches,
    events_of,
    instances_of,
    untold_tokens,
    with_tests,
)
from pytest_hydrasmoke._report.model import NOT_ENDED, InstanceReport, Report
from pytest_hydrasmoke._report.parts import CaseReport

from .bundled_checks import PACKAGE
from .context import RunContext
from .exit_code import code
from .report_cleaner import cleaned
from .resources import Resources

SWEPT = "a sweep has ended this run: after that, nothing could be provisioned, nor chatted with"
"""What is behind the failures of a run that a sweep has declared over."""
_Scene = tuple[str, int | None]
"""A test, and the run of its body where it has several."""


class RunTold:
    """What the processes of a run have told: read again only where that has grown."""

    def __init__(
        self, context: RunContext, *, resources: Resources, sent: Mapping[str, str]
    ) -> None:
        self._context = context
        self._resources = resources
        self._sent = sent
        """The journals of workers that came to their end."""
        self._read: tuple[object, RunStory] | None = None

    @property
    def story(self) -> RunStory:
        """What follows from all entries by now."""
        journal, folder = self._resources.journal, self._resources.ledger.folder
        sent = {**self._sent, journal.process: journal.text}
        now = sizes(folder), {name: len(text) for name, text in sent.items()}
        if self._read is None or self._read[0] != now:
            self._read = now, fold(read(folder, sent, journal.wall))
        return self._read[1]

    @property
    def instances(self) -> list[InstanceReport]:
        """Every request for an instance, as it is reported."""
        # What a run has at the bundled fake ends with it: there is nothing to sweep.
        commands = None if self._context.fake else self._context.config.commands
        wall = self._resources.journal.wall
        return instances_of(self.story.instances, wall, commands)

    def is_smoke_test(self, test: str) -> bool:
        """Return whether a test has the marker, or has used an instance."""
        return test in self.story.smoke_tests

    def crash(self, report: pytest.TestReport) -> None:
        """Tell of a test in which a worker crashed, which could not do so itself."""
        if report.nodeid in self.story.cut_short:
            return  # It was interrupted, and has said so.
        words, used = safe_text(failure_words(report)), tuple(self.story.users(report.nodeid))
        failed = FailedTest(report.nodeid, words, "a worker crashed", (), used)
        self._resources.journal.note(failed)


class SeenTests(Protocol):
    """The tests of a run, as far as they are reported."""

    own_client: bool
    """Whether a test was executed that may have asked the router with a client of its own."""

    def executed(self, story: RunStory) -> bool:
        """Return whether any smoke test was executed."""
        ...

    def broken_off(self, story: RunStory) -> bool:
        """Return whether any smoke test was interrupted before its teardown was reported."""
        ...

    def reports(self, story: RunStory) -> list[CaseReport]:
        """Return the smoke tests, in the order in which they were first reported."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """Concludes a run from what its processes have told, and what the main one has seen."""

    context: RunContext
    resources: Resources
    told: RunTold
    cases: SeenTests
    ended: Callable[[int | None], str | None]
    """Tells what ended the session early, such as a signal of this number."""
    unheard: Callable[[], list[str]]
    """Tells of each worker that did not report its instances."""
    notes: Callable[[Report], Iterable[str]]
    """Tells what is worth a note of what the tests have chatted, though they may pass."""

    def report(self, session: pytest.Session, signal: int | None) -> tuple[Report, list[str]]:
        """Build a run's report, with its exit code, and say what is remarkable."""
        context, resources = self.context, self.resources
        draft, unheard = self._draft(signal), self.unheard()
        lost = any(problems(draft)) or draft.unsure is not None
        green = not lost and session.exitstatus == pytest.ExitCode.OK
        why = self._unproved(draft) if green else None
        failed = bool(lost or why or unheard)
        facts: dict[str, object] = {
            "exit_code": int(code(session.exitstatus, failed=failed, signal=signal))
        }
        if unheard:
            # A sweep would take it for a list of all that the run had.
            facts["ended"] = f"{NOT_ENDED}: not all workers reported what they left"
        draft = draft.model_copy(update=facts)
        untold = untold_tokens(draft.instances, context.config.budgets)
        # A run that is green had come to its own end by then.
        swept = SWEPT if resources.ledger.was_swept and facts["exit_code"] else None
        every = (resources.interrupts.why, swept, draft.unsure, why, *unheard, untold)
        remarks = [it for it in every if it is not None]
        # All views are made from this report.
        report: Report = cleaned(draft, context.scrub)
        return report, [*remarks, *self.notes(draft)]

    def _draft(self, signal: int | None) -> Report:
        """Return what is known of a run, before anything is concluded from it."""
        story, begun = self.told.story, self.context.begun
        assert begun is not None  # This is the main process.
        tests = self.cases.reports(story)
        instances = with_tests(self.told.instances, tests)
        return begun.model_copy(
            update={
                "seconds": (datetime.now(UTC) - begun.began).total_seconds(),
                "ended": self.ended(signal),
                "instances": tuple(instances),
                "tests": tuple(tests),
                "not_run": len(story.selected.keys() - {one.id for one in tests}),
                "breaches": tuple(breaches(instances, begun.budgets)),
                "events": events_of(story.events),
                "drift": tuple(sorted(story.drift)),
            }
        )

    def _unproved(self, report: Report) -> str | None:
        """Return why a run in which nothing failed is not green."""
        story, cases = self.told.story, self.cases
        failed = sum(one.outcome in ("error", "failed") for one in report.tests)
        if failed:
            # `pytest.exit` may have asked for 0, here and below, and a hook may have set it.
            return f"smoke tests failed: {failed}, and the run was to end as if they had not"
        if not cases.executed(story):
            return "no smoke test was executed: the run proves nothing"
        if not (story.used or story.is_answered or cases.own_client):
            return "no smoke test asked the router for anything: the run proves nothing"
        left = sum(one.id in story.untried and one.outcome == "skipped" for one in report.tests)
        if left:
            # A test may be expected to fail, or run again by a plugin.
            return (
                f"smoke tests not run: {left}, since another one failed, which did not count in "
                "the end: the run proves nothing about them"
            )
        # One that passed may have been broken off in its teardown.
        if report.is_unfinished or cases.broken_off(story):
            return (
                "not all smoke tests came to their end: the run proves nothing about those that "
                "did not"
            )
        return None


def problems(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield each leak, conflict and breach that fails a run: its kind, its name, and words."""
    for instance in report.instances:
        name = instance.id or instance.idempotency_key or "?"
        if instance.outcome == "leaked":
            yield "leak", name, terminal.leak(instance, fake=report.fake)
        if instance.conflict is not None:
            yield "conflict", name, terminal.conflict(instance)
    for breach in report.breaches:
        yield "budget", breach.phase, terminal.breach(breach)


def unseparated(stories: Iterable[Story], continuing: Collection[str]) -> Iterator[str]:
    """Yield a line if an agent may remember what another test, or run of one, has told it.

    A test that has the marker means it; the bundled checks ask nothing that could be remembered.
    """
    together = max((_together(it, continuing) for it in stories), key=len, default=())
    tests = {test for test, _ in together}
    if together:
        what = f"{len(tests)} tests" if len(tests) > 1 else f"{len(together)} runs of a test"
        yield f"note: {what} share one agent's memory (set new_conversation)"


def _together(story: Story, continuing: Collection[str]) -> Sequence[_Scene]:
    """Return who chatted with a shared instance, if another than the first has not meant it."""
    turns = sorted(story.chats.turns, key=lambda it: it.at)
    named = ((it.turn.test, it.turn.run) for it in turns)
    scenes = [*dict.fromkeys((it, run) for it, run in named if it and not it.startswith(PACKAGE))]
    shared = story.share is not None or story.attached
    return scenes if shared and any(it not in continuing for it, _ in scenes[1:]) else ()
