"""What ended a run before its tests were over, and which smoke tests it has not begun.

pytest's exit code does not show this: `pytest.exit` can set any code, even 0.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable

import pytest

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.events import Selected
from pytest_hydrasmoke._journal.journal import Journal

__tracebackhide__ = hide_own_frames

_MOST = 10
"""How many modules that could not be collected are named."""


class Ending:
    """Sees how the session ends, in each of its processes."""

    def __init__(self, journal: Journal, scrub: Callable[[str], str], *, replies: bool) -> None:
        self._journal = journal
        self._scrub = scrub
        self._replies = replies
        self._words: str | None = None
        self._broken: list[str] = []
        self._begun: set[str] = set()

    def words(self, session: pytest.Session, received: int | None) -> str | None:
        """Return what ended the session early; `received` is the signal that came, if one did."""
        if received is not None:
            return f"signal: {signal.Signals(received).name.removeprefix('SIG')}"
        if self._words is None and self._broken:
            # xdist goes on without them, and so does pytest with --continue-on-collection-errors.
            self._ended_by("collection errors", first_few(self._broken, _MOST), own=True)
        elif self._words is None and isinstance(session.shouldfail, str):
            self._ended_by("stopped", session.shouldfail)
        return self._words

    def not_run(self, selected: Iterable[str], known: set[str]) -> int:
        """Return how many of the `selected` tests have not begun.

        `known` are tests that have begun, even if nothing was reported of them.
        """
        return len({*selected} - self._begun - known)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        try:
            return (yield)
        except pytest.UsageError as error:
            self._ended_by("usage error", "; ".join(map(str, error.args)), own=True)
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.append(report.nodeid)

    # Before `Refusal`, which may clear the items.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, object, object]:
        marked = [it.nodeid for it in session.items if it.get_closest_marker("hydra_smoke")]
        if marked:
            self._journal.note(Selected(marked))
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._begun.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        reason = excinfo.value
        if isinstance(reason, pytest.exit.Exception):
            self._ended_by("pytest.exit", str(reason.msg or ""))
        elif type(reason) is KeyboardInterrupt:
            # pytest and xdist raise subclasses where something has stopped the session.
            self._ended_by("interrupt", str(reason))
        elif not self._broken:
            self._ended_by("stopped", str(reason))

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._ended_by("internal error", excinfo.exconly(tryshort=True))

    def _ended_by(self, kind: str, words: str, *, own: bool = False) -> None:
        """Record an ending; the words are `own` if no test and no agent has a part in them."""
        # Masked before it is cut: a part of the token might not be found later.
        line = self._scrub(" ".join(words.split()))
        shown = safe_line(line, 500) if own or self._replies else ""
        self._words = f"{kind}: {shown}" if shown else kind
