"""The walks on the architecture page: each step is a function that calls the next one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "architecture.md").read_text("utf-8")
STEPS = re.findall(r"^(\S+) → (\S+)$", PAGE, re.MULTILINE)


def function(place: str) -> ast.AST:
    """Return a function: `_core/open_turn.OpenTurn.open` is a method in `_core/open_turn.py`."""
    path, *names = place.split(".")
    node: ast.AST = ast.parse((ROOT / "pytest_hydrasmoke" / f"{path}.py").read_text("utf-8"))
    for name in names:
        found = [it for it in ast.iter_child_nodes(node) if getattr(it, "name", None) == name]
        assert found, f"{place}: there is no {name}"
        node = found[0]
    return node


def calls(node: ast.AST) -> set[str]:
    """Return the names that a function calls, or hands to something that does."""
    names = {it.id for it in ast.walk(node) if isinstance(it, ast.Name)}
    return names | {it.attr for it in ast.walk(node) if isinstance(it, ast.Attribute)}


@pytest.mark.parametrize(("caller", "callee"), STEPS, ids=[" to ".join(step) for step in STEPS])
def test_each_step_calls_the_next(caller: str, callee: str) -> None:
    function(callee)
    assert callee.rpartition(".")[2] in calls(function(caller))


def test_the_walks_are_short() -> None:
    assert len(STEPS) > 20
    for walk in re.findall(r"```none\n(.*?)```", PAGE, re.DOTALL):
        files = {place.partition(".")[0] for place in re.findall(r"[\w/]+\.\w[\w.]*", walk)}
        assert len(files) <= 7, sorted(files)
