"""Activation: register what this process needs in a run with a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.pytest_internals import worker_input

from .bundled_checks import BundledChecks
from .interrupts import watch_beginning

if TYPE_CHECKING:
    from .fixtures import Active

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


def switch_on(config: pytest.Config, *, live: bool, fake: bool) -> Active | None:
    """Register the plugins of the run; return None where pytest only prints information.

    Raises `pytest.UsageError` with everything that is wrong.
    """
    if any(config.getoption(name, default=None) for name in _INFO_ONLY):
        _collect(config, by_default=True)
        return None
    active = _active(config, live=live, fake=fake)
    if active is not None:
        # Bundled checks have no recordings: only a real router can answer them.
        by_default = active.config.bundled_checks and active.replaying is None
        _collect(config, by_default=by_default)
    return active


def _active(config: pytest.Config, *, live: bool, fake: bool) -> Active | None:
    worker = worker_input(config)
    if worker is None:
        with watch_beginning(config) as watch:
            from .main_process import begin_run

            return begin_run(config, watch, live=live, fake=fake)
    from .worker_process import join_run

    return join_run(config, worker)


def _collect(config: pytest.Config, *, by_default: bool) -> None:
    checks = BundledChecks(config, by_default=by_default)
    config.pluginmanager.register(checks, "hydra-smoke-checks")
