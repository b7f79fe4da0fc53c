"""What a run, and what is its own at the router, may be called."""

from __future__ import annotations

import re

from .errors import ConfigError
from .text import safe_line

LONGEST_NAME = 64


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(\..*)?", re.IGNORECASE)


def name_problem(name: str) -> str | None:
    """Return what keeps a run's id, or a process's name, from being a file's name everywhere."""
    if _NAME.fullmatch(name) is None or name.endswith(".") or len(name) > LONGEST_NAME:
        return (
            f"must be 1 to {LONGEST_NAME} of A to Z, a to z, 0 to 9, dot, underscore and hyphen, "
            "the first a letter or a digit, the last no dot"
        )
    if _DEVICE.fullmatch(name) is not None:
        return "must not be a device's name on Windows"
    return None


def check_name(what: str, name: str) -> None:
    """Raise `ConfigError` where a name can't be a file's name everywhere."""
    problem = name_problem(name)
    if problem is not None:
        raise ConfigError(f"the {what} {problem}: {safe_line(name)!r}")
