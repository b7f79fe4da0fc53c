"""Fail a run in which a test has called what it never awaited: nothing was done, nothing proved.

Python says so in a warning, which pytest shows and counts for nothing. xdist passes the warnings of
its workers on to the main process.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

_NEVER = re.compile(
    r"^coroutine '(Async(?:SmokeInstance|SmokeInstanceFactory|ChatTurn|ChatStream|SmokeClient)"
    r"\.\w+)' was never awaited"
)


class Unawaited:
    """What was called and never awaited, by test."""

    def __init__(self) -> None:
        self._calls: dict[str, list[str]] = {}

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, nodeid: str
    ) -> None:
        """Note a call of a test that came to nothing."""
        found = _NEVER.match(str(warning_message.message))
        if found is not None:
            self._calls.setdefault(nodeid or "(no test)", []).append(found[1])

    @property
    def any(self) -> bool:
        """Whether there was any such call."""
        return bool(self._calls)

    def tell(self, fail: Callable[[str, str, str], object]) -> None:
        """Call `fail` for each test with such a call, once the run's report is written."""
        for nodeid, calls in self._calls.items():
            names = ", ".join(dict.fromkeys(calls))
            fail("missing await", nodeid, f"{names}: called without await, so nothing was done")
