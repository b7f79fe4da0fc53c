"""Deleting several of a run's instances: none keeps another from it, and none is told as gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._core.deletion import delete, keep, to_be_kept
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import HAS_ROW, SETTLED, InstanceRecord, State
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.threads import Network, fan_out

from .ledger import Fact, Ledger


def to_delete(records: Iterable[InstanceRecord], policy: Policy) -> list[InstanceRecord]:
    """Return which of these there is something to do for."""
    return [
        record
        for record in records
        if not record.attached
        and record.state not in SETTLED
        and record.leak is None
        and not to_be_kept(record, policy)
    ]


def dispose(
    records: Iterable[InstanceRecord],
    policy: Policy,
    io: SyncIO,
    interrupts: Interrupts,
    network: Network,
) -> None:
    """Delete instances, several at once; what is not confirmed becomes the record's `leak`."""
    records = list(records)
    for record in records:
        if record.state is State.CLAIMED and not record.attached:
            record.becomes(State.REFUSED)  # It was never asked for, and its key is free.
        keep(record, policy)
    pending = to_delete(records, policy)

    def work(record: InstanceRecord) -> Callable[[SyncIO], None]:
        return lambda thread_io: _delete(thread_io, record, policy)

    with interrupts.hold():
        if len(pending) == 1:
            _delete(io, pending[0], policy)
        elif pending:
            fan_out(io.link, [work(record) for record in pending], interrupts, network)


def _delete(io: SyncIO, record: InstanceRecord, policy: Policy) -> None:
    # Whatever goes wrong with one must not keep the others from being deleted.
    try:
        drive(delete(Calls(io, record), record, policy))
    except Exception as error:
        # What was broken off with its group is no verdict: the next `close` tries again.
        if not io.stopped:
            record.leak = str(error) or repr(error)


def believe_others(records: Iterable[InstanceRecord], ledger: Ledger) -> None:
    """Take in what another process of the run has seen deleted while this one asked for a row.

    One that this process has seen a row of is its own to judge: a ledger proves nothing against
    what the router says.
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
            if entry is not None and entry.fact is Fact.DELETED:
                record.leak, record.state = None, State.DELETED


async def delete_async(io: AsyncIO, record: InstanceRecord, policy: Policy) -> None:
    """Delete one, as a task among others; what is not confirmed becomes the record's `leak`."""
    try:
        await delete(Calls(io, record), record, policy)
    except Exception as error:
        record.leak = str(error) or repr(error)
