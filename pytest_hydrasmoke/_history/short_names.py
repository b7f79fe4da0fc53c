"""Names that are too long for a column, cut where it tells them apart best; pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from pytest_hydrasmoke._base.width import width_of


def shortened(names: Sequence[str], room: int) -> list[str]:
    """Return names of at most `room` columns: all are cut in the way that leaves most distinct."""
    long = {name for name in names if width_of(name) > room}
    from_the_end = zip(*(reversed(name) for name in long), strict=False)
    same = takewhile(lambda letters: len(set(letters)) == 1, from_the_end)
    shared = "".join(letters[0] for letters in same)[::-1]

    def end(name: str) -> str:
        return f"…{_last(name, room - 1)}"

    def beginning(name: str) -> str:
        return f"{_first(name, room - 1)}…"

    def both(name: str) -> str:
        half = (room - 1) // 2
        return f"{_first(name, half)}…{_last(name, room - 1 - half)}"

    def middle(name: str) -> str:
        own = name.removesuffix(shared)
        return f"…{_last(own, room - 2)}…" if width_of(own) > room - 1 else f"{own}…"

    # The first of the best: ids of a pipeline's runs differ at their end.
    ways = (end, beginning, both, middle)
    way = max(ways, key=lambda way: len({way(name) for name in long}))
    return [way(name) if name in long else name for name in names]


def _first(text: str, room: int) -> str:
    while width_of(text) > room:
        text = text[:-1]
    return text


def _last(text: str, room: int) -> str:
    while width_of(text) > room:
        text = text[1:]
    return text
