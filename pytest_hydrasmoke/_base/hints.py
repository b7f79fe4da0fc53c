"""Suggest what a mistyped name may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like this one, if any is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.5)), None)
