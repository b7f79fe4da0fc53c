"""The run while it runs: what changes is logged, and shown to whoever waits.

On a terminal that is one line, redrawn in place. Elsewhere each change is a line, and one every
half a minute tells that the run lives. xdist's workers have no terminal: they tell their main
process. Nothing is shown where another plugin has the terminal.

Deletions are told here too, and none of them waits for a reader: the screen leaves out what it
can't write at once, and what is logged meanwhile comes afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.record import InstanceRecord, State

from .logs import DeferredLogs
from .relay import RelayReader, RelayWriter
from .screen import Screen
from .snapshot import SWIFT, Snapshot, news, take_snapshot
from .views import InPlace, Lines, Seen, Ticker, View

LISTENS = 0.25
"""Seconds between two looks at what workers tell."""

logger = logging.getLogger("pytest_hydrasmoke")


def screen_of(config: pytest.Config) -> Screen | None:
    """Return the terminal; None where it is another plugin's, or nobody is to be told anything."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if type(reporter) is not pytest.TerminalReporter or reporter.verbosity < -1:
        return None
    writer = config.get_terminal_writer()
    file = getattr(writer, "_file", None)
    try:
        return None if file is None else Screen(writer, file)
    except TypeError:
        return None  # A stream of somebody's own making.


def tells_logs(config: pytest.Config) -> bool:
    """Return whether what is logged is on the terminal already (`log_cli`)."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    live = isinstance(handler, logging.StreamHandler) and handler.level <= logging.INFO
    return live and logger.isEnabledFor(logging.INFO)


class Live:
    """What is under way in this process, and what its workers tell."""

    def __init__(
        self,
        config: pytest.Config,
        folder: Path,
        interrupts: Interrupts,
        worker: str | None,
        *,
        scrub: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pytest = config
        self._scrub = scrub
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Snapshot] = {}
        self._seen: Seen = {}
        self._pacing = threading.RLock()
        self._paused = False
        self._view: View | None = None
        self._ticker = Ticker(self.tick)
        self._screen: Screen | None = None
        self._listener = RelayReader(folder)
        self._listening = Ticker(self._hear)
        self._logs = DeferredLogs(interrupts)
        self._logs.begin()
        self._worker = worker is not None
        if worker is not None:
            self._view = Lines(RelayWriter(folder, worker).append_line)

    # What happens

    def changed(self, record: InstanceRecord) -> None:
        """Take in that something has changed; from any thread. No failure of it is the run's."""
        with contextlib.suppress(Exception):
            self._take_in(take_snapshot(record, self._scrub))

    def _take_in(self, after: Snapshot) -> None:
        now = self._clock()
        with self._lock:
            # One that another process began is known by where it stands.
            stands = State.CLAIMED if after.phase is None else after.state
            before = self._known.get(after.name, Snapshot(after.name, stands))
            self._known[after.name] = after
            if after.phase is None:
                self._seen.pop(after.name, None)
            else:
                self._seen[after.name] = after
            seen = dict(self._seen)
        words = news(before, after, now)
        if words is not None:
            logger.info("%s: %s", after.name, words)
        if words is not None and self._view is not None and not self._paused:
            self._view.changed(after.name, words, seen, now, swift=after.phase in SWIFT)
        self._pace()

    def say(self, lines: Sequence[str]) -> None:
        """Show lines that are no change; no failure of it is the run's."""
        with contextlib.suppress(Exception):
            for line in lines:
                self._write(self._scrub(line))

    def tick(self) -> None:
        """Show that time passes."""
        with self._lock:
            seen = dict(self._seen)
        if self._view is not None and seen:
            self._view.tick(seen, self._clock())

    def _pace(self) -> None:
        view = self._view
        if view is None:
            return
        with self._pacing:
            if self._seen and not self._paused:
                self._ticker.start(view.every)
            else:
                self._ticker.stop()
                view.rests()

    # What workers tell

    def _hear(self) -> None:
        for line in self._listener.new_lines():
            self._line(safe_line(line))

    def _line(self, text: str) -> None:
        self._write(f"hydra-smoke: {text}")

    def _write(self, line: str) -> None:
        if self._screen is not None:
            self._screen.line(line)

    # Hooks

    def _begin(self) -> None:
        if self._worker or self._screen is not None:
            return
        screen = self._screen = screen_of(self._pytest)
        if screen is not None and screen.in_place:
            self._view = InPlace(screen)
        elif screen is not None:
            self._view = Lines(self._line, changes=not tells_logs(self._pytest))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        self._begin()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self) -> None:
        self._begin()
        if self._screen is not None:
            self._listening.start(LISTENS)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        # Before the run deletes what is left, which is told here.
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
        self._view = None
        self._ticker.stop()
        self._listening.stop()
        if self._screen is not None:
            self._screen.close()
