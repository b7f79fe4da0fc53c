"""What tests have shown not to work: all processes of a run skip what needs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import pytest

from pytest_hydrasmoke._journal.events import NotRun
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._run.ledger import Ledger


class Refutations:
    """The calls that a test has shown not to work, in the run's ledger."""

    def __init__(self, *, ledger: Ledger, journal: Journal, scrub: Callable[[str], str]) -> None:
        self._ledger = ledger
        self._journal = journal
        self._scrub = scrub

    def why(self, call: str, test: str) -> str | None:
        """Return how another test has shown that a call does not work; None if none has."""
        known = self._ledger.look().refuted.get(call)
        return None if known is None or known.test == test else known.why

    def tell(self, call: str, test: str, why: str | None) -> None:
        """Tell all processes, if possible, that a test has shown a call not to work.

        The first test that did so is named. None takes that back, if it was this test. Hooks call
        this: it raises nothing.
        """
        with suppress(OSError):
            known = self._ledger.read().refuted.get(call)
            is_first = known is None and why is not None
            if is_first or (known is not None and known.test == test):
                self._ledger.refute(call, test, why)

    def skip(self, test: str, why: str) -> NoReturn:
        """Skip a test that needs what another one has shown not to work."""
        self._journal.note(NotRun(test, why))
        pytest.skip(self._scrub(f"not run: {why}"))
