"""Carry out many cases together: each has its next step when that is due, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke._transport.threads import Network, fan_out

from .case import Case, End

AT_ONCE = 8
"""Cases that take a step at the same time."""


class Rounds:
    """The cases of a sweep, until each of them has an end."""

    def __init__(self, link: Link, network: Network) -> None:
        self._link = link
        self._network = network
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
        io = self._network.blocking(self._link)
        self.pending = [*cases]
        while self.pending:
            due = [case for case in self.pending if case.due <= io.now()]
            if due:
                works = [partial(self._step, case) for case in due]
                fan_out(self._link, works, network=self._network, at_once=AT_ONCE)
            else:
                drive(io.sleep(min(case.due for case in self.pending) - io.now()))
            self.found |= {case.key for case in due if case.found}
            self.pending = [case for case in self.pending if case.end is None]
            for case in due:
                if case.end is not None:
                    on_end(case)
            self.pending += more()
        io.close()

    def _step(self, case: Case, io: SyncIO) -> None:
        # A failure of one must not keep the others from being looked at.
        try:
            drive(case.step(Calls(io, case.record)))
        except Exception as error:
            case.ends(End.LEFT, repr(error))
        if io.stopped:
            case.end = None  # It was cut off.
