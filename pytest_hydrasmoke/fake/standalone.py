"""A fake router that is a program of its own. `/healthz` requires no token."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from types import FrameType

from pytest_hydrasmoke._base.clock import pause

from .router import FakeRouter
from .scenario import Scenario
from .server import Server


def serve(
    scenario: Scenario | str | None = None,
    token: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str, str], None] = lambda url, token: None,
) -> None:
    """Serve a fake router until SIGINT or SIGTERM; for the main thread only.

    `announce` is called with URL and token once it listens. Port 0 is any free one. Raises OSError
    where the address can't be bound, ValueError for what is no token.
    """
    router = FakeRouter(scenario, token)
    # Handled until all is closed: a second signal, right after the first, must not interrupt that.
    with _signals_noted() as came, closing(Server(host, port)) as server:
        server.mount("", router.app)
        announce(server.url, router.token)
        while not came:
            pause(0.1)


@contextmanager
def _signals_noted() -> Generator[Sequence[int]]:
    """Have signals append their numbers to a list, and do nothing else."""
    came: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        # Without a lock, such as an Event has: the thread that this interrupts may hold it.
        came.append(number)

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
