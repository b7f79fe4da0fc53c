"""Read the settings from their sources, and report what is wrong with them.

An option overrides the environment, which overrides the table, which overrides the default. All
problems are reported at once, each with how to fix it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.run_keys import Commands
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._options import FAKE, LIVE, SECRETS, flag, how_to_set, variable

from .config import SPEC, HydraSmokeConfig
from .problems import Problem, contradictions, shown_of
from .tables import PATHS, nearest_table, project_file, read_table, source_of
from .variables import Layer, in_variables, open_to_others, pick_token, unknown_variables

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
    layers: list[Layer] = [
        ("option", {name: value for name, value in options.items() if value is not None}),
        ("environment", in_variables()),
        (source_of(file, folder), read_table(file, problems)),
    ]
    token_set = "token" in layers[1][1]
    (_for_fake if fake else _for_live)(layers, problems)
    values, sources = _merged(layers, folder, problems)
    if fake:
        values = {**_FAKE_SPEC, **values}
    else:
        problems += _missing(sources, required)
    config = _validated(values, sources, problems)
    problems += contradictions(config, folder)
    scenario = _scenario(config, sources, folder, problems) if fake else None
    unknown = tuple(unknown_variables())
    if any(problem.matters(used) for problem in problems):
        # A misspelt name may be why a setting is missing.
        raise _refused([*(problem.words for problem in problems), *unknown], values.get("token"))
    needless = (f"{problem.words} (not needed here)" for problem in problems)
    warnings = (*unknown, *needless, *open_to_others(config.token_file))
    if not fake:
        # A command called in `folder` reads the table that is nearest there.
        home = folder if file is None or file == nearest_table(folder) else file.parent
        commands = _commands(config, sources, folder, home, token_set=token_set)
        config = config.with_commands(commands)
    return Loaded(config, sources, warnings, scenario, file)


def _for_fake(layers: list[Layer], problems: list[Problem]) -> None:
    """Leave out of the layers what a run against the fake can't have."""
    agent = any("agent_url" in layer for _, layer in layers)
    unused = _LIVE_ONLY | ({} if agent else _NOT_OF_THE_FAKE)
    problems += _unused_options(layers, unused, LIVE)
    for _, layer in layers:
        for name in (*unused, "token"):
            layer.pop(name, None)


def _for_live(layers: list[Layer], problems: list[Problem]) -> None:
    """Leave one token in the layers, as a live run needs it."""
    problems += _unused_options(layers, _FAKE_ONLY, FAKE)
    for source in [source for source, layer in layers if "agent_url" in layer][:1]:
        words = f"agent_url ({source}) needs {FAKE}: a live router has agents of its own"
        problems.append(Problem(words, ("agent_url",)))
    pick_token(layers, problems)


def _unused_options(
    layers: Sequence[Layer], unused: Mapping[str, str], needs: str
) -> Iterator[Problem]:
    """Yield the options that this run has no use for, and the other switch has."""
    for name, why in unused.items():
        if name in layers[0][1]:
            yield Problem(f"{flag(name)} needs {needs}: {why}")


