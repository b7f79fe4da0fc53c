"""Pytest runs inside a test: with the plugins that they are about, and no others.

What else is installed takes up to a second to load, has no part in such a run, and differs from
one environment to another.
"""

from __future__ import annotations

from importlib.metadata import entry_points

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
