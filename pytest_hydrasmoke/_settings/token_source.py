"""Find the token: in a variable or a file, never in the table or on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._options import variable

from .problems import Problem


def pick_token(
    layers: Sequence[tuple[str, dict[str, Any]]],
    values: dict[str, Any],
    sources: dict[str, str],
    problems: list[Problem],
) -> None:
    """Use the token of the first layer that has one, and read it if the layer names its file.

    `layers` are in order of precedence; what is wrong is added to `problems`.
    """
    for source, layer in layers:
        if "token" in layer and "token_file" in layer:
            both = f"{variable('token')} and {variable('token_file')} are both set"
            problems.append(Problem(f"{both}: remove one of them", ("token",)))
            return
        if "token" in layer:
            values.pop("token_file", None)
            sources.pop("token_file", None)
            return
        if "token_file" in layer:
            values.pop("token", None)
            sources["token"] = f"{source}'s token_file"
            file = layer["token_file"]
            if isinstance(file, str | Path) and os.path.isfile(file):
                try:
                    # Some editors begin UTF-8 with a byte order mark.
                    text = Path(file).read_text("utf-8-sig")
                except (OSError, ValueError) as error:
                    words = f"token_file {file} can't be read: {error}"
                    problems.append(Problem(words, ("token",)))
                else:
                    # A file's last newline is the editor's, not the token's.
                    values["token"] = Token(text.removesuffix("\n").removesuffix("\r"))
            return


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
