"""Bring up instances that a run owns: one, or several concurrently."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.lifecycle import check_free, provision
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke._transport.threads import Network, fan_out

__tracebackhide__ = hide_own_frames


async def bring_up(calls: Calls, record: InstanceRecord, policy: Policy) -> None:
    """Take an instance from any state to ready; raises what prevents that."""
    await check_free(calls, record, policy)
    await provision(calls, record, policy)


def bring_up_all(
    records: Sequence[InstanceRecord],
    policy: Policy,
    link: Link,
    interrupts: Interrupts,
    network: Network,
) -> Exception | None:
    """Bring up several in threads; return the first failure, which stops the others."""

    def work(record: InstanceRecord) -> Callable[[SyncIO], None]:
        return lambda io: drive(bring_up(Calls(io, record), record, policy))

    failures = fan_out(link, [work(record) for record in records], interrupts, network)
    return next(iter(failures), None)


async def bring_up_all_async(
    records: Sequence[InstanceRecord], policy: Policy, io: AsyncIO
) -> Exception | None:
    """Do what `bring_up_all` does, from a coroutine."""
    try:
        async with anyio.create_task_group() as group:
            for record in records:
                group.start_soon(bring_up, Calls(io, record), record, policy)
    except ExceptionGroup as failed:
        return failed.exceptions[0]
    return None
