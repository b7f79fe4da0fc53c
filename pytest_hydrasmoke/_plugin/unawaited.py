"""Tells of what a smoke test has called and never awaited or entered, so that nothing was done.

A suite that ignores warnings ignores Python's own one of a coroutine, too, and its test passes
without what it was to expect. Python calls a function of `warnings` for each such coroutine, before
any filter. Of those that are not this package's, a smoke test's own count: its helpers, and the
test itself, which `unittest.TestCase` calls and does not await. A test that raises has not come to
what it leaves, nor has a run of its body: it may be expected to, or be run again.
"""

from __future__ import annotations

import gc
import inspect
import re
import sys
import warnings
from collections.abc import Generator
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_hydrasmoke._core.open_turn import OpenTurn

_OURS = re.compile(
    r"Async(?:SmokeInstance|SmokeInstanceFactory|ChatTurn|ChatStream|SmokeClient)\.\w+"
)
NOTHING_DONE = re.compile(
    rf"^coroutine '({_OURS.pattern})' was never awaited"
    r"|^(?:coroutine|stream) '(.+)' was never (?:awaited|entered) in a smoke test$"
)
"""What Python says of one of ours, and what `Unawaited` says."""
_WARN = "_warn_unawaited_coroutine"
"""No public name: without it, only warnings that are not ignored tell."""


class Unawaited:
    """Tells of them by pytest's hook, which also comes from workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._hook = config.hook
        self.offered: set[OpenTurn] = set()
        """The turns whose streams the running test has not entered."""
        self._raised = False
        """Whether a smoke test has raised, or a run of its body, and no other has begun."""
        self._warn: Any = getattr(warnings, _WARN, None)
        self._item: pytest.Item | None = None
        """The smoke test that is running."""
        self._found: list[warnings.WarningMessage] = []

    def pytest_configure(self) -> None:
        if self._warn is not None:
            # A class calls both with no frame between: Python's looks one frame up for the place.
            both = {"__new__": self._saw, "__init__": staticmethod(self._warn)}
            setattr(warnings, _WARN, type("_Both", (), both))

    def pytest_unconfigure(self) -> None:
        if self._warn is not None:
            setattr(warnings, _WARN, self._warn)

    def _saw(self, both: type[object], coroutine: CoroutineType[Any, Any, Any]) -> object:
        """Keep one that counts; for any other, return what makes Python's own function tell."""
        name = coroutine.__qualname__
        if _OURS.fullmatch(name) is None and not self._is_of_the_test(coroutine):
            return object.__new__(both)
        if self._raised:
            return None
        # Told later: this is wherever the last reference to it went.
        where = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        self._keep(
            f"coroutine '{name}' was never awaited", where.f_code.co_filename, where.f_lineno
        )
        return None

    def _is_of_the_test(self, coroutine: CoroutineType[Any, Any, Any]) -> bool:
        if self._item is None:
            return False
        file = Path(coroutine.cr_code.co_filename)
        given = map(type, inspect.getcoroutinelocals(coroutine).values())
        # A class may have no module, or what is no name.
        modules = (str(getattr(it, "__module__", "")).partition(".")[0] for it in given)
        ours = "pytest_hydrasmoke" in modules
        return ours or file == self._item.path or file.name == "conftest.py"

    def raised(self) -> None:
        """Count nothing of what now goes, until another begins; what others have left counts."""
        gc.collect()
        self._raised = True
        self.offered.clear()

    def begins(self) -> None:
        """Begin a test, or a run of its body, once all has gone that what raised has left."""
        if self._raised:
            # Here the last error is kept for a debugger; pytest forgets it at the next call.
            for name in ("last_type", "last_value", "last_traceback", "last_exc"):
                if hasattr(sys, name):
                    delattr(sys, name)
            gc.collect()
            self._raised = False

    def _keep(self, text: str, file: str, line: int) -> None:
        kind = RuntimeWarning
        words = kind(f"{text} in a smoke test")
        self._found.append(warnings.WarningMessage(words, kind, file, line))

    def _tell(self, test: str) -> None:
        found, self._found = self._found, []
        for warning in found:
            self._hook.pytest_warning_recorded.call_historic(
                kwargs={
                    "warning_message": warning,
                    "nodeid": test,
                    "when": "runtest",
                    "location": None,
                }
            )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._item = item if item.get_closest_marker("hydra_smoke") else None
        try:
            return (yield)
        except BaseException:
            self.raised()  # What ends the session has no report.
            raise
        finally:
            self._item = None
            if self.offered:
                path, line, _ = item.reportinfo()
                # It counts lines from 0.
                self._keep("stream 'stream_chat' was never entered", str(path), (line or 0) + 1)
                self.offered.clear()
            self._tell(item.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.begins()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, object, object]:
        report = yield
        # `unittest` keeps what was raised until here.
        if call.excinfo is not None:
            self.offered.clear()
            # There may be many that a marker skips, and a collection takes its time.
            skipped = call.when == "setup" and call.excinfo.errisinstance(pytest.skip.Exception)
            if self._item is not None and not skipped:
                self.raised()
        return report

    # Before the run's end counts them.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        gc.collect()  # What is in a cycle goes with the next collection, if there is one.
        self._tell("")
        return (yield)
