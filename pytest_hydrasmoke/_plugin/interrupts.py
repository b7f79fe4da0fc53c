"""The signals of a run, from before its first request on.

Little is imported here: the handlers are installed before all else is loaded.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from pytest_hydrasmoke._base.pytest_internals import session_of
from pytest_hydrasmoke._base.signals import Interrupts


def begin_watch(config: pytest.Config) -> Interrupts:
    """Install the handlers of a process that takes part in a run."""
    interrupts = Interrupts(on_first=lambda number: _stop(config, number))
    interrupts.install()
    return interrupts


@contextmanager
def watch_beginning(config: pytest.Config) -> Generator[Interrupts]:
    """Install the handlers of a run; a signal during its beginning ends it with one line.

    pytest itself shows nothing at that time, and its exit code does not tell signals apart.
    """
    interrupts = begin_watch(config)
    try:
        yield interrupts
    except BaseException:
        number = interrupts.received
        if number is None:
            interrupts.restore()
        else:
            config.pluginmanager.register(
                _EndedEarly(interrupts, number), "hydra-smoke-ended-early"
            )
            _say_interrupted(number)
        raise


class _EndedEarly:
    """Gives a run that was interrupted in its beginning the exit code of its signal."""

    def __init__(self, interrupts: Interrupts, number: int) -> None:
        self._interrupts = interrupts
        self._number = number

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        session = session_of(config)
        if session is not None:
            session.exitstatus = 128 + self._number
        self._interrupts.leave()


def _say_interrupted(number: int) -> None:
    name = signal.Signals(number).name
    line = f"hydra-smoke: interrupted by {name} before anything was provisioned\n"
    # Nobody may read it any more, as after Ctrl-C in a pipeline. Without a buffer: what stays there
    # Python writes as it exits, and it changes the exit code where that fails.
    with suppress(OSError):
        os.write(2, line.encode())


def _stop(config: pytest.Config, number: int) -> None:
    # A test that swallows the interrupt is at least the last one.
    session = session_of(config)
    if session is not None:
        session.shouldstop = f"signal {number}"
