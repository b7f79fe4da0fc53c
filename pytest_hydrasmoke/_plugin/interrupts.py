"""The signals of a run, from before its first request on.

Little is imported here: the handlers are installed before all else is loaded.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from pytest_hydrasmoke._base.pytest_internals import session_of
from pytest_hydrasmoke._base.signals import Interrupts

from .stalled_output import StalledOutput


@dataclass(frozen=True, slots=True)
class Watch:
    """What a process does about signals, and about an output that blocks after one."""

    interrupts: Interrupts
    stalled: StalledOutput


def begin_watch(config: pytest.Config) -> Watch:
    """Install the handlers of a process that takes part in a run."""
    interrupts = Interrupts(on_first=lambda number: _stop(config, number, stalled))
    stalled = StalledOutput(interrupts.wake)
    interrupts.install()
    return Watch(interrupts, stalled)


@contextmanager
def watch_beginning(config: pytest.Config) -> Generator[Watch]:
    """Install the handlers of a run; a signal during its beginning ends it with one line.

    pytest itself shows nothing at that time, and its exit code does not tell signals apart.
    """
    watch = begin_watch(config)
    try:
        yield watch
    except BaseException:
        number = watch.interrupts.received
        if number is None:
            watch.interrupts.restore()
        else:
            config.pluginmanager.register(_EndedEarly(watch, number), "hydra-smoke-ended-early")
            _say_interrupted(number)
        raise


class _EndedEarly:
    """Gives a run that was interrupted in its beginning the exit code of its signal."""

    def __init__(self, watch: Watch, number: int) -> None:
        self._watch = watch
        self._number = number

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        session = session_of(config)
        if session is not None:
            session.exitstatus = 128 + self._number
        self._watch.stalled.end()
        self._watch.interrupts.leave()


def _say_interrupted(number: int) -> None:
    name = signal.Signals(number).name
    line = f"hydra-smoke: interrupted by {name} before anything was provisioned\n"
    # Nobody may read it any more, as after Ctrl-C in a pipeline. Without a buffer: what stays there
    # Python writes as it exits, and it changes the exit code where that fails.
    with suppress(OSError):
        os.write(2, line.encode())


def _stop(config: pytest.Config, number: int, stalled: StalledOutput) -> None:
    stalled.watch()
    # A test that swallows the interrupt is at least the last one.
    session = session_of(config)
    if session is not None:
        session.shouldstop = f"signal {number}"
