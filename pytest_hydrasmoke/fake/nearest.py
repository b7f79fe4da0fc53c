"""The recorded message that is nearest to another one, in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

_SHOWN = 120
"""How many characters of a message are shown."""
_COMPARED = 200
"""How many characters of a message are compared to find the nearest."""
_CHANGES = 4
"""How many differences between two messages are shown."""


def nearest(message: str, recorded: Collection[str]) -> str:
    """Return the recorded message most like this one, and how they differ."""
    heads = {other[:_COMPARED]: other for other in recorded}
    found = difflib.get_close_matches(message[:_COMPARED], heads, 1, 0)
    if not found:
        return ""
    near = heads[found[0]]
    return f"; the nearest that was: {shown(near)} ({_difference(near, message)})"


def _difference(before: str, after: str) -> str:
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    changes = [
        " ".join(
            f"{sign}{shown(words)}"
            for sign, words in (("-", "".join(old[a:b])), ("+", "".join(new[c:d])))
            if words
        )
        for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, False).get_opcodes()
        if tag != "equal"
    ]
    more = ["..."] if len(changes) > _CHANGES else []
    return ", ".join(changes[:_CHANGES] + more)


def shown(text: str) -> str:
    """Return a text in quotes, or its beginning."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
