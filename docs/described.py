"""What a class's attributes are, by the text that stands below each in the source."""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Iterator
from types import ModuleType


def described(module: ModuleType, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield a class's attributes, each with its type and the text that stands below it.

    Nothing comes of a class that is not in the module.
    """
    for found in ast.parse(inspect.getsource(module)).body:
        if isinstance(found, ast.ClassDef) and found.name == name:
            yield from _attributes(found)


def _attributes(found: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    for attribute, below in itertools.pairwise(found.body):
        if isinstance(attribute, ast.AnnAssign) and isinstance(below, ast.Expr):
            kind, words = ast.unparse(attribute.annotation), ast.literal_eval(below.value)
            yield ast.unparse(attribute.target), kind, one_line(words)


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())
