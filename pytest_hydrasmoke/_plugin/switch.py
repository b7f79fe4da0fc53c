"""Switch on: the signals of a run, from before its first request on, and this process's part in it.

Little is imported here: the handlers are installed before all else is loaded.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.pytest_internals import session_of, worker_input
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.text import aside
from pytest_hydrasmoke._options import FAKE, LIVE

from .bundled_checks import BundledChecks

if TYPE_CHECKING:
    from .compose import Parts

# Options with which pytest executes no test: they must work without any settings.
_INFO_ONLY = (
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "collectonly",
    "setupplan",
    "cacheshow",
)


def switch_on(config: pytest.Config) -> Parts | None:
    """Register the plugins of the run; return None where pytest only prints information.

    Raises `pytest.UsageError` with everything that is wrong.
    """
    if any(config.getoption(name, default=None) for name in _INFO_ONLY):
        _collect(config, by_default=True)
        return None
    worker = worker_input(config)
    with _watched(config) as interrupts:
        from .begin_run import begin_run, join_run

        if worker is None:
            parts: Parts | None = begin_run(config, interrupts, fake=_is_fake(config))
        else:
            parts = join_run(config, worker, interrupts)
        if parts is None:
            return None
        # Bundled checks have no recordings: only a real router can answer them. And at a real
        # agent their chats cost tokens.
        checks = parts.config.bundled_checks
        unasked = parts.replays or parts.config.agent_url is not None
        by_default = bool(checks) and not unasked
        _collect(config, by_default=by_default, core=checks == "core")
        return parts


def without_a_run(config: pytest.Config) -> int:
    """Return the exit code of pytest where it would be 0, and no run has begun."""
    if any(config.getoption(name, default=None) for name in _INFO_ONLY):
        return 0
    aside("hydra-smoke: pytest ended before the run began: it proves nothing")
    return int(pytest.ExitCode.TESTS_FAILED)


def _is_fake(config: pytest.Config) -> bool:
    """Return which of both switches counts: the one on the command line, if the other is in a file.

    Raises `pytest.UsageError` where both are in the same place.
    """
    options = config.option
    if options.hydra_smoke and options.hydra_smoke_fake:
        live, fake = (switch in config.invocation_params.args for switch in (LIVE, FAKE))
        if live == fake:
            raise pytest.UsageError(f"{LIVE} and {FAKE} are both given: keep the one you mean")
        # Checks and other plugins find the same in the options.
        options.hydra_smoke, options.hydra_smoke_fake = live, fake
    return bool(options.hydra_smoke_fake)


def _collect(config: pytest.Config, *, by_default: bool, core: bool = False) -> None:
    checks = BundledChecks(config, by_default=by_default, core=core)
    config.pluginmanager.register(checks, "hydra-smoke-checks")


@contextmanager
def _watched(config: pytest.Config) -> Generator[Interrupts]:
    """Install the handlers of a run; a signal during its beginning ends it with one line.

    pytest itself shows nothing at that time, and its exit code does not tell signals apart.
    """
    interrupts = Interrupts(on_first=lambda number: _stop(config, number))
    interrupts.install()
    try:
        yield interrupts
    except BaseException:
        number = interrupts.received
        if number is None:
            interrupts.restore()
        else:
            early = _EndedEarly(interrupts, number)
            config.pluginmanager.register(early, "hydra-smoke-ended-early")
            name = signal.Signals(number).name
            why = interrupts.why or f"interrupted by {name} before anything was provisioned"
            aside(f"hydra-smoke: {why}")
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


def _stop(config: pytest.Config, number: int) -> None:
    # A test that swallows the interrupt is at least the last one.
    session = session_of(config)
    if session is not None:
        session.shouldstop = f"signal {number}"
