"""Name public classes after the package, from which users import them."""

from __future__ import annotations

import inspect
from typing import TypeVar

T = TypeVar("T", bound=type)


def public(kind: T) -> T:
    """Name a class after the package, in tracebacks, reprs and documentation."""
    # Resolve annotations now: later, they would be looked up in the module named here.
    kind.__annotations__ = inspect.get_annotations(kind, eval_str=True)
    kind.__module__ = kind.__module__.partition(".")[0]
    return kind
