"""Report at intervals that a router does not answer yet.

Commands show nothing else meanwhile, and pytest has no terminal before its first test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from pytest_hydrasmoke._base.clock import now
from pytest_hydrasmoke._base.threads import Ticker

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._api.retry import Tried
    from pytest_hydrasmoke._transport.protocol import CallName

FIRST = 10.0
"""Seconds without an answer until the first line."""
EVERY = 30.0
"""Seconds between two lines after that."""
TICK = 1.0
"""Seconds between two looks."""


class Reaching:
    """Watch attempts to reach a router, and report while none of them is answered.

    A context manager: outside it nothing is reported. `say` is called by a thread of its own.
    """

    def __init__(
        self,
        url: str | None,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = now,
    ) -> None:
        self._url = url
        self._say = say
        self._clock = clock
        self._began = clock()
        self._due = FIRST
        self._attempt = 1
        self._ticker = Ticker(self.tick)

    def __enter__(self) -> Self:
        self._ticker.start(TICK)
        return self

    def __exit__(self, *raised: object) -> None:
        self._ticker.stop()

    def saw_attempt(self, attempt: Tried) -> None:
        """Count an attempt; another one follows, unless an answer does."""
        self._attempt = attempt.number + 1

    def again(self) -> None:
        """Count one more attempt."""
        self._attempt += 1

    def saw_answer(self, call: CallName, code: int, answer: BaseModel) -> None:
        """Record an answer: the next call begins with its first attempt."""
        self._attempt = 1

    def tick(self) -> None:
        """Report the state, if it is time."""
        elapsed = self._clock() - self._began
        if elapsed >= self._due:
            self._due = FIRST + EVERY * ((elapsed - FIRST) // EVERY + 1)
            self._say(f"reaching {self._url}, {elapsed:.0f} s, attempt {self._attempt}")
