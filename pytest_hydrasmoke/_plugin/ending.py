"""What ended a run before its tests were over, and which smoke tests it has not begun.

pytest tells its exit code alone, and that may be any: `pytest.exit` chooses one, 0 too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator

import pytest

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.text import safe_line

__tracebackhide__ = hide_own_frames

_MOST = 10
"""How many modules that could not be collected are named."""


class Ending:
    """Sees how the session ends, in each of its processes."""

    def __init__(self, scrub: Callable[[str], str], *, replies: bool) -> None:
        self._scrub = scrub
        self._replies = replies
        self._words: str | None = None
        self._broken: list[str] = []
        self._begun: set[str] = set()
        self.selected: set[str] = set()
        """The smoke tests that this process was to run, by their ids."""

    def words(self, session: pytest.Session, received: int | None) -> str | None:
        """Return what ended the session early; `received` is the signal that came, if one did."""
        if received is not None:
            return f"signal: {signal.Signals(received).name.removeprefix('SIG')}"
        if self._words is None and self._broken:
            # xdist goes on without them, and so does pytest if it is told to.
            more = f", and {len(self._broken) - _MOST} more" if len(self._broken) > _MOST else ""
            self._note("collection errors", ", ".join(self._broken[:_MOST]) + more, own=True)
        elif self._words is None and isinstance(session.shouldfail, str):
            self._note("stopped", session.shouldfail)
        return self._words

    def not_run(self, selected: set[str]) -> int:
        """Return how many of these tests, and of this process's own, have not begun."""
        return len((self.selected | selected) - self._begun)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except pytest.UsageError as error:
            self._note("usage error", "; ".join(map(str, error.args)), own=True)
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.append(report.nodeid)

    # Before what refuses to run them.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, object, object]:
        self.selected = {
            item.nodeid for item in session.items if item.get_closest_marker("hydra_smoke")
        }
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._begun.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        reason = excinfo.value
        if isinstance(reason, pytest.exit.Exception):
            self._note("pytest.exit", str(reason.msg or ""))
        elif type(reason) is KeyboardInterrupt:
            # pytest and xdist have kinds of their own, for what has stopped the session.
            self._note("interrupt", str(reason))
        elif not self._broken:
            self._note("stopped", str(reason))

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._note("internal error", excinfo.exconly(tryshort=True))

    def _note(self, kind: str, words: str, *, own: bool = False) -> None:
        """Note an ending; the words are `own` if neither a test nor an agent has a part in them."""
        # Before it is cut: a part of the token would not be found later.
        line = self._scrub(" ".join(words.split()))
        told = safe_line(line, 500) if own or self._replies else ""
        self._words = f"{kind}: {told}" if told else kind
