"""A run's network by a virtual clock, whose threads take turns."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._transport.blocking import Group
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke._transport.threads import Network


class ThreadIO(VirtualSyncIO):
    """Calls of a thread: time stands still until each of a group has begun."""

    def __init__(
        self,
        link: Link,
        clock: VirtualClock,
        interrupts: Interrupts | None = None,
        group: Group | None = None,
    ) -> None:
        super().__init__(link, clock, interrupts, group)
        if group is not None:
            self.turns.expected.add(self)

    async def sleep(self, seconds: float) -> None:
        self.turns.expected.discard(self)
        await super().sleep(seconds)

    def close(self) -> None:
        self.turns.expected.discard(self)
        super().close()


class VirtualNetwork(Network):
    """A network whose threads take turns; the one that began them lets them."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock

    def blocking(
        self, link: Link, interrupts: Interrupts | None = None, group: Group | None = None
    ) -> VirtualSyncIO:
        return ThreadIO(link, self.clock, interrupts, group)

    @contextmanager
    def waiting(self) -> Generator[None]:
        turns = self.clock._turns
        turns.leave()
        try:
            yield
        finally:
            turns.take()
