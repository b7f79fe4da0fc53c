"""Public classes are named after the package: users import them from there, wherever they live."""

from __future__ import annotations

import inspect
from typing import TypeVar

T = TypeVar("T", bound=type)


def public(kind: T) -> T:
    """Name a class after the package, in tracebacks, reprs and documentation."""
    # Resolved before, since whoever does it later looks in the module that is named.
    kind.__annotations__ = inspect.get_annotations(kind, eval_str=True)
    kind.__module__ = kind.__module__.partition(".")[0]
    return kind
