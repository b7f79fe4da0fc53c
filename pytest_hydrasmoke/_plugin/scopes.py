"""Scopes: how long a shared instance lives, and what fixtures of a wider scope use instead."""

from __future__ import annotations

import re

import pytest


def scope_node(item: pytest.Item, scope: str) -> pytest.Item | pytest.Collector:
    """Return the node whose end is the end of an instance of this scope."""
    kinds: dict[str, type[pytest.Collector]] = {
        "package": pytest.Package,
        "module": pytest.Module,
        "class": pytest.Class,
    }
    if scope == "session":
        return item.session
    if scope == "function":
        return item
    found = item.getparent(kinds[scope])
    # A test outside any class is its own class; one outside any package uses the session.
    return found or (item if scope == "class" else item.session)


def advise_on_scope(error: BaseException) -> None:
    """Extend pytest's ScopeMismatch message with what to use there."""
    words = str(error)
    if isinstance(error, pytest.fail.Exception) and re.match(r"ScopeMismatch: .*smoke_", words):
        error.msg = (
            f"{words}\nhydra-smoke: a fixture of wider scope takes its instance from "
            "smoke_instance_factory: docs/how-to/use-an-instance-in-a-wider-fixture.md"
        )
