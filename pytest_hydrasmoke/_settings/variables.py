"""What the environment says: settings in variables, and the token, in a variable or a file.

The token is never in the table or on the command line, where others can read it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pytest_hydrasmoke._base.text import nearest
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._options import SECRETS, variable

from .config import HydraSmokeConfig
from .problems import Problem

Layer: TypeAlias = tuple[str, dict[str, Any]]
"""A source of settings, and what it says."""


def in_variables() -> dict[str, Any]:
    """Return the settings in variables."""
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


def unknown_variables() -> Iterator[str]:
    """Yield a warning for each variable whose name only looks like a setting's."""
    prefix = variable("")
    known = [name.upper() for name in HydraSmokeConfig.model_fields]
    alike = {letters(variable(name)): variable(name) for name in known}
    for name in sorted(os.environ):
        rest = name.removeprefix(prefix)
        if rest != name and rest not in known:
            near = nearest(rest, known)
            yield f"{name} is not a setting" + (f": did you mean {variable(near)}?" if near else "")
        elif (meant := alike.get(letters(name))) and meant not in (name.upper(), *os.environ):
            yield f"{name} is not read: did you mean {meant}?"


def letters(name: str) -> str:
    """Return what a name has in common with others that are meant to be the same."""
    return re.sub(r"[^A-Z]", "", name.upper()).removeprefix("PYTEST")


def pick_token(layers: list[Layer], problems: list[Problem]) -> None:
    """Leave the token to the first layer that has one; if it names a file, add one with the token.

    `layers` are in order of precedence.
    """
    having = [(source, layer) for source, layer in layers if {"token", "token_file"} & layer.keys()]
    for _, layer in having[1:]:
        layer.pop("token", None)
        layer.pop("token_file", None)
    source, first = having[0] if having else ("", {})
    file = first.get("token_file")
    if "token" in first and "token_file" in first:
        both = f"{variable('token')} and {variable('token_file')} are both set"
        problems.append(Problem(f"{both}: remove one of them", ("token",)))
    elif isinstance(file, str | Path) and os.path.isfile(file):
        try:
            # Some editors begin UTF-8 with a byte order mark.
            text = Path(file).read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            words = f"token_file {file} can't be read: {error}"
            problems.append(Problem(words, ("token",)))
        else:
            # A file's last newline is the editor's, not the token's.
            token = Token(text.removesuffix("\n").removesuffix("\r"))
            layers.insert(0, (f"{source}'s token_file", {"token": token}))


def where_from(sources: Mapping[str, str]) -> str:
    """Return where the token of a run came from, in words."""
    source = sources.get("token", "")
    if source != "environment":
        return f"from {source}"
    own = any(name.upper() == variable("token") and it for name, it in os.environ.items())
    return f"from {variable('token') if own else 'OPS_BEARER_TOKEN'}"


def open_to_others(token_file: Path | None) -> Iterator[str]:
    """Yield a warning for a token file that other users of the machine can read."""
    if token_file is not None:
        mode = token_file.stat().st_mode & 0o777
        if mode & 0o077:
            yield f"others can read {token_file} (mode {mode:03o}): chmod 600 {token_file}"
