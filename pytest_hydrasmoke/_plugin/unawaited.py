"""Fail a run in which a test has called what it never awaited: nothing was done, nothing proved.

Python says so in a warning, which pytest shows and counts for nothing. xdist passes the warnings of
its workers on to the main process.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import pytest

_NEVER = re.compile(
    r"^coroutine '(Async(?:SmokeInstance|SmokeInstanceFactory|ChatTurn|ChatStream|SmokeClient)"
    r"\.\w+)' was never awaited"
)


class Unawaited:
    """What was called and never awaited, by test; `fail` fails the run."""

    def __init__(self, fail: Callable[[str, str, str], object]) -> None:
        self._fail = fail
        self._calls: dict[str, list[str]] = {}

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        """Note a call of a test that came to nothing."""
        found = _NEVER.match(str(warning_message.message))
        if found is not None:
            self._calls.setdefault(nodeid, []).append(found[1])

    def finish(self, session: pytest.Session) -> None:
        """Fail the run, at its end, for each test with such a call."""
        for nodeid, calls in self._calls.items():
            names = ", ".join(dict.fromkeys(calls))
            self._fail(
                "missing await", nodeid, f"{names}: called without await, so nothing was done"
            )
