"""Tells of each coroutine of this package that was never awaited, whatever warnings are ignored.

A suite that ignores warnings ignores Python's own one of it, too, and its test passes without what
it was to expect. Python calls a function of `warnings` for each such coroutine, before any filter.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Generator
from types import CoroutineType
from typing import Any

import pytest

NEVER_AWAITED = re.compile(
    r"^coroutine '(Async(?:SmokeInstance|SmokeInstanceFactory|ChatTurn|ChatStream|SmokeClient)"
    r"\.\w+)' was never awaited"
)
_WARN = "_warn_unawaited_coroutine"
"""No public name: without it, only warnings that are not ignored tell."""


class Unawaited:
    """Tells of them by pytest's hook, which also comes from workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._hook = config.hook
        self._warn: Any = getattr(warnings, _WARN, None)
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
        """Keep one of this package; for any other, return what makes Python's own function tell."""
        text = f"coroutine '{coroutine.__qualname__}' was never awaited"
        if NEVER_AWAITED.match(text) is None:
            return object.__new__(both)
        # Told later: this is wherever the last reference to it went.
        where = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        kind = RuntimeWarning
        file, line = where.f_code.co_filename, where.f_lineno
        self._found.append(warnings.WarningMessage(kind(text), kind, file, line))
        return None

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
        try:
            return (yield)
        finally:
            self._tell(item.nodeid)

    # Before the run's end counts them.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        self._tell("")
        return (yield)
