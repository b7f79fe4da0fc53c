"""The same work many times at once, in threads that end together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ._address import Link
from ._io import SyncIO
from ._signals import Interrupts
from ._wire import ThreadGroup

JOIN = 5.0
"""Seconds for a thread that was told to stop; it is woken from whatever it waits for."""


def fan_out(
    link: Link, works: Sequence[Callable[[SyncIO], None]], interrupts: Interrupts
) -> list[Exception]:
    """Run every work in a thread with an IO of its own, and give what failed.

    The first failure stops the others, whose own failures come after it in the list. An
    interrupt of the caller stops them too, and comes out once they have ended.
    """
    group = ThreadGroup()
    failures: list[Exception] = []

    def run(work: Callable[[SyncIO], None], io: SyncIO) -> None:
        try:
            work(io)
        except Exception as error:
            failures.append(error)
            group.stopped.set()
        finally:
            io.close()

    ios = [SyncIO(link, group=group, interrupts=interrupts) for _ in works]
    threads = [
        threading.Thread(target=run, args=pair, daemon=True)
        for pair in zip(works, ios, strict=True)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        group.stopped.set()
        for io in ios:
            io.wake()
        for thread in threads:
            if thread.ident is not None:
                thread.join(JOIN)
        raise
    return failures
