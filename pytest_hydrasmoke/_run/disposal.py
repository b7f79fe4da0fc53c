"""Delete several of a run's instances; a failure neither stops the others nor counts as gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import anyio

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.deletion import delete, keep, to_be_kept
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.removal import Removal
from pytest_hydrasmoke._journal.events import Became
from pytest_hydrasmoke._journal.states import HAS_ROW, SETTLED, State
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.threads import Network, fan_out

from .ledger import Ledger

MOST_AT_ONCE = 64
"""Instances that are deleted at the same time after a signal."""


def to_delete(records: Iterable[InstanceRecord], policy: Policy) -> list[InstanceRecord]:
    """Return the records that still need work."""
    return [
        record
        for record in records
        if not record.attached
        and record.state not in SETTLED
        and record.leak is None
        and not to_be_kept(record, policy)
    ]


def _left(records: Iterable[InstanceRecord], policy: Policy) -> list[InstanceRecord]:
    """Return what is to be deleted, once keys are free and what the settings keep is kept."""
    records = list(records)
    for record in records:
        if not record.attached:
            record.give_up()  # Where no request was sent, its key is free.
        keep(record, policy)
    return to_delete(records, policy)


def dispose(
    records: Iterable[InstanceRecord],
    policy: Policy,
    io: SyncIO,
    interrupts: Interrupts,
    network: Network,
) -> None:
    """Delete instances concurrently; what is not confirmed becomes the record's `leak`."""
    pending = _left(records, policy)

    def all_of(work: Callable[[InstanceRecord, Policy, SyncIO], None]) -> None:
        works = [partial(work, record, policy) for record in pending]
        # After a signal there may be no time to wait for others.
        hurried = interrupts.received is not None
        fan_out(io.link, works, interrupts, network, at_once=MOST_AT_ONCE if hurried else None)

    with interrupts.hold():
        if interrupts.received is not None:
            # There may be no time for more than these.
            all_of(_ask)
        if len(pending) == 1:
            _delete(pending[0], policy, io)
        elif pending:
            all_of(_delete)


def _ask(record: InstanceRecord, policy: Policy, io: SyncIO) -> None:
    """Send the deletes of one instance, and nothing else; what comes of it is looked at later."""
    with contextlib.suppress(HydraSmokeError):
        drive(Removal(record, policy, io.now()).ask_all(Calls(io, record)))


def _delete(record: InstanceRecord, policy: Policy, io: SyncIO) -> None:
    # A failure of one must not keep the others from being deleted.
    try:
        drive(delete(Calls(io, record), record, policy))
    except Exception as error:
        # A deletion cancelled with its group proves nothing: the next `close` tries again.
        if not io.stopped:
            record.leaks(str(error) or repr(error))


def believe_others(records: Iterable[InstanceRecord], ledger: Ledger) -> None:
    """Accept deletions that another process of the run recorded while this one asked for a row.

    An instance whose row this process has seen is its own to judge: a ledger proves nothing against
    the router's answers.
    """
    unseen = [
        record for record in records if record.leak is not None and record.state not in HAS_ROW
    ]
    if not unseen:
        return
    with contextlib.suppress(OSError):
        entries = ledger.read().entries
        for record in unseen:
            entry = entries.get(record.key or "")
            if entry is not None and entry.state in (State.GONE, State.DELETED):
                record.leaks(None)
                record.note(Became(entry.state, record.id))


async def delete_async(io: AsyncIO, record: InstanceRecord, policy: Policy) -> None:
    """Delete one as a concurrent task; what is not confirmed becomes the record's `leak`."""
    try:
        await delete(Calls(io, record), record, policy)
    except Exception as error:
        record.leaks(str(error) or repr(error))


async def dispose_async(records: Sequence[InstanceRecord], policy: Policy, io: AsyncIO) -> None:
    """Do what `dispose` does, from a coroutine."""
    pending = _left(records, policy)
    async with anyio.create_task_group() as group:
        for record in pending:
            group.start_soon(delete_async, io, record, policy)
