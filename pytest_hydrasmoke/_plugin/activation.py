"""Activation: register what this process needs in a run with a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    info = [name for name in _INFO_ONLY if config.getoption(name, default=None)]
    if config.getoption("hydra_smoke_plan") and info in ([], ["collectonly"]):
        _plan(config, live=live, fake=fake)
        return None
    if info:
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


def _plan(config: pytest.Config, *, live: bool, fake: bool) -> None:
    """Make the run print what its tests need, and nothing else: no router is called."""
    from pytest_hydrasmoke._base.errors import HydraSmokeError
    from pytest_hydrasmoke._settings.model import SPEC

    from .command_line import load
    from .plan import Planner
    from .refusal import Refusal
    from .replay import spec_of
    from .unread_tables import other_tables

    own: dict[str, Any] = {}
    try:
        loaded = load(config, live=live, fake=fake, required=None)
        recordings = None if loaded.scenario is None else loaded.scenario.recordings
        if recordings is not None:
            own = spec_of(recordings, without=loaded.sources)
    except HydraSmokeError as error:
        raise pytest.UsageError(str(error)) from None
    settings = loaded.config.model_copy(update=own)
    unset = [name for name in SPEC if getattr(settings, name) is None]
    settings = settings.model_copy(update=dict.fromkeys(unset, "(not set)"))
    replaying = recordings is not None
    planner = Planner(config, settings, loaded.warnings, replaying=replaying)
    config.pluginmanager.register(planner, "hydra-smoke-plan")
    tables = other_tables(loaded.file, config.invocation_params.dir)
    config.pluginmanager.register(Refusal(config, [tables]), "hydra-smoke-refusal")
    _collect(config, by_default=settings.bundled_checks and not replaying)
