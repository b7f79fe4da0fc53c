"""What the processes of a run have told so far, as the main process reads it."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._base.pytest_internals import failure_words
from pytest_hydrasmoke._base.text import safe_text
from pytest_hydrasmoke._journal.events import FailedTest
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._journal.stories import Stories, fold, read, sizes
from pytest_hydrasmoke._report.build import instances_of
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._run.ledger import Ledger

from .workers import Workers


class Told:
    """Reads the journals of a run: again only where they have grown."""

    def __init__(self, ledger: Ledger, journal: Journal, workers: Workers) -> None:
        self._folder = ledger.folder
        self._journal = journal
        self._workers = workers
        self._read: tuple[object, Stories] | None = None

    @property
    def stories(self) -> Stories:
        """What follows from all entries by now."""
        sent = {**self._workers.sent, self._journal.process: self._journal.text}
        now = sizes(self._folder), {name: len(text) for name, text in sent.items()}
        if self._read is None or self._read[0] != now:
            self._read = now, fold(read(self._folder, sent, self._journal.wall))
        return self._read[1]

    @property
    def instances(self) -> list[InstanceReport]:
        """Every request for an instance, as it is reported."""
        return instances_of(self.stories.instances, self._journal.wall)

    def crash(self, report: pytest.TestReport) -> None:
        """Tell of a test in which a worker crashed, which could not do so itself."""
        if report.nodeid in self.stories.cut_short:
            return  # It was interrupted, and has said so.
        words, used = safe_text(failure_words(report)), tuple(self.stories.users(report.nodeid))
        self._journal.note(FailedTest(report.nodeid, words, "a worker crashed", (), used))
