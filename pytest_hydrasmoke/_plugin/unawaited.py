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
import traceback
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

import pytest

from .running_test import errors_in

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
_MOST = 1_000
"""How far into a list of a test's own is looked."""
_WARN = "_warn_unawaited_coroutine"
"""No public name: without it, only warnings that are not ignored tell."""


class Unawaited:
    """Tells of them by pytest's hook, which also comes from workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._hook = config.hook
        self.offered: set[OpenTurn] = set()
        """The turns whose streams the running test has not entered."""
        self._awaits = False
        """Whether a test with a fixture for coroutines has run."""
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

    def raises(self, error: BaseException) -> None:
        """Ask nothing of what a test has not come to as it raises, nor a run of its body."""
        self.offered.clear()
        for one in errors_in(error):
            for frame, _ in traceback.walk_tb(one.__traceback__):
                for value in frame.f_locals.values():
                    _close(value)

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
        names = getattr(item, "fixturenames", ())
        self._awaits |= any(name.startswith("async_smoke_") for name in names)
        try:
            return (yield)
        except BaseException as error:
            self.raises(error)  # What ends the session has no report.
            raise
        finally:
            self._item = None
            if self.offered:
                path, line, _ = item.reportinfo()
                # It counts lines from 0.
                self._keep("stream 'stream_chat' was never entered", str(path), (line or 0) + 1)
                self.offered.clear()
            self._tell(item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, object, object]:
        report = yield
        # `unittest` keeps what was raised until here.
        if self._item is not None and call.excinfo is not None:
            self.raises(call.excinfo.value)
        return report

    # Within the run's end, which counts them.
    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            if self._awaits:
                gc.collect()  # What is in a cycle goes with the next collection, if there is one.
            self._tell("")


def _close(value: object) -> None:
    """Close a coroutine that has not begun, or those in a list: it is told of no more."""
    # By their types alone: what a class says of itself may be a test's own code.
    several = type(value) in (list, tuple)
    for one in cast("Sequence[object]", value)[:_MOST] if several else (value,):
        kind: object = type(one)
        if kind is CoroutineType:
            coroutine = cast("CoroutineType[Any, Any, Any]", one)
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                coroutine.close()
