"""The commands that a run prints, with what they need to find the settings of the run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from pytest_hydrasmoke._base.commands import Commands
from pytest_hydrasmoke._options import variable

from .model import HydraSmokeConfig

PEM = ("ca_file", "client_cert", "client_key")
_PATHS = ("token_file", *PEM)


def commands_of(
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
    for name in _PATHS:
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
