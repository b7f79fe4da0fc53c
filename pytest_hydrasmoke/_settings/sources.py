"""Read the settings from their sources, and report what is wrong with them.

An option overrides the environment, which overrides the table, which overrides the default. All
problems are reported at once, each with how to fix it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.hints import nearest
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._options import FAKE, LIVE, SECRETS, TABLE, flag, how_to_set, variable

from .commands import PEM, commands_of
from .contradictions import contradictions
from .model import SPEC, HydraSmokeConfig
from .problems import Problem
from .tables import UNREADABLE, nearest_table, project_file, read_table, source_of
from .token_source import open_to_others, pick_token

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from pytest_hydrasmoke.fake import Scenario

_LIVE_ONLY = {
    "url": "the fake has an address of its own",
    "token_file": "the fake has a token of its own",
    "instance": "the fake ends with the run, and so do its instances",
    "keep": "the fake ends with the run, and so do its instances",
}
"""The settings that a run against the fake can't have, and why."""
_NOT_OF_THE_FAKE = {
    "record": f"a recording is of a live router, or of a real agent ({flag('agent_url')})"
}
"""Those that it can have where the fake stands before an agent."""
_FAKE_ONLY = {
    "scenario": "a live router has no scenario",
    "agent_api": "a live router has agents of its own",
}
"""The options that a live run can't have, and why."""
_PLAINER = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table, such as { ready = 300 }",
    **dict.fromkeys(("int_parsing", "int_from_float", "int_type"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number, such as 300"),
}
"""Plainer messages for pydantic's types of errors."""
_FAKE_SPEC = {"manifest_id": "fake-basic", "region_id": "fake-region", "tier_id": "fake-tier"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and the source of each that is not a default."""

    config: HydraSmokeConfig
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    """Problems that do not stop the run, such as names that only look like settings."""
    scenario: Scenario | None = None
    """How the fake behaves; None for a live run."""
    file: Path | None = None
    """The pyproject.toml that was read."""


def load(
    options: Mapping[str, str | None],
    folder: Path,
    *,
    fake: bool,
    required: Collection[str] = ("url", *SPEC),
    used: Collection[str] | None = None,
    places: Sequence[Path] = (),
) -> Loaded:
    """Resolve the settings for a run in `folder`; raises `ConfigError` with every problem.

    `options` are those of the command line, None if not set. The `required` settings and the token
    must be set, except with `fake`, where the run supplies them. If there are `used` settings, a
    problem with any other one is only a warning, and its default applies.
    `places` are the files and folders of the tests to run, if any are named.
    """
    problems: list[Problem] = []
    file = project_file(folder, places, problems)
    chosen = {name: value for name, value in options.items() if value is not None}
    environment = _environment()
    layers: list[tuple[str, dict[str, Any]]] = [
        ("option", chosen),
        ("environment", environment),
        (source_of(file, folder), _table(file, problems)),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in reversed(layers):
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    if fake:
        unused = _LIVE_ONLY | ({} if "agent_url" in values else _NOT_OF_THE_FAKE)
        problems += _unused_options(chosen, unused, LIVE)
        if "agent_api" in chosen and "agent_url" not in values:
            problems.append(Problem(f"{flag('agent_api')} needs {flag('agent_url')}"))
        for name in (*unused, "token"):
            values.pop(name, None)
            sources.pop(name, None)
        values = {**_FAKE_SPEC, **values}
    else:
        problems += _unused_options(chosen, _FAKE_ONLY, FAKE)
        if "agent_url" in values:
            words = f"agent_url ({sources['agent_url']}) needs {FAKE}: {_FAKE_ONLY['agent_api']}"
            problems.append(Problem(words, ("agent_url",)))
        pick_token(layers, values, sources, problems)
        problems += map(Problem, _missing(values, required))
    values.setdefault("output", ".hydrasmoke")
    # A test may change the working directory before they are used.
    for name in ("output", "record", *PEM):
        if isinstance(values.get(name), str | Path):
            values[name] = folder / values[name]
    config = _validated(values, sources, folder, problems)
    scenario = _scenario(values, sources, folder, problems) if fake else None
    if scenario is not None and (scenario.recordings is not None or scenario.replies):
        problems += _answers_itself(config)
    unknown = tuple(_unknown_variables())
    if any(problem.matters(used) for problem in problems):
        # A misspelt name may be why a setting is missing.
        raise _refused([*(problem.words for problem in problems), *unknown], values.get("token"))
    needless = (f"{problem.words} (not needed here)" for problem in problems)
    warnings = (*unknown, *needless, *open_to_others(config.token_file))
    if not fake:
        # A command called in `folder` reads the table that is nearest there.
        home = folder if file is None or file == nearest_table(folder) else file.parent
        token_set = "token" in environment
        config = config.with_commands(
            commands_of(config, sources, folder, home, token_set=token_set)
        )
    return Loaded(config, sources, warnings, scenario, file)


def _unused_options(
    chosen: Collection[str], unused: Mapping[str, str], needs: str
) -> Iterator[Problem]:
    """Yield the options that this run has no use for, and the other switch has."""
    for name, why in unused.items():
        if name in chosen:
            yield Problem(f"{flag(name)} needs {needs}: {why}")


def _refused(problems: Iterable[str], token: Any) -> ConfigError:
    listed = "\n".join(f"  - {words}" for words in problems)
    # A message quotes values, any of which may be the token.
    return ConfigError(f"hydra-smoke can't start:\n{scrubbing(token)(listed)}")


def _environment() -> dict[str, Any]:
    # In any case, and an empty variable is not set.
    variables = {name.upper(): value for name, value in os.environ.items() if value}
    names = {name: variable(name) for name in HydraSmokeConfig.model_fields}
    found: dict[str, Any] = {
        name: variables[names[name]] for name in names if names[name] in variables
    }
    fallback = os.environ.get("OPS_BEARER_TOKEN")
    if fallback and "token" not in found and "token_file" not in found:
        found["token"] = fallback
    for name in SECRETS:
        if name in found:
            found[name] = Token(found[name])
    return found


def _unknown_variables() -> Iterator[str]:
    prefix = variable("")
    known = [name.upper() for name in HydraSmokeConfig.model_fields]
    alike = {_letters(variable(name)): variable(name) for name in known}
    for name in sorted(os.environ):
        rest = name.removeprefix(prefix)
        if rest != name and rest not in known:
            near = nearest(rest, known)
            yield f"{name} is not a setting" + (f": did you mean {variable(near)}?" if near else "")
        elif (meant := alike.get(_letters(name))) and meant not in (name.upper(), *os.environ):
            yield f"{name} is not read: did you mean {meant}?"


def _letters(name: str) -> str:
    return re.sub(r"[^A-Z]", "", name.upper()).removeprefix("PYTEST")


def _table(file: Path | None, problems: list[Problem]) -> dict[str, Any]:
    """Read the table of a file; paths in it are relative to the file's folder."""
    if file is None:
        return {}
    try:
        table = read_table(file)
    except UNREADABLE as error:
        problems.append(Problem(f"[{TABLE}] of {file} can't be read: {error}"))
        return {}
    for name in [name for name in table if name.lower() in SECRETS]:
        del table[name]
        own_file = ", or token_file" if name.lower() == "token" else ""
        words = (
            f"{name.lower()} must not be in [{TABLE}] of {file}, which others can read: "
            f"set {variable(name)} in the environment{own_file}"
        )
        problems.append(Problem(words, (name.lower(),)))
    for name in [name for name in table if name not in HydraSmokeConfig.model_fields]:
        del table[name]
        near = nearest(name.lower(), HydraSmokeConfig.model_fields)
        hint = f"did you mean {near}?" if near else "docs/reference/settings.md lists all keys"
        words = f"[{TABLE}] of {file} has the unknown key {name}: {hint}"
        problems.append(Problem(words, (near or name,)))
    for name in ("token_file", "output", "record", *PEM):
        if isinstance(table.get(name), str):
            table[name] = file.parent / table[name]
    scenario = table.get("scenario")
    if isinstance(scenario, str) and _is_path(scenario, file.parent):
        table["scenario"] = str(file.parent / scenario)
    return table


def _is_path(scenario: str, home: Path) -> bool:
    """Return whether a scenario is a file or a folder; a ready-made one of its name comes first."""
    from pytest_hydrasmoke.fake.presets import READY_MADE

    if scenario in READY_MADE:
        return False
    return bool(Path(scenario).suffix) or os.path.isdir(home / scenario)


def _scenario(
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    folder: Path,
    problems: list[Problem],
) -> Scenario | None:
    from pytest_hydrasmoke.fake.presets import load

    name = values.get("scenario", "default")
    if not isinstance(name, str):  # `_validated` has reported it.
        return None
    try:
        return load(name, folder)
    except ValueError as problem:
        shown = safe_line(name)
        words = f"scenario = {shown!r} ({sources['scenario']}): {safe_line(str(problem), 2000)}"
        problems.append(Problem(words, ("scenario",)))
        return None


def _answers_itself(config: HydraSmokeConfig) -> Iterator[Problem]:
    if config.agent_url is not None:
        words = f"scenario = {safe_line(config.scenario)!r} answers chats itself"
        yield Problem(f"{words}: remove it, or agent_url", ("scenario", "agent_url"))


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
    """Return the settings, with the default in place of each wrong value."""
    faults: list[ErrorDetails] = []
    try:
        config = HydraSmokeConfig(**values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        faulty = {fault["loc"][0] for fault in faults}
        config = HydraSmokeConfig(**{name: values[name] for name in values.keys() - faulty})
    problems += [_fault(fault, values, sources) for fault in faults]
    problems += contradictions(config, folder)
    return config


def _fault(fault: ErrorDetails, values: Mapping[str, Any], sources: Mapping[str, str]) -> Problem:
    """Return pydantic's error as a problem, in plainer words and with the value's source."""
    name = str(fault["loc"][0])
    words = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    words = _PLAINER.get(fault["type"], words)
    if len(fault["loc"]) == 1 and fault["type"].startswith("float_"):
        words = "must be a number of seconds, such as 300"
    secret = name in (*SECRETS, "token_file")
    shown = "" if secret else f" = {safe_line(str(values.get(name)))!r}"
    entry = "".join(f"{safe_line(str(part))!r} " for part in fault["loc"][1:])
    return Problem(f"{name}{shown} ({sources.get(name, 'default')}): {entry}{words}", (name,))
