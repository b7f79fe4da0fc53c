"""The commands that a run prints, with what they need to find the settings of the run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.commands import Commands
from pytest_hydrasmoke._options import flag, variable

from .model import HydraSmokeConfig

PEM = ("ca_file", "client_cert", "client_key")
_PATHS = ("token_file", *PEM)
_NEEDED = ("url", *_PATHS)
"""The settings that both commands need, and that can be an option or a path."""


def commands_of(
    config: HydraSmokeConfig,
    sources: Mapping[str, str],
    folder: Path,
    table: Path | None,
    *,
    token_set: bool,
) -> Commands:
    """Return the commands of a run that was started in `folder`.

    `table` is the file with its settings; None if a command called in `folder` reads the same file.
    The run's options become variables, since a sweep has few options. Variables of the environment
    are repeated only if they are paths, and the command is called in another folder. `token_set`
    is true if the environment has a token, which would contradict the variable of a token file.
    """
    here = _Place(config, folder, folder, token_set)
    repeated = [name for name in _NEEDED if sources.get(name) == "option"]
    before = here.variables(repeated)
    # The id of this run would be refused as used before; an empty variable is not set.
    no_run_id = f"{variable('run_id')}= " if sources.get("run_id") == "environment" else ""
    by_option = sources.get("output") == "option"
    attach_output = here.output(flag("output")) if by_option else ""
    if table is None:
        after = here.output("--output") if by_option else ""
        return Commands(before, after, f"{no_run_id}{before}", attach_output)
    there = _Place(config, folder, table.parent, token_set)
    repeated += [name for name in _PATHS if sources.get(name) == "environment"]
    by_table = sources.get("output") not in ("option", "environment", None)
    to_table = shlex.quote(_relative(table.parent, folder))
    return Commands(
        before_sweep=f"(cd {to_table} && {there.variables(repeated)}",
        after_sweep=f"{'' if by_table else there.output('--output')})",
        before_attach=f"{no_run_id}{before}",
        # A run reads the table above the tests that its arguments name.
        after_attach=f"{attach_output} {to_table}",
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """The settings of a run, as a command called in `home` needs them."""

    config: HydraSmokeConfig
    folder: Path
    """Where the run was started."""
    home: Path
    token_set: bool

    def variables(self, names: Collection[str]) -> str:
        """Return the variables that set these settings, to put before a command."""
        values = {name: self._value(getattr(self.config, name)) for name in sorted(names)}
        if "token_file" in values and self.token_set:
            values = {"token": "", **values}
        return "".join(f"{variable(name)}={shlex.quote(values[name])} " for name in values)

    def output(self, option: str) -> str:
        """Return the option for the folder of the ledger, to put after a command."""
        return f" {option} {shlex.quote(self._value(self.config.output))}"

    def _value(self, value: str | Path) -> str:
        if isinstance(value, str):
            return value
        path = self.folder / value
        if not path.is_relative_to(self.folder):
            return str(path)
        if self.home == self.folder:
            return _relative(path, self.folder)
        # In a folder that is a link, `..` leads to the parent of the link's target.
        return _relative(os.path.realpath(path), os.path.realpath(self.home))


def _relative(path: str | Path, home: str | Path) -> str:
    """Return a path relative to `home`, with slashes: a shell needs no quotes for them."""
    return Path(os.path.relpath(path, home)).as_posix()
