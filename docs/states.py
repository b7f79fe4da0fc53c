"""The picture of an instance's states: a matrix of what may follow what, from the code's table."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke._journal.states import TRANSITIONS

CELL, LEFT, TOP = 26, 90, 80


def svg() -> str:
    """Draw a row for each state, and a dot below each state that may follow."""
    return "\n".join(_drawing())


def _drawing() -> Iterator[str]:
    states = [*TRANSITIONS]
    side = len(states) * CELL
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + side} {TOP + side}" '
        'role="img" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
    )
    yield "<title>Rows: an instance's state. Dots: the states that may follow</title>"
    for number, state in enumerate(states):
        at, line = number * CELL + CELL / 2, number * CELL
        yield f'<path stroke="currentColor" opacity=".2" d="M0 {TOP + line} h{LEFT + side}"/>'
        yield f'<text x="{LEFT - 8}" y="{TOP + at + 4:g}" text-anchor="end">{state}</text>'
        turned = f"translate({LEFT + at + 4:g} {TOP - 8}) rotate(-60)"
        yield f'<text transform="{turned}">{state}</text>'
        for column, after in enumerate(states):
            if after in TRANSITIONS[state]:
                x = LEFT + column * CELL + CELL / 2
                words = f"<title>{state} → {after}</title>"
                yield f'<circle cx="{x:g}" cy="{TOP + at:g}" r="6">{words}</circle>'
    yield "</svg>"
