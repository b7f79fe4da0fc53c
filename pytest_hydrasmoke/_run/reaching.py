"""A router that is not reached yet, told as time passes: for commands, which show nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._api.calls import Attempt
    from pytest_hydrasmoke._transport.protocol import CallName

EVERY = 5.0
"""Seconds without an answer after which there is something to be told, again and again."""


class Reaching:
    """An observer of calls that says every few seconds which attempt is under way.

    A context manager: beyond it nothing is said. `say` is called by a thread of its own.
    """

    def __init__(self, url: str | None, say: Callable[[str], None]) -> None:
        self._url = url
        self._say = say
        self._attempt = 1
        self._over = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def saw_attempt(self, attempt: Attempt) -> None:
        # Of a call that is answered the next call begins with its first.
        self._attempt = 1 if attempt.outcome == 200 else attempt.number + 1

    def saw_answer(self, call: CallName, code: int, answer: BaseModel) -> None: ...

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            seconds = time.monotonic() - self._began
            self._say(f"reaching {self._url}, attempt {self._attempt}, {seconds:.0f} s so far")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
