"""What a run's commands need, so that they find the settings that the run had."""

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
_READ = ("url", *_PATHS)
"""The settings that both commands need, as far as they can be an option or a path."""


def commands_of(
    config: HydraSmokeConfig,
    sources: Mapping[str, str],
    folder: Path,
    table: Path | None,
    *,
    token_set: bool,
) -> Commands:
    """Return the commands of a run that was called in `folder`.

    `table` is the file with its settings, where that is not the one which a command reads in
    `folder`. What an option said becomes a variable, since a sweep has few options; `token_set`
    tells whether the environment has a token, which would contradict the variable of a token's
    file. What the environment says is said again only where it is a path from another folder.
    """
    here = _Place(config, folder, folder, token_set)
    given = [name for name in _READ if sources.get(name) == "option"]
    before = here.variables(given)
    # The id of this run would be refused as used before: empty, it is not set.
    fresh = f"{variable('run_id')}= " if sources.get("run_id") == "environment" else ""
    by_option = sources.get("output") == "option"
    attach_output = here.output(flag("output")) if by_option else ""
    if table is None:
        after = here.output("--output") if by_option else ""
        return Commands(before, after, f"{fresh}{before}", attach_output)
    there = _Place(config, folder, table.parent, token_set)
    given += [name for name in _PATHS if sources.get(name) == "environment"]
    by_table = sources.get("output") not in ("option", "environment", None)
    named = shlex.quote(_way(table.parent, folder))
    return Commands(
        before_sweep=f"(cd {named} && {there.variables(given)}",
        after_sweep=f"{'' if by_table else there.output('--output')})",
        before_attach=f"{fresh}{before}",
        # Tests that are named have the table of their own folder.
        after_attach=f"{attach_output} {named}",
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Settings in the words of a command that is called in `home`."""

    config: HydraSmokeConfig
    folder: Path
    """Where the run was called."""
    home: Path
    token_set: bool

    def variables(self, names: Collection[str]) -> str:
        """Return what sets these settings, before a command."""
        words = {name: self._value(getattr(self.config, name)) for name in sorted(names)}
        if "token_file" in words and self.token_set:
            words = {"token": "", **words}
        return "".join(f"{variable(name)}={shlex.quote(words[name])} " for name in words)

    def output(self, option: str) -> str:
        """Return the option for the folder of the ledger, after a command."""
        return f" {option} {shlex.quote(self._value(self.config.output))}"

    def _value(self, value: str | Path) -> str:
        if isinstance(value, str):
            return value
        path = self.folder / value
        if not path.is_relative_to(self.folder):
            return str(path)
        if self.home == self.folder:
            return _way(path, self.folder)
        # The way back from a folder that was reached by a link begins where the link leads.
        return _way(os.path.realpath(path), os.path.realpath(self.home))


def _way(path: str | Path, home: str | Path) -> str:
    """Return a relative path with slashes, which need no quotes and which Windows takes too."""
    return Path(os.path.relpath(path, home)).as_posix()
