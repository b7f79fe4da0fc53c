"""Routers to put a proxy before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from infra_tools import Upstream, served


@pytest.fixture
def serving() -> Iterator[Callable[..., int]]:
    """Give `serving(**rules)`: the port of a router with some of its rules replaced."""
    with ExitStack() as stack:

        def serve(**rules: object) -> int:
            return stack.enter_context(served(type("Router", (Upstream,), rules)()))

        yield serve


@pytest.fixture
def upstream(serving: Callable[..., int]) -> int:
    """The port of a router that answers at once."""
    return serving()
