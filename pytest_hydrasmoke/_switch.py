"""Switching on: what is asked for, whether it can be had, and what then takes part in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ._collect import BundledChecks
from ._options import FAKE, LIVE, SETTINGS, flag, variable

if TYPE_CHECKING:
    from ._active import Active

# Calls of pytest that execute no test: they must work without any settings, and touch nothing.
_TELLS_ONLY = (
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
    """Register what takes part in the run; None where pytest only tells something.

    Raises `pytest.UsageError` with everything that is wrong.
    """
    worker_settings: dict[str, Any] | None = getattr(config, "workerinput", {}).get("hydra_smoke")
    tells_only = any(config.getoption(name, default=None) for name in _TELLS_ONLY)
    if tells_only or (worker_settings is None and hasattr(config, "workerinput")):
        _collect(config, unasked=True)
        return None

    from . import _active

    if worker_settings is not None:
        loaded = _active.settings_for_worker(worker_settings)
        active = _active.Active(config, loaded, worker=True)
    else:
        active = _main_process(config, live=live, fake=fake)
    config.pluginmanager.register(active, "hydra-smoke-active")
    _collect(config, unasked=active.config.bundled_checks)
    return active


def _main_process(config: pytest.Config, *, live: bool, fake: bool) -> Active:
    from . import _active, _load
    from ._errors import ConfigError
    from ._redact import Token
    from .fake import FakeRouter

    if live and fake:
        raise pytest.UsageError(f"{LIVE} and {FAKE} are both given: keep the one you mean")
    if config.getoption("hydra_smoke_token"):
        raise pytest.UsageError(
            f"{flag('token')} would show the token to everybody on this machine: "
            f"set {variable('token')} in the environment, or give {flag('token_file')}"
        )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    try:
        loaded = _load.load(options, config.invocation_params.dir, fake=fake)
    except ConfigError as error:
        problem = str(error)
    else:
        if not fake:
            return _active.Active(config, loaded)
        # Served until `pytest_unconfigure`, which pytest calls however the run ends.
        router = FakeRouter()
        router.__enter__()
        at = {"url": router.url, "token": Token(router.token)}
        served = _load.Loaded(loaded.config.model_copy(update=at), loaded.sources)
        return _active.Active(config, served, fake=router)
    raise pytest.UsageError(problem)


def _collect(config: pytest.Config, *, unasked: bool) -> None:
    config.pluginmanager.register(BundledChecks(config, unasked=unasked), "hydra-smoke-checks")
