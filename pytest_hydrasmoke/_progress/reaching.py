"""The run before its first test, as long as the router does not answer: a line now and then.

pytest has no terminal yet, so that lines go where its errors go.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from .lines import EVERY, FIRST
from .ticker import Ticker

TICK = 1.0
"""Seconds between two looks."""


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Reaching:
    """Sees attempts to reach a router, and tells those that last; of an answer, it tells nothing.

    Within a `with`, and quiet if `shown` is false.
    """

    def __init__(
        self,
        url: str,
        *,
        shown: bool = True,
        write: Callable[[str], None] = _write,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._shown = shown
        self._write = write
        self._clock = clock
        self._began = clock()
        self._due = FIRST
        self._attempt = 1
        self._ticker = Ticker(self.tick)

    def __enter__(self) -> Self:
        if self._shown:
            self._ticker.start(TICK)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ticker.stop()

    def saw_attempt(self, attempt: Any) -> None:
        """Count; another one follows, unless an answer does."""
        self._attempt = attempt.number + 1

    def saw_answer(self, call: str, code: int, answer: object) -> None:
        """See an answer: the next question begins with its first attempt."""
        self._attempt = 1

    def tick(self) -> None:
        """Tell how it stands, if it is time."""
        elapsed = self._clock() - self._began
        if elapsed >= self._due:
            self._due = FIRST + EVERY * ((elapsed - FIRST) // EVERY + 1)
            words = f"reaching {self._url}, {elapsed:.0f} s, attempt {self._attempt}"
            self._write(f"hydra-smoke: {words}")
