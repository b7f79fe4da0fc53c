"""Delete several of a run's instances; a failure neither stops the others nor counts as gone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core.deletion import delete, keep, to_be_kept
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.removal import Removal
from pytest_hydrasmoke._journal.states import HAS_ROW, SETTLED, State
from pytest_hydrasmoke._transport.protocol import IO

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


async def dispose(io: IO, records: Iterable[InstanceRecord], policy: Policy) -> None:
    """Delete instances side by side; what is not confirmed becomes the record's `leak`."""
    pending = _left(records, policy)
    # Each has a deadline of its own, which comes before this one.
    seconds = policy.row_wait + policy.delete_timeout + 10
    await io.grace(seconds, partial(_delete_all, io, pending, policy))


async def _delete_all(io: IO, pending: Sequence[InstanceRecord], policy: Policy) -> None:
    # After a signal there may be no time to wait for others.
    at_once = MOST_AT_ONCE if io.cleanup_deadline() < math.inf else None
    if at_once is not None:
        # Nor for more than these; what comes of it is looked at later.
        await io.gather([partial(_ask, record, policy) for record in pending], at_once=at_once)
    works = [partial(_delete, record, policy) for record in pending]
    for number, error in (await io.gather(works, at_once=at_once)).items():
        pending[number].leaks(str(error) or repr(error))


async def _ask(record: InstanceRecord, policy: Policy, io: IO) -> None:
    await Removal(record, policy, io.now()).ask_all(Calls(io, record))


async def _delete(record: InstanceRecord, policy: Policy, io: IO) -> None:
    await delete(Calls(io, record), record, policy)


def deleted_by_others(
    records: Iterable[InstanceRecord], ledger: Ledger
) -> Iterator[tuple[InstanceRecord, State]]:
    """Yield what leaked here, and another process of the run has recorded as deleted meanwhile.

    An instance whose row this process has seen is its own to judge: a ledger proves nothing against
    the router's answers.
    """
    unseen = [it for it in records if it.leak is not None and it.state not in HAS_ROW]
    if not unseen:
        return
    with contextlib.suppress(OSError):
        known = ledger.read().instances
        for record in unseen:
            told = known.get(str(record.key))
            if told is not None and told.state in (State.GONE, State.DELETED):
                yield record, told.state
