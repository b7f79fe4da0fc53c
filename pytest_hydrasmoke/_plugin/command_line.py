"""Read the settings, with those on pytest's command line."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import pytest

from pytest_hydrasmoke._options import FAKE, LIVE, SETTINGS, flag, variable
from pytest_hydrasmoke._settings import sources
from pytest_hydrasmoke._settings.sources import Loaded


def load(config: pytest.Config, *, live: bool, fake: bool, **how: Collection[str] | None) -> Loaded:
    """Read the settings; raises `ConfigError` and `pytest.UsageError`."""
    if live and fake:
        raise pytest.UsageError(f"{LIVE} and {FAKE} are both given: keep the one you mean")
    if config.getoption("hydra_smoke_token") is not None:
        raise pytest.UsageError(
            f"{flag('token')} would show the token to everybody on this machine: "
            f"set {variable('token')} in the environment, or give {flag('token_file')}"
        )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    here = config.invocation_params.dir
    # Without arguments and `testpaths`, pytest's only argument is the folder where it is called.
    named = () if config.args_source is config.ArgsSource.INVOCATION_DIR else config.args
    places = [here / argument.partition("::")[0] for argument in named]
    places = [Path(os.path.abspath(place)) for place in places if place.exists()]
    return sources.load(options, here, fake=fake, places=places, **how)
