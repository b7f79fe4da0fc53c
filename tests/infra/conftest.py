"""Routers to put a proxy before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from infra_tools import Seen, Upstream, proxy, see, served
from plugin_tools import Project


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


@pytest.fixture
def through(project: Project, tmp_path: Path) -> Callable[..., Seen]:
    """Give `through(proxy, upstream, **lines)`: what is seen of a run; `settings` are its own."""

    def run(name: str, upstream: int, settings: dict[str, object], **lines: str) -> Seen:
        with proxy(name, tmp_path, upstream, **lines) as port:
            return see(project, f"http://127.0.0.1:{port}", **settings)

    return run
