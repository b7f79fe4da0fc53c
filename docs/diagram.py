"""The picture of the architecture: the rooms of its table, and who imports whom, from the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

HOME = Path(__file__).parent.parent / "pytest_hydrasmoke"
TABLE = Path(__file__).parent / "explanation" / "architecture.md"

Graph = Mapping[str, frozenset[str]]


def rooms() -> dict[str, str]:
    """Return each module's room: the first name in its row of the architecture's table."""
    found: dict[str, str] = {}
    for row in re.findall(r"^\| (`[^|]+`) \|", TABLE.read_text("utf-8"), re.MULTILINE):
        names = [name.strip("/") for name in re.findall(r"`([^`]+)`", row)]
        found.update(dict.fromkeys(names, ", ".join(names)))
    return found


def modules() -> list[str]:
    """Return the package's modules; a folder's are one."""
    files = [it.stem for it in HOME.glob("*.py") if not it.stem.startswith("__")]
    return sorted([*files, *(it.parent.name for it in HOME.glob("*/__init__.py"))])


def _files(module: str) -> Iterator[Path]:
    folder = HOME / module
    yield from folder.glob("*.py") if folder.is_dir() else [HOME / f"{module}.py"]


def imports(module: str) -> frozenset[str]:
    """Return what a module imports of the package, at once or later; not for types only."""
    found: set[str] = set()
    for file in _files(module):
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body.clear()
        own = 1 if file.parent == HOME else 2
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            path = (node.module or "").split(".")
            if node.level == own or path[0] == HOME.name:
                path = path[path[0] == HOME.name :]
                found |= {path[0]} if path and path[0] else {it.name for it in node.names}
    return frozenset(found & set(modules())) - {module}


def room_graph() -> Graph:
    """Return what each room needs of others."""
    room_of = rooms()
    graph: dict[str, set[str]] = {room: set() for room in room_of.values()}
    for module in modules():
        graph[room_of[module]] |= {room_of[it] for it in imports(module)}
    return {room: frozenset(needs - {room}) for room, needs in graph.items()}


def floors(graph: Graph) -> dict[str, int]:
    """Return each room's floor, from 0: above all that it needs; of a circle, above the rest."""
    height: dict[str, int] = {}

    def of(room: str, above: tuple[str, ...]) -> int:
        if room not in height:
            below = [of(it, (*above, room)) for it in sorted(graph[room]) if it not in above]
            if room not in height:
                height[room] = 1 + max(below, default=-1)
        return height[room]

    for room in sorted(graph):
        of(room, ())
    return height


def direct(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield the needs that no other need implies: the lines worth drawing."""
    height = floors(graph)
    down = {
        room: {it for it in needs if height[it] < height[room]} for room, needs in graph.items()
    }

    def reach(room: str) -> set[str]:
        return down[room].union(*(reach(it) for it in down[room]))

    for room, needs in down.items():
        for need in sorted(needs):
            if not any(need in reach(it) for it in needs - {need}):
                yield room, need


WIDE, HIGH, GAP, STEP = 190, 44, 16, 96


def svg() -> str:
    """Draw the rooms, floor by floor, whoever is needed below whoever needs it."""
    graph = room_graph()
    height = floors(graph)
    top = max(height.values())
    places: dict[str, tuple[float, float]] = {}
    storeys = [[room for room in graph if height[room] == level] for level in range(top, -1, -1)]
    across = max(len(storey) for storey in storeys) * (WIDE + GAP)
    for level, storey in enumerate(storeys):
        left = (across - len(storey) * (WIDE + GAP)) / 2
        for at, room in enumerate(storey):
            places[room] = (left + at * (WIDE + GAP) + GAP / 2, level * STEP + GAP)
    return "\n".join(_drawing(graph, places, across, len(storeys) * STEP))


def _drawing(
    graph: Graph, places: Mapping[str, tuple[float, float]], across: float, deep: float
) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across:g} {deep:g}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="none" stroke="currentColor">'
    )
    yield "<title>The rooms, and who needs whom</title>"
    for room, need in direct(graph):
        (x, y), (to_x, to_y) = places[room], places[need]
        x, to_x, y = x + WIDE / 2, to_x + WIDE / 2, y + HIGH
        bend = (y + to_y) / 2
        curve = f"M{x:g} {y:g} C{x:g} {bend:g} {to_x:g} {bend:g} {to_x:g} {to_y:g}"
        yield f'<path opacity=".45" d="{curve}"/>'
    for room, (x, y) in places.items():
        yield f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="6"/>'
        lines = _wrapped(room)
        for at, line in enumerate(lines):
            base = y + HIGH / 2 + 4 + (at - (len(lines) - 1) / 2) * 14
            yield (
                f'<text x="{x + WIDE / 2:g}" y="{base:g}" text-anchor="middle" '
                f'fill="currentColor" stroke="none">{escape(line)}</text>'
            )
    yield "</svg>"


def _wrapped(room: str) -> list[str]:
    lines = [""]
    for name in room.split(", "):
        longer = f"{lines[-1]}, {name}".removeprefix(", ")
        if len(longer) > 26:
            lines.append(name)
        else:
            lines[-1] = longer
    return lines
