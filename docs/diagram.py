"""The picture of the architecture: the folders of the package, and who imports whom, from the code.

What the table on the architecture page allows is read here too, so that a test can compare both.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

HOME = Path(__file__).parent.parent / "pytest_hydrasmoke"
PAGE = Path(__file__).parent / "reference" / "architecture.md"

Graph = Mapping[str, frozenset[str]]

EVERYWHERE = frozenset({"_base", "_options"})
"""What any folder may import; `fake`, `checks` and `_sse` have rows that say otherwise."""


def allowed() -> dict[str, tuple[frozenset[str], str]]:
    """Return what each folder may import, and what belongs there, by the page's table."""
    rows = re.findall(
        r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    found: dict[str, tuple[frozenset[str], str]] = {}
    for folders, belongs, may in rows:
        names = frozenset(re.findall(r"`([^`]+)`", may))
        for folder in re.findall(r"`([^`]+)`", folders):
            found[folder] = names, belongs.strip()
    return found


def folder_of(file: Path) -> str:
    """Return the folder of a module; a module of the root is one of its own."""
    return file.relative_to(HOME).with_suffix("").parts[0]


@functools.cache
def imports(file: Path, *, types: bool = False) -> frozenset[str]:
    """Return the folders that a module imports of, when it is loaded or later, or for `types`."""
    return frozenset(_imports(file, types=types))


def _imports(file: Path, *, types: bool) -> Iterator[str]:
    tree = ast.parse(file.read_text("utf-8"))
    if not types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body.clear()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.module is None or node.level:
            continue
        path = node.module.split(".")
        if path[0] != HOME.name:
            continue
        if len(path) > 1:
            yield path[1]
        else:
            # A module of the root, or one of its public names.
            here = {it.name for it in node.names if (HOME / f"{it.name}.py").exists()}
            yield from here | {it.name for it in node.names if (HOME / it.name).is_dir()}


@functools.cache
def graph() -> Graph:
    """Return what each folder needs of others when it runs."""
    needs: dict[str, set[str]] = {}
    for file in HOME.rglob("*.py"):
        folder = folder_of(file)
        if folder != "__init__":
            needs.setdefault(folder, set()).update(imports(file))
    return {folder: frozenset(those - {folder}) for folder, those in needs.items()}


def floors(needs: Graph) -> dict[str, int]:
    """Return each folder's floor, 0 being the lowest; raises ValueError of a circle."""
    height: dict[str, int] = {}

    def of(folder: str, above: tuple[str, ...]) -> int:
        if folder in above:
            raise ValueError(f"a circle of imports: {' -> '.join((*above, folder))}")
        if folder not in height:
            below = [of(it, (*above, folder)) for it in sorted(needs[folder])]
            height[folder] = 1 + max(below, default=-1)
        return height[folder]

    for folder in sorted(needs):
        of(folder, ())
    return height


def direct(needs: Graph) -> list[tuple[str, str]]:
    """Return the needs that no other need implies: the lines worth drawing."""

    def reach(folder: str) -> frozenset[str]:
        return needs[folder].union(*(reach(it) for it in needs[folder]))

    return [
        (folder, need)
        for folder, those in sorted(needs.items())
        for need in sorted(those)
        if not any(need in reach(it) for it in those - {need})
    ]


# The layout: folders on storeys, and a place on each storey that a line passes.

Row = Sequence[str]
Storeys = list[Row]


def storeys(needs: Graph) -> tuple[Storeys, list[list[tuple[str, str]]]]:
    """Place folders and passing lines, from the top; and the lines below each storey."""
    lines = direct(needs)
    height = floors(needs)
    for folder in sorted(needs, key=height.__getitem__, reverse=True):
        users = [height[user] for user, need in lines if need == folder]
        if users:
            height[folder] = min(users) - 1  # As high as it can be: the shorter the lines.
    top = max(height.values())
    rows: list[list[str]] = [[] for _ in range(top + 1)]
    for folder in sorted(needs):
        rows[top - height[folder]].append(folder)
    steps: list[list[tuple[str, str]]] = [[] for _ in range(top + 1)]
    for user, need in lines:
        before = user
        for level in range(top - height[user] + 1, top - height[need]):
            passing = f"{user}>{need}@{level}"
            rows[level].append(passing)
            steps[level - 1].append((before, passing))
            before = passing
        steps[top - height[need] - 1].append((before, need))
    return _ordered([*rows], steps), steps


def crossings(upper: Row, lower: Row, lines: Sequence[tuple[str, str]]) -> int:
    """Count the lines between two storeys that cross each other."""
    return sum(
        (upper.index(a) - upper.index(c)) * (lower.index(b) - lower.index(d)) < 0
        for (a, b), (c, d) in itertools.combinations(lines, 2)
    )


def _ordered(rows: Storeys, steps: Sequence[Sequence[tuple[str, str]]]) -> Storeys:
    """Put each storey in an order in which few lines cross: each place under its users' middle.

    The storeys are gone through downwards, then upwards, and so on; the best of all is kept.
    """

    def crossed(rows: Storeys) -> int:
        pairs = zip(rows, rows[1:], steps, strict=False)
        return sum(crossings(upper, lower, lines) for upper, lower, lines in pairs)

    def sorted_by(fixed: Row, row: Row, lines: Iterable[tuple[str, str]]) -> Row:
        ends: dict[str, list[int]] = {place: [] for place in row}
        for there, here in lines:
            ends[here].append(fixed.index(there))
        return sorted(row, key=lambda it: statistics.fmean(ends[it] or [row.index(it)]))

    best = rows
    for _ in range(10):
        for level in range(1, len(rows)):
            rows = [*rows]
            rows[level] = sorted_by(rows[level - 1], rows[level], steps[level - 1])
            best = min(best, rows, key=crossed)
        for level in reversed(range(len(rows) - 1)):
            rows = [*rows]
            upward = [(lower, upper) for upper, lower in steps[level]]
            rows[level] = sorted_by(rows[level + 1], rows[level], upward)
            best = min(best, rows, key=crossed)
    return best


def drawn() -> Graph:
    """Return the graph of the picture: the checks are a user's view of the whole, not a floor."""
    return {folder: needs for folder, needs in graph().items() if folder != "checks"}


WIDE, HIGH, GAP, STEP = 120, 34, 28, 78


def svg() -> str:
    """Draw the folders, storey by storey, whoever is needed below whoever needs it."""
    rows, steps = storeys(drawn())
    across = max(len(row) for row in rows) * (WIDE + GAP)
    places: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        left = (across - len(row) * (WIDE + GAP)) / 2
        for at, place in enumerate(row):
            places[place] = left + at * (WIDE + GAP) + (GAP + WIDE) / 2, level * STEP + GAP
    lines = [line for step in steps for line in step]
    return "\n".join(_drawing(places, lines, across, len(rows) * STEP))


def _drawing(
    places: Mapping[str, tuple[float, float]],
    lines: Sequence[tuple[str, str]],
    across: float,
    deep: float,
) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {deep:g}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="none" stroke="currentColor">'
    )
    yield "<title>The folders, and who needs whom</title>"
    for user, need in lines:
        (x, y), (to_x, to_y) = places[user], places[need]
        y += HIGH if "@" not in user else HIGH / 2
        to_y += HIGH / 2 if "@" in need else 0
        bend = (y + to_y) / 2
        curve = f"M{x:g} {y:g} C{x:g} {bend:g} {to_x:g} {bend:g} {to_x:g} {to_y:g}"
        yield f'<path opacity=".45" d="{curve}"/>'
    for place, (x, y) in places.items():
        if "@" in place:
            continue
        yield (
            f'<rect x="{x - WIDE / 2:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="6"/>'
            f'<text x="{x:g}" y="{y + HIGH / 2 + 4:g}" text-anchor="middle" '
            f'fill="currentColor" stroke="none">{escape(place)}</text>'
        )
    yield "</svg>"
