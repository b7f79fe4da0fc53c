"""What the checks have in common about LLM events: a chat that is counted, and the age of one."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from pytest_hydrasmoke import SmokeInstance
from pytest_hydrasmoke._base import clock

from ._router import DAY, CheckedRouter, broken


def see_counted(router: CheckedRouter, instance: SmokeInstance, message: str) -> None:
    """Chat, and see that it is counted. By the client, which settles no account before."""
    router.needs("chat", "llm_events")
    before, config = instance.llm_events(DAY).count, router.config
    with router.client.stream_chat(instance.id, message, timeout=config.chat_timeout) as events:
        for _ in events:
            pass
    end = clock.now() + config.llm_events_timeout
    with router.proving("llm_events"):
        while (counted := instance.llm_events(DAY).count) <= before:
            if clock.now() > end:
                broken(
                    "llm_events does not count another chat",
                    expected=f"more than the {before} LLM events before it, within "
                    f"{config.llm_events_timeout:g} s",
                    got=str(counted),
                )
            clock.pause(0.25)


def chat_once(router: CheckedRouter, instance: SmokeInstance) -> None:
    """See an LLM event of an instance: of a chat now, where there was none."""
    if instance.llm_events(DAY).count == 0:
        router.needs("llm_events")
        with router.proving("chat"):
            turn = instance.chat(router.config.prompt)
        with router.proving("llm_events"):
            turn.expect_llm_events()


@dataclass
class Youngest:
    """When the youngest LLM event of an instance was written, as the router's windows tell it.

    An agent's clock may date it, so its age proves nothing; that all windows tell the same time
    does. Every answer narrows it: from `since` to `until`, on this process's clock.
    """

    instance: SmokeInstance
    count: int
    """LLM events in all: with another one, another is the youngest."""
    since: float = -math.inf
    until: float = math.inf
    found_at: float = math.inf
    """When both were known first."""

    def look(self, window: int) -> int:
        """Count over a window."""
        asked = clock.now()
        count = self.instance.llm_events(window).count
        if count:
            self.since = max(self.since, asked - window)
        else:
            self.until = min(self.until, clock.now() - window)
        if math.isinf(self.found_at) and math.isfinite(self.until - self.since):
            self.found_at = clock.now()
        return count

    def find(self) -> None:
        """Look at the shortest window that holds it, and at the next shorter one."""
        bisect.bisect_left(range(1, DAY), 1, key=self.look)

    @property
    def ripe(self) -> float:
        """When to look again: a window twice as long, or half as long, then shows for certain.

        That is not just at a whole second of its age, where a window ends.
        """
        past = self.until + math.floor(clock.now() - self.until) + 0.2
        return max(self.found_at + (3.2 if self.until - self.since < 0.5 else 5), past)

    @property
    def is_another(self) -> bool:
        return self.instance.llm_events(DAY).count != self.count


def see_aged(youngest: Youngest, patience: float) -> None:
    """See it leave a window of one second, within so many seconds."""
    # It may be of a moment ago; it ages while this waits.
    end = clock.now() + patience
    while recent := youngest.look(1):
        if clock.now() > end:
            broken(
                "llm_events counts events older than its window",
                expected=f"0 LLM events in the last second, {patience:g} s "
                "and more after the last chat",
                got=f"{recent} with window_seconds=1, {youngest.count} with a day",
            )
        clock.pause(0.1)
    if math.isinf(youngest.found_at):
        youngest.find()


def youngest_of(instance: SmokeInstance) -> Youngest:
    """Return the youngest LLM event, as it is known of an earlier check if it still is."""
    known = _known.pop(instance.id, None)
    count = instance.llm_events(DAY).count
    if known is None or known.count != count:
        known = Youngest(instance, count)
    _known[instance.id] = known
    return known


_known: dict[str, Youngest] = {}
