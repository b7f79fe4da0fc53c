"""Carry out many cases together: each has its next step when that is due, a few at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import IO, drive

from .case import Case

AT_ONCE = 8
"""Cases that take a step at the same time."""


class Rounds:
    """The cases of a sweep, until each of them has an end."""

    def __init__(self, io: SyncIO) -> None:
        self._io = io
        self.pending: list[Case] = []
        self.found: set[str] = set()
        """The keys that had a row."""

    def carry_out(
        self,
        cases: Iterable[Case],
        more: Callable[[], Iterator[Case]],
        on_end: Callable[[Case], object],
    ) -> None:
        """Carry out cases, and what there is `more` of them after each round."""
        self.pending = [*cases]
        with contextlib.closing(self._io) as io:
            while self.pending:
                due = [case for case in self.pending if case.due <= io.now()]
                if due:
                    self._step(due)
                else:
                    drive(io.sleep(min(case.due for case in self.pending) - io.now()))
                self.found |= {case.key for case in due if case.found}
                self.pending = [case for case in self.pending if case.end is None]
                for case in due:
                    if case.end is not None:
                        on_end(case)
                self.pending += more()

    def _step(self, due: Sequence[Case]) -> None:
        try:
            works = [partial(_step, case) for case in due]
            failures = drive(self._io.gather(works, at_once=AT_ONCE))
        except BaseException:
            for case in due:
                case.end = None  # It may have been cut off, and nobody was told of its end.
            raise
        for number, error in failures.items():
            due[number].fails(error)


async def _step(case: Case, io: IO) -> None:
    await case.step(Calls(io, case.record))