def _merged(
    layers: Sequence[Layer], folder: Path, problems: list[Problem]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what the layers say, and the source of each; the first one overrides the others."""
    values: dict[str, Any] = {"output": ".hydrasmoke"}
    sources: dict[str, str] = {}
    for source, layer in reversed(layers):
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    problems += _unusable(values, sources)
    # A test may change the working directory before they are used.
    for name in PATHS:
        if isinstance(values.get(name), str | Path):
            values[name] = folder / values[name]
    return values, sources


def _unusable(values: dict[str, Any], sources: Mapping[str, str]) -> Iterator[Problem]:
    """Leave out the texts that nobody can mean, or that no request can have; yield each."""
    for name, value in list(values.items()):
        text = str(value) if isinstance(value, str | Path) else "a value"
        # A file may be called by any bytes but a NUL.
        halves = "" if name in (*PATHS, "token_file", "scenario") else "\ud800-\udfff"
        if not text.strip() or re.search(f"[\0{halves}]", text):
            del values[name]
            words = "is empty, or no text: give one, or leave it out"
            yield Problem(f"{name} ({sources[name]}) {words}", (name,))


def _missing(given: Collection[str], required: Collection[str]) -> Iterator[Problem]:
    for name in required:
        if name not in given and not ("instance" in given and name in SPEC):
            yield Problem(f"{name} is not set: {how_to_set(name)}")
    if "token" not in given and "token_file" not in given:
        yield Problem(
            f"the token is not set: set {variable('token')} (or OPS_BEARER_TOKEN) in the "
            f"environment, or {variable('token_file')}; pytest takes {flag('token_file')} too"
        )


def _validated(
    values: Mapping[str, Any], sources: Mapping[str, str], problems: list[Problem]
) -> HydraSmokeConfig:
    """Return the settings, with the default in place of each wrong value."""
    try:
        return HydraSmokeConfig(**values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    problems += [_fault(fault, values, sources) for fault in faults]
    faulty = {fault["loc"][0] for fault in faults}
    return HydraSmokeConfig(**{name: values[name] for name in values.keys() - faulty})


def _fault(fault: ErrorDetails, values: Mapping[str, Any], sources: Mapping[str, str]) -> Problem:
    """Return pydantic's error as a problem, in plainer words and with the value's source."""
    name = str(fault["loc"][0])
    words = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    words = _PLAINER.get(fault["type"], words)
    if len(fault["loc"]) == 1 and fault["type"].startswith("float_"):
        words = "must be a number of seconds, such as 300"
    secret = name in (*SECRETS, "token_file")
    shown = "" if secret else f" = {shown_of(values.get(name))!r}"
    entry = "".join(f"{safe_line(str(part))!r} " for part in fault["loc"][1:])
    return Problem(f"{name}{shown} ({sources.get(name, 'default')}): {entry}{words}", (name,))


def _scenario(
    config: HydraSmokeConfig, sources: Mapping[str, str], folder: Path, problems: list[Problem]
) -> Scenario | None:
    from pytest_hydrasmoke.fake.presets import load

    shown = f"scenario = {safe_line(config.scenario)!r}"
    try:
        scenario = load(config.scenario, folder)
    except ValueError as error:
        words = f"{shown} ({sources['scenario']}): {safe_line(str(error), 2000)}"
        problems.append(Problem(words, ("scenario",)))
        return None
    if config.agent_url is not None and (scenario.recordings is not None or scenario.replies):
        words = f"{shown} answers chats itself: remove it, or agent_url"
        problems.append(Problem(words, ("scenario", "agent_url")))
    return scenario


def _refused(problems: Iterable[str], token: Any) -> ConfigError:
    listed = "\n".join(f"  - {words}" for words in problems)
    # A message quotes values, any of which may be the token.
    return ConfigError(f"hydra-smoke can't start:\n{scrubbing(token)(listed)}")


def _commands(
    config: HydraSmokeConfig,
    sources: Mapping[str, str],
    folder: Path,
    home: Path,
    *,
    token_set: bool,
) -> Commands:
    """Return the commands of a run that was started in `folder`, as they are called in `home`.

    There they read the same table. The run's options become variables, since a sweep has few
    options. What the environment says of paths is repeated only if `home` is another folder.
    `token_set` is true if the environment has a token, which would contradict the variable of a
    token file.
    """
    moved = home != folder
    again = {"option", *(("environment",) if moved else ())}
    values = {"url": config.url} if sources.get("url") == "option" else {}
    for name in ("token_file", "ca_file", "client_cert", "client_key"):
        if sources.get(name) in again:
            values[name] = str(folder / getattr(config, name))
    if "token_file" in values and token_set:
        values["token"] = ""
    set_them = "".join(f"{variable(it)}={shlex.quote(values[it] or '')} " for it in sorted(values))
    # A default, too, is another one in another folder.
    elsewhere = sources.get("output", "environment") in again
    return Commands(
        begin=f"cd {shlex.quote(str(home))} && {set_them}",
        # The id of this run would be refused as used before; an empty variable is not set.
        begin_attach=f"{variable('run_id')}= " if sources.get("run_id") == "environment" else "",
        output=shlex.quote(str(config.output)) if elsewhere else "",
    )
