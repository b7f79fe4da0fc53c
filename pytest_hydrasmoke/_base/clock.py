"""The time by which everything here waits: no test can freeze it.

freezegun replaces `time.monotonic` in every module, also in one that is first imported while time
is frozen; time-machine, before its release 3, replaces what it does. libfaketime stops the system's
clock, and with it every wait for a lock or a thread: some then take no time, others never end. So
the functions here are those of a private copy of the module `time`, compared with the system's
count of ticks, which none of them changes; and they block in `select`, whose time is the kernel's.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import select
import sys
from collections.abc import Callable
from typing import Any

INTERVAL = 0.1
"""Seconds between two comparisons."""
TOLERANCE = 0.05
"""Seconds by which clock and ticks may differ: a tick is 0.01 s."""
GRAIN = 0.02
"""Seconds that two readings of one moment may be apart, and two attempts of a wait without time."""


def _private(name: str) -> Any:
    spec = importlib.machinery.BuiltinImporter.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


_time = _private("time")
_monotonic: Callable[[], float] = _time.monotonic


def _elapsed() -> float:
    return os.times().elapsed


# Other systems make ticks of the time of day (macOS), or have none.
_ticks = _elapsed if sys.platform == "linux" else _monotonic


_last = _monotonic()
_until = _last + INTERVAL
"""The reading from which on the next comparison is due."""
_moved = 0.0
"""Seconds by which others have moved the clock."""
_compared = _last, _ticks(), _moved
"""The last comparison, in one value: a signal's handler may make another in the middle of one."""


def now() -> float:
    """Return the time in seconds, from an arbitrary start."""
    global _last
    reading = _monotonic()
    # A clock that stands still shows the same time twice.
    if _last < reading < _until:
        _last = reading
        return reading - _moved
    return _compare()


def _compare() -> float:
    global _last, _until, _moved, _compared
    # Read first: another thread may compare meanwhile.
    before, ticks_before, moved = _compared
    reading, ticks, tries = _monotonic(), _ticks(), 2
    while tries and _monotonic() - reading > GRAIN:
        # Others had the processor in between.
        reading, ticks, tries = _monotonic(), _ticks(), tries - 1
    passed = ticks - ticks_before
    ahead = reading - before - passed
    if abs(ahead) > TOLERANCE + passed / 1000:
        moved += ahead
    elif passed < INTERVAL:
        _last = reading
        return reading - moved
    _compared, _moved, _last, _until = (reading, ticks, moved), moved, reading, reading + INTERVAL
    return reading - moved


def pause(seconds: float) -> None:
    """Block this thread for so many seconds."""
    until = now() + seconds
    while (left := until - now()) > 0:
        _block(left)


def _block(seconds: float) -> None:
    select.select([], [], [], seconds)


def wait(attempt: Callable[[float], object], seconds: float) -> bool:
    """Return whether an attempt, such as `Event.wait`, succeeds within so many seconds.

    It is called with the seconds left.
    """
    until = now() + seconds
    while not attempt(max(until - now(), 0.0)):
        if (left := until - now()) <= 0:
            return False
        pause(min(left, GRAIN))  # The attempt took no time, or was given up too early.
    return True
