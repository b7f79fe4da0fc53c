"""Pytest runs inside a test: with the plugins that they are about, and no others.

What else is installed takes up to a second to load, has no part in such a run, and differs from
one environment to another.
"""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

# As any module: what is changed in them is no more than how often something is read.
code: Any = import_module("_pytest._code.code")
metadata: Any = import_module("importlib.metadata")

ALONE = "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
"""What in the environment has a run, and its workers, load plugins by name alone."""


def only(*others: str) -> tuple[str, ...]:
    """Return the arguments that load this package's plugin, and others by entry point or module.

    Their last look is hurried.
    """
    return tuple(word for name in ("hurried", "hydrasmoke", *others) for word in ("-p", name))


def without_others() -> tuple[str, ...]:
    """Return the arguments by which pytest loads by itself, of all that it would, this plugin."""
    names = sorted({found.name for found in entry_points(group="pytest11")} - {"hydrasmoke"})
    return tuple(word for name in names for word in ("-p", f"no:{name}"))


def _read_once() -> None:
    """Let the runs of this process share what pytest reads in each of them: a fifth of their time.

    It is what is installed, and, for a traceback, which lines of its files are whose statement.
    """
    find, statements = metadata.distributions, code.getstatementrange_ast
    found = list(find())
    entries = functools.cached_property(metadata.Distribution.entry_points.fget)
    entries.__set_name__(metadata.Distribution, "entry_points")

    def installed(**of: Any) -> Iterable[Any]:
        return find(**of) if of else found

    def statement(line: int, source: Any, assertion: bool = False, astnode: Any = None) -> Any:
        return statements(line, source, assertion, astnode or _parsed(str(source)))

    metadata.distributions = installed
    metadata.Distribution.entry_points = entries
    code.getstatementrange_ast = statement
    # A run forgets what it was the first to import, and this is imported late.
    import_module("uvicorn.lifespan.off")


@functools.lru_cache(64)
def _parsed(text: str) -> ast.AST:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


_read_once()
