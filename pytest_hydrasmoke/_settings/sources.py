"""Where the settings come from, and what is wrong with them.

Option beats environment beats table beats default. Everything that is wrong is said at once,
each with how to put it right.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import (
    EnvSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.hints import nearest
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._options import FAKE, LIVE, TABLE, flag, how_to_set, variable

from .commands import PEM, commands_of
from .contradictions import contradictions
from .model import SPEC, HydraSmokeConfig
from .problems import Problem
from .tables import nearest_file, nearly_ours, project_file, source_of, unread_below
from .token_source import open_to_others, pick_token

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import Scenario

_LIVE_ONLY = {
    "url": "the fake has an address of its own",
    "token_file": "the fake has a token of its own",
    "instance": "the fake ends with the run, and so do its instances",
    "keep": "the fake ends with the run, and so do its instances",
    "record": "a recording is of a live router",
}
"""The settings that a run against the fake can't have, and why."""
_PLAINER = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table, such as { ready = 300 }",
    **dict.fromkeys(("int_parsing", "int_from_float", "int_type"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number, such as 300"),
}
"""What is wrong, by pydantic's names for it, in the words of whoever writes settings."""
_FAKE_SPEC = {"manifest_id": "fake-basic", "region_id": "fake-region", "tier_id": "fake-tier"}


class _Table(HydraSmokeConfig):
    """Tells pydantic-settings which table to read; never made."""

    model_config = SettingsConfigDict(pyproject_toml_table_header=tuple(TABLE.split(".")))


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each that is not a default came from."""

    config: HydraSmokeConfig
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    """Variables and tables that look like settings, and are none."""
    scenario: Scenario | None = None
    """What the fake plays; None for a live run."""
    file: Path | None = None
    """The pyproject.toml that was read."""


def load(
    options: Mapping[str, str | None],
    folder: Path,
    *,
    fake: bool,
    required: Collection[str] | None = ("url", *SPEC),
    used: Collection[str] | None = None,
    places: Sequence[Path] = (),
) -> Loaded:
    """Resolve the settings for a run in `folder`; raises `ConfigError` with every problem.

    `options` are those of the command line, None where not given. `required` is asked for, and the
    token; nothing is where it is None, and with `fake` neither: the run fills them in. Of settings
    that are not `used`, if that is given, a problem is a warning, and the default stands. `places`
    are the files and folders whose tests are run, if any are named.
    """
    problems: list[Problem] = []
    file = project_file(folder, places, problems)
    given = {name: value for name, value in options.items() if value is not None}
    environment = _environment()
    layers: list[tuple[str, dict[str, Any]]] = [
        ("option", given),
        ("environment", environment),
        (source_of(file, folder), _table(file, problems)),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in reversed(layers):
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    if fake:
        problems += [
            Problem(f"{flag(name)} needs {LIVE}: {why}")
            for name, why in _LIVE_ONLY.items()
            if name in given
        ]
        for name in (*_LIVE_ONLY, "token"):
            values.pop(name, None)
            sources.pop(name, None)
        values = {**_FAKE_SPEC, **values}
    else:
        if "scenario" in given:
            words = f"{flag('scenario')} needs {FAKE}: a live router has no scenario"
            problems.append(Problem(words))
        pick_token(layers, values, sources, problems)
        if required is not None:
            missing = _missing(values, required)
            # First, since it may be the one reason for all of them.
            unread = unread_below(file, folder) if missing else ()
            problems += map(Problem, (*unread, *missing))
    output = values.get("output", ".hydrasmoke")
    if isinstance(output, str | Path):
        values["output"] = folder / output
    # A test may change the folder before they are read.
    for name in ("record", *PEM):
        if isinstance(values.get(name), str | Path):
            values[name] = folder / values[name]
    config = _validated(values, sources, folder, problems)
    scenario = _scenario(values, sources, folder, config.replay_pace, problems) if fake else None
    unknown = (*_unknown_variables(), *nearly_ours(file))
    if any(problem.matters(used) for problem in problems):
        # Among those that are not read may be what was meant to set what is missing.
        listed = "\n".join(
            f"  - {words}" for words in (*(problem.words for problem in problems), *unknown)
        )
        # It may have been given in more than one place.
        raise ConfigError(f"hydra-smoke can't start:\n{scrubbing(values.get('token'))(listed)}")
    needless = (f"{problem.words} (not needed here)" for problem in problems)
    warnings = (*unknown, *needless, *open_to_others(config.token_file))
    if not fake:
        other = file if file != nearest_file(folder) else None
        token_set = "token" in environment
        config = config.with_commands(
            commands_of(config, sources, folder, other, token_set=token_set)
        )
    return Loaded(config, sources, warnings, scenario, file)


def _environment() -> dict[str, Any]:
    found = dict(EnvSettingsSource(HydraSmokeConfig)())
    fallback = os.environ.get("OPS_BEARER_TOKEN")
    if fallback and "token" not in found and "token_file" not in found:
        found["token"] = fallback
    if "token" in found:
        found["token"] = Token(found["token"])
    return found


def _unknown_variables() -> Iterator[str]:
    prefix = variable("")
    known = [name.upper() for name in HydraSmokeConfig.model_fields]
    for name in sorted(os.environ):
        rest = name.removeprefix(prefix)
        if rest != name and rest not in known:
            near = nearest(rest, known)
            yield f"{name} is not a setting" + (f": did you mean {variable(near)}?" if near else "")


def _table(file: Path | None, problems: list[Problem]) -> dict[str, Any]:
    """Read the table of the project's file; its paths are relative to it."""
    if file is None:
        return {}
    try:
        table = dict(PyprojectTomlConfigSettingsSource(_Table, file)())
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        # AttributeError, TypeError: pydantic-settings takes whatever stands there for a table.
        problems.append(Problem(f"[{TABLE}] of {file} can't be read: {error}"))
        return {}
    if table.pop("token", None) is not None:
        words = (
            f"token is in [{TABLE}] of {file}: a file that others can read is no place for it; "
            f"set {variable('token')} in the environment, or token_file"
        )
        problems.append(Problem(words, ("token",)))
    for name in [name for name in table if name not in HydraSmokeConfig.model_fields]:
        del table[name]
        near = nearest(name, HydraSmokeConfig.model_fields)
        meant = (
            f"did you mean {near}?"
            if near
            else "see docs/reference/settings.md for those that there are"
        )
        words = f"[{TABLE}] of {file} has the unknown key {name}: {meant}"
        problems.append(Problem(words, (near or name,)))
    for name in ("token_file", "output", "record", *PEM):
        if isinstance(table.get(name), str):
            table[name] = file.parent / table[name]
    scenario = table.get("scenario")
    if isinstance(scenario, str) and _is_place(scenario, file.parent):
        table["scenario"] = str(file.parent / scenario)
    return table


def _is_place(scenario: str, home: Path) -> bool:
    """Return whether a scenario is a file or a folder; a ready-made one goes before both."""
    from pytest_hydrasmoke.fake.presets import READY_MADE

    if scenario in READY_MADE:
        return False
    return bool(Path(scenario).suffix) or os.path.isdir(home / scenario)


def _scenario(
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    folder: Path,
    pace: float,
    problems: list[Problem],
) -> Scenario | None:
    from pytest_hydrasmoke.fake.presets import load

    given = values.get("scenario", "default")
    if not isinstance(given, str):  # which the settings complain about
        return None
    try:
        return load(given, folder, pace)
    except ValueError as problem:
        shown = safe_line(given)
        words = f"scenario = {shown!r} ({sources['scenario']}): {safe_line(str(problem), 2000)}"
        problems.append(Problem(words, ("scenario",)))
        return None


def _missing(values: Mapping[str, Any], required: Collection[str]) -> list[str]:
    problems = [
        f"{name} is not set: {how_to_set(name)}"
        for name in required
        if name not in values and not ("instance" in values and name in SPEC)
    ]
    if "token" not in values and "token_file" not in values:
        problems.append(
            f"the token is not set: set {variable('token')} (or OPS_BEARER_TOKEN) in the "
            f"environment, or {variable('token_file')}; pytest takes {flag('token_file')} too"
        )
    return problems


def _validated(
    values: Mapping[str, Any], sources: Mapping[str, str], folder: Path, problems: list[Problem]
) -> HydraSmokeConfig:
    """Return the settings, with the default of each that is wrong."""
    try:
        config = HydraSmokeConfig(**values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    else:
        problems += contradictions(config, folder)
        return config
    for fault in faults:
        name = str(fault["loc"][0])
        words = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        words = _PLAINER.get(fault["type"], words)
        if len(fault["loc"]) == 1 and fault["type"].startswith("float_"):
            words = "must be a number of seconds, such as 300"
        secret = name in ("token", "token_file")
        shown = "" if secret else f" = {safe_line(str(values.get(name)))!r}"
        entry = "".join(f"{safe_line(str(part))!r} " for part in fault["loc"][1:])
        words = f"{name}{shown} ({sources.get(name, 'default')}): {entry}{words}"
        problems.append(Problem(words, (name,)))
    # The rest may contradict itself all the same.
    faulty = {fault["loc"][0] for fault in faults}
    rest = {name: value for name, value in values.items() if name not in faulty}
    config = HydraSmokeConfig(**rest)
    problems += contradictions(config, folder)
    return config
