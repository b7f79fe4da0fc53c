"""The settings of a run, as pytest was given them, and what is wrong with those options."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_hydrasmoke._base.pytest_internals import ini_names
from pytest_hydrasmoke._options import FAKE, LIVE, SECRETS, SETTINGS, TABLE, flag, variable
from pytest_hydrasmoke._settings import sources
from pytest_hydrasmoke._settings.sources import Loaded


def read_settings(config: pytest.Config, *, fake: bool) -> Loaded:
    """Read the settings; raises `ConfigError` and `pytest.UsageError`."""
    for name in SECRETS:
        if config.getoption(f"hydra_smoke_{name}") is not None:
            file = f", or give {flag('token_file')}" if name == "token" else ""
            raise pytest.UsageError(
                f"{flag(name)} would show the token to everybody on this machine: "
                f"set {variable(name)} in the environment{file}"
            )
    if config.getoption("forked", False):
        raise pytest.UsageError(
            "--forked (pytest-forked) runs each test in a child process, which can't use the "
            "instances of the run: leave it out, or give -n 2 (pytest-xdist) in its place"
        )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    here = config.invocation_params.dir
    # Without arguments and `testpaths`, pytest's only argument is the folder where it is called.
    named = () if config.args_source is config.ArgsSource.INVOCATION_DIR else config.args
    places = [_place(here, argument.partition("::")[0]) for argument in named]
    places = [place for place in places if os.path.exists(place)]
    loaded = sources.load(options, here, fake=fake, places=places)
    loaded = replace(loaded, warnings=(*loaded.warnings, *_of_no_effect(config, fake=fake)))
    # Whatever else is wrong with the value is more important.
    if (problem := _moved_rootdir(config)) is not None:
        raise pytest.UsageError(problem)
    return loaded


def _of_no_effect(config: pytest.Config, *, fake: bool) -> Iterator[str]:
    """Yield a warning for what pytest's own configuration has for this plugin, and is not used."""
    used, other = (FAKE, LIVE) if fake else (LIVE, FAKE)
    if other in config.getini("addopts"):
        yield f"{other} of addopts is left out, as {used} is on the command line"
    for name in ini_names(config):
        setting = name.lower().replace("-", "_").removeprefix("hydra_smoke_")
        if name.lower().replace("-", "_").startswith("hydra_smoke"):
            yield (
                f"{name} in {config.inipath} has no effect: set {variable(setting)}, or "
                f"{setting} in [{TABLE}] of pyproject.toml"
            )


def _moved_rootdir(config: pytest.Config) -> str | None:
    """Return what is wrong where the value of an option has moved pytest's rootdir.

    pytest looks for it before it knows a plugin's options: it takes a value that stands alone, and
    is a path, for one of tests. Tests then have other names than those of their recordings, and the
    project's configuration is not read.
    """
    here, root = config.invocation_params.dir, config.rootpath
    tests = [_place(here, argument.partition("::")[0]) for argument in config.args]
    outside = [place for place in tests if not place.is_relative_to(here)]
    if config.inipath is not None or root == here or outside or not here.is_relative_to(root):
        return None
    ours = {flag(name) for name in SETTINGS}
    for option, value in itertools.pairwise(map(str, config.invocation_params.args)):
        place = _place(here, value)
        if option in ours and os.path.exists(place) and not place.is_relative_to(here):
            return (
                f"{option} {value} makes {root} pytest's rootdir, which changes the names of "
                f"tests: write {option}={value}"
            )
    return None


def _place(here: Path, argument: str) -> Path:
    return Path(os.path.abspath(here / argument))
