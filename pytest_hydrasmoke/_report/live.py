"""The run while it runs: what happens is logged, and shown on the terminal.

A lasting change gets a line on pytest's terminal, and now and then a line shows that the run is
alive. xdist's workers have no terminal: their main process reads what they write. Nothing is shown
where another plugin owns the terminal.

Deletions are shown here too, and never wait for a reader: the terminal leaves out what it can't
write at once, and log records of that time are handled afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from pytest_hydrasmoke._base.clock import now
from pytest_hydrasmoke._base.pytest_internals import live_log_level, worker_input
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.threads import Ticker
from pytest_hydrasmoke._journal.events import Doing, Entry
from pytest_hydrasmoke._journal.journal import Tail

from .lines import ProgressLines
from .screen import Terminal, terminal_of

TICK = 1.0
"""Seconds between two looks at lasting phases."""
LISTENS = 0.25
"""The same where workers are looked at, too."""

_LOGGERS = (
    "pytest_hydrasmoke",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "httpcore.socks",
)
"""Their records wait while nothing must block: handlers write anywhere."""

logger = logging.getLogger("pytest_hydrasmoke")


class Progress:
    """Tells what happens in this process, and what its workers write."""

    def __init__(
        self,
        config: pytest.Config,
        tail: Tail,
        interrupts: Interrupts,
        scrub: Callable[[str], str] = str,
        *,
        clock: Callable[[], float] = now,
    ) -> None:
        self._pytest = config
        self._tail = tail
        self._scrub = scrub
        self._clock = clock
        self._lock = threading.RLock()
        """Held while a line is written, too: no writer waits for a reader. A stream that is thrown
        away tells of its end from within any line, also from one under it."""
        self._lines = ProgressLines(scrub)
        self._terminal: Terminal | None = None
        self._pacing = threading.RLock()
        self._paused = False
        self._has_workers = False
        self._ticker = Ticker(self.tick)
        self._interrupts = interrupts
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._may_be_handled)

    def saw(self, entry: Entry) -> None:
        """Tell of an entry of this process; from any thread. Failures do not affect the run."""
        with contextlib.suppress(Exception):
            with self._lock:
                news = self._lines.apply(entry)
                self._show(news.line)
            if news.logged is not None:
                logger.info("%s", news.logged)
            if isinstance(entry.event, Doing):
                self._pace()

    def _may_be_handled(self, record: logging.LogRecord) -> bool:
        if not self._interrupts.must_not_block:
            return True
        self._interrupts.afterwards(lambda: logging.getLogger(record.name).handle(record))
        return False

    def say(self, lines: Sequence[str]) -> None:
        """Write lines that are no change; failures do not affect the run."""
        with contextlib.suppress(Exception), self._lock:
            for line in lines:
                if self._terminal is not None:
                    self._terminal.write_line(self._scrub(line))

    def tick(self) -> None:
        """Tell what workers have written, and that time passes."""
        with self._lock:
            if self._has_workers:
                for process, entry in self._tail.new():
                    self._show(self._lines.apply(entry, process).line)
            if self._terminal is not None and not self._paused:
                for line in self._lines.due(self._clock()):
                    self._show(line)

    def _show(self, line: str | None) -> None:
        if line is not None and self._terminal is not None and not self._paused:
            self._terminal.write_line(f"hydra-smoke: {line}")

    def _pace(self) -> None:
        with self._pacing:
            lasts = self._has_workers or self._lines.under_way
            if self._terminal is not None and lasts and not self._paused:
                self._ticker.start(LISTENS if self._has_workers else TICK)
            else:
                self._ticker.stop()

    # Hooks

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        if self._terminal is None:
            self._terminal = terminal_of(self._pytest)
            level = live_log_level(self._pytest)
            # Where log records are on the terminal already, changes are not told twice.
            logs = level is not None and level <= logging.INFO and logger.isEnabledFor(logging.INFO)
            self._lines.changes = not logs

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self) -> None:
        self.pytest_sessionstart()
        self._has_workers = True
        self._pace()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self.tick()
        with self._lock:
            self._lines.ends((worker_input(node) or {}).get("workerid", ""))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self) -> None:
        # Flush pytest's own output before any line on the test.
        if self._terminal is not None:
            self._terminal.flush()

    def pytest_enter_pdb(self) -> None:
        self._paused = True
        self._pace()

    def pytest_leave_pdb(self) -> None:
        self._paused = False
        self._pace()

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self) -> None:
        self.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        self.end()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._may_be_handled)

    def end(self) -> None:
        """Show nothing from now on; harmless if done before."""
        self._has_workers = False
        with self._lock:
            terminal, self._terminal = self._terminal, None
            if terminal is not None:
                terminal.close()
        self._ticker.stop()
