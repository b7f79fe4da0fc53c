"""Pytest runs inside a test: with the plugins that they are about, and no others.

What else is installed takes up to a second to load, has no part in such a run, and differs from
one environment to another.
"""

from __future__ import annotations

ALONE = "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1"
"""What in the environment has a run, and its workers, load plugins by name alone."""


def only(*others: str) -> tuple[str, ...]:
    """Return the arguments that load this package's plugin, and others by entry point or module."""
    return tuple(word for name in ("hydrasmoke", *others) for word in ("-p", name))
