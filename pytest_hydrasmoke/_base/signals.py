"""Signals while instances exist: the first ends the run, and none interrupts its clean-up.

One handler is installed from switch-on to the end. A handler installed only around a deletion
leaves gaps; here the first signal itself starts the hold in which later ones wait. Code under
`hold` is not interrupted, but has to end `CLEANUP_SECONDS` after the signal. So it must not block
on readers of its output: `afterwards` is for such work.
"""

from __future__ import annotations

import atexit
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Literal

from . import clock
from .forks import generation

CLEANUP_SECONDS = 3.0
"""Seconds for clean-up once a signal has come, if nothing answers: a CI runner kills after 10."""
ANSWERED_SECONDS = 7.0
"""The same, once the router has answered: a slow one needs several answers for a proof."""
STUCK = 5.0
"""Seconds after which a further signal counts again, if the first one started no clean-up: GitHub
sends TERM 7.5 s after INT, and kills 2.5 s later."""
LINGER = 2.0
"""Seconds for which a run that a signal has ended still takes signals: its process should end."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""Signals that end a run."""
_MOST = 1000
"""How many deferred calls are kept: the newest."""


class Interrupts:
    """The installed handler, and its state."""

    def __init__(self, on_first: Callable[[int], object] = lambda number: None) -> None:
        self.received: int | None = None
        """The first signal's number."""
        self._own_end: tuple[str, float] | None = None
        """Why the run ends, and when held work must, where it is this process that has ended it."""
        self._over = threading.Event()
        """Set once the run's own deadline must not end it any more."""
        self._ending = threading.Lock()
        """Held while that deadline is found to have passed, and its signal sent."""
        self._on_first = on_first
        self._at = math.inf
        self._stuck_at = math.inf
        self._later: deque[Callable[[], object]] = deque(maxlen=_MOST)
        self._depth = 0
        self._cleaning = False
        self._due: Literal["interrupt", "clean-up"] | None = None
        """What the first signal still has to come."""
        self._answered = False
        self._left = False
        self._old: dict[int, Any] = {}
        self._pid, self._generation = os.getpid(), generation()

    def install(self) -> None:
        """Install the handlers, except for ignored signals; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._old[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Restore the old handlers, except where other code has replaced ours since."""
        self._forget_deadline()
        for number, old in self._old.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, old)
        self._old.clear()

    def _forget_deadline(self) -> None:
        self._over.set()
        with self._ending:
            pass  # A signal that is being sent finds the handler that ignores it.

    def end(self) -> None:
        """Restore the old handlers; after a signal, ignore more of them: the process ends now.

        Else a second one that comes while the interpreter ends would change the exit code.
        """
        if self.received is None:
            self.restore()
            return
        for number in self._old:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_IGN)

    def leave(self) -> None:
        """Restore the old handlers as a run ends; after a signal, not yet, for `end`'s reason.

        Whether the process ends with its run is not known here: if it does, the rest is ignored. If
        it does not, signals that come later than `LINGER` find the old handlers again.
        """
        self._forget_deadline()
        if self.received is None:
            self.restore()
            return
        self._left, self._stuck_at = True, clock.now() + LINGER
        atexit.register(self.end)

    def deadline(self) -> float:
        """Return the `clock.now()` by which held work must end; inf for never."""
        if self._own_end is not None and self.received is not None:
            # A test may have gone on beyond it, where nothing could be deleted.
            return max(self._own_end[1], self._at + CLEANUP_SECONDS)
        return self._at + (ANSWERED_SECONDS if self._answered else CLEANUP_SECONDS)

    def end_run_at(self, moment: float, why: str, clean_by: float) -> None:
        """End the run at a `clock.now()` as a TERM does, with more time for its clean-up."""

        def wait() -> None:
            clock.wait(self._over.wait, moment - clock.now())
            # One that is ignored here, or that a test has a handler for, would not end the run.
            ours = (it for it in (signal.SIGTERM, *self._old) if it in self._old)
            number = next((it for it in ours if signal.getsignal(it) == self._handle), None)
            with self._ending:
                if not self._over.is_set() and self.received is None and number is not None:
                    self._own_end = why, clean_by
                    os.kill(self._pid, number)

        threading.Thread(target=wait, name="hydra-smoke-deadline", daemon=True).start()

    def answered(self) -> None:
        """Give clean-up more time: the router answers, if slowly."""
        self._answered = self.received is not None

    def end_clean_up(self) -> None:
        """Let new signals count again: the run is ending."""
        self._cleaning, self._due = False, None

    def begin_clean_up(self) -> None:
        """Hold every signal from now on; the time for an earlier signal starts now."""
        self._cleaning = True
        if self.received is not None:
            self._at = clock.now()
            self._stuck_at = self._at + STUCK

    @contextmanager
    def hold(self) -> Generator[None]:
        """Defer signals until this ends; one that came meanwhile then ends the run."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Only the main thread receives signals.
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._due == "interrupt" and not self._held:
                self._interrupt(None)
            self.catch_up()

    @property
    def why(self) -> str | None:
        """Why the run ends, where it is this process that has ended it."""
        return self._own_end and self._own_end[0]

    @property
    def _held(self) -> bool:
        return self._depth > 0 or self._cleaning

    @property
    def must_not_block(self) -> bool:
        """Whether signals are held, or one has come whose clean-up has not ended."""
        return self._held or self._due is not None

    def afterwards(self, work: Callable[[], object]) -> None:
        """Run work that may block or fail without consequence, once it may block."""
        self._later.append(work)
        self.catch_up()

    def catch_up(self) -> None:
        """Run deferred work, unless it must not block."""
        while self._later and not self.must_not_block:
            with suppress(Exception):
                self._later.popleft()()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = clock.now()
        if self.received is None and self._own_end is not None and self._over.is_set():
            return  # The run was over just before its deadline.
        if generation() != self._generation or (self._left and now > self._stuck_at):
            # A forked child is not the run, nor is a process that goes on after it: do what would
            # have happened without this handler.
            signal.signal(number, self._old.get(number, signal.SIG_DFL))
            signal.raise_signal(number)
            return
        if self.received is not None:
            if not self._held and now > self._stuck_at:
                self._interrupt(frame)
            return
        self.received, self._at, self._stuck_at = number, now, now + STUCK
        self._due = "interrupt"
        self._on_first(number)
        if not self._held:
            self._interrupt(frame)

    def _interrupt(self, frame: FrameType | None) -> None:
        self._due = self._due and "clean-up"
        # TERM and HUP end pytest as Ctrl-C does: all of its teardown runs.
        old = self._old.get(signal.SIGINT)
        if callable(old):
            old(signal.SIGINT, frame)
        raise KeyboardInterrupt
