"""The run while it runs: changes are logged, and shown on the terminal.

A lasting change gets a line on pytest's terminal, and now and then a line shows that the run is
alive. xdist's workers have no terminal: they send lines to their main process. Nothing is shown
where another plugin owns the terminal.

Deletions are shown here too, and never wait for a reader: the terminal leaves out what it can't
write at once, and log records of that time are handled afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from pytest_hydrasmoke._base.clock import now
from pytest_hydrasmoke._base.pytest_internals import live_log_level
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.ticker import Ticker
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State

from .lines import Lines
from .logs import DeferredLogs
from .relay import RelayReader, RelayWriter
from .snapshot import Snapshot, news, take_snapshot
from .terminal import Terminal, terminal_of

TICK = 1.0
"""Seconds between two looks at lasting phases."""
LISTENS = 0.25
"""Seconds between two looks for lines of workers."""
NAME = 300
"""How many characters of a test's name are shown."""

logger = logging.getLogger("pytest_hydrasmoke")


def logs_are_shown(config: pytest.Config) -> bool:
    """Return whether log records are on the terminal already (`log_cli`)."""
    level = live_log_level(config)
    return level is not None and level <= logging.INFO and logger.isEnabledFor(logging.INFO)


class Progress:
    """What is under way in this process, and what its workers send."""

    def __init__(
        self,
        config: pytest.Config,
        folder: Path,
        interrupts: Interrupts,
        worker: str | None,
        *,
        scrub: Callable[[str], str] = str,
        replies: bool = True,
        clock: Callable[[], float] = now,
    ) -> None:
        self._pytest = config
        self._scrub = scrub
        self._replies = replies
        self._clock = clock
        self._lock = threading.Lock()
        """Held while a line is written, too: no writer waits for a reader."""
        self._known: dict[str, Snapshot] = {}
        self._lines = Lines()
        self._show: Callable[[str], None] | None = None
        self._pacing = threading.RLock()
        self._paused = False
        self._ticker = Ticker(self.tick)
        self._terminal: Terminal | None = None
        self._listener = RelayReader(folder)
        self._listening = Ticker(self._hear)
        self._logs = DeferredLogs(interrupts)
        self._logs.begin()
        self._worker = worker is not None
        if worker is not None:
            self._show = RelayWriter(folder, worker).append_line

    # Changes

    def changed(self, record: InstanceRecord) -> None:
        """Handle a change; from any thread. Its own failures do not affect the run."""
        with contextlib.suppress(Exception):
            self._take_in(take_snapshot(record, self._scrub, replies=self._replies))

    def _take_in(self, after: Snapshot) -> None:
        now = self._clock()
        with self._lock:
            # An instance that another process began is first seen in its current state.
            stands = State.CLAIMED if after.phase is None else after.state
            before = self._known.get(after.name, Snapshot(after.name, stands))
            self._known[after.name] = after
            line = self._lines.changed(before, after, now)
            if line is not None:
                self._show_all([line])
        words = news(before, after, now)
        if words is not None:
            logger.info("%s: %s", after.name, words)
        self._pace()

    def run_begins(self, test: str, words: str, lasted: float) -> None:
        """Show how the runs of a test stand; the one before `lasted` so many seconds."""
        line = f"{safe_line(self._scrub(test), NAME)}: {words}"
        logger.info("%s", line)
        with contextlib.suppress(Exception), self._lock:
            self._show_all(self._lines.run_begins(line, lasted))

    def say(self, lines: Sequence[str]) -> None:
        """Show lines that are no change; failures do not affect the run."""
        with contextlib.suppress(Exception), self._lock:
            for line in lines:
                self._write(self._scrub(line))

    def tick(self) -> None:
        """Show that time passes."""
        with self._lock:
            self._show_all(self._lines.due(self._clock()))

    def _show_all(self, lines: Sequence[str]) -> None:
        if self._show is not None and not self._paused:
            for line in lines:
                self._show(line)

    def _pace(self) -> None:
        with self._pacing:
            if self._show is not None and self._lines.under_way and not self._paused:
                self._ticker.start(TICK)
            else:
                self._ticker.stop()

    # Lines of workers

    def _hear(self) -> None:
        with self._lock:
            for line in self._listener.new_lines():
                self._write_own(safe_line(line))

    def _write_own(self, text: str) -> None:
        self._write(f"hydra-smoke: {text}")

    def _write(self, line: str) -> None:
        if self._terminal is not None:
            self._terminal.write_line(line)

    # Hooks

    def _begin(self) -> None:
        if self._worker or self._terminal is not None:
            return
        self._terminal = terminal_of(self._pytest)
        if self._terminal is not None:
            self._lines = Lines(changes=not logs_are_shown(self._pytest))
            self._show = self._write_own

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        self._begin()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self) -> None:
        self._begin()
        if self._terminal is not None:
            self._listening.start(LISTENS)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self) -> None:
        # Flush pytest's own output before any line on the test.
        if self._terminal is not None:
            self._terminal.flush()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        # Before the run deletes what is left, which is shown here.
        self._listening.stop()
        with contextlib.suppress(Exception):
            self._hear()
        return (yield)

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
        self._logs.end()

    def end(self) -> None:
        """Show nothing from now on; harmless if done before."""
        with self._lock:
            self._show = None
            terminal, self._terminal = self._terminal, None
            if terminal is not None:
                terminal.close()
        self._ticker.stop()
        self._listening.stop()
