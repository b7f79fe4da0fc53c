"""From an instance to a proved deletion, or to a leak that says why it is not proved.

Written once for sync and async: see `_transport.protocol`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    HydraSmokeError,
    LeakError,
    first_of,
    hide_own_frames,
)
from pytest_hydrasmoke._journal.states import HAS_ROW, NOTHING_TO_DELETE, SETTLED, State
from pytest_hydrasmoke._transport.protocol import IO

from .deletion import FIRST_LOOK, Deletion
from .looks import look
from .policy import Policy
from .record import InstanceRecord

__tracebackhide__ = hide_own_frames


MOST_AT_ONCE = 64
"""Instances that are deleted at the same time after a signal."""


def to_be_kept(record: InstanceRecord, policy: Policy) -> bool:
    """Return whether the settings keep this instance for inspection."""
    wanted = policy.keep == "always" or (policy.keep == "on-failure" and record.failed)
    return wanted and not record.attached and record.state in HAS_ROW - {State.DELETING}


def keep(record: InstanceRecord, policy: Policy) -> bool:
    """Keep an instance for inspection if the settings say so; return whether it is kept."""
    kept = to_be_kept(record, policy)
    if kept:
        record.becomes(State.KEPT)
    return kept


async def delete(calls: Calls, record: InstanceRecord, policy: Policy) -> None:
    """Delete what a record owns, and wait for proof; harmless if that was done before.

    Poll a key without a row until `row_wait` has passed: a worker may be late. A signal shortens
    all of it (`IO.cleanup_deadline`). Raises `LeakError` if nothing was proved within
    `delete_timeout`, its cause being a `NoRowError` where no row came.
    """
    if record.attached:
        raise ConfigError(
            "an attached instance is never deleted",
            instance=record.name,
            next_step="delete it where it was provisioned",
        )
    if record.state in NOTHING_TO_DELETE:
        return
    io = calls.io
    seconds = policy.row_wait + policy.delete_timeout + 5
    # What the wait is for: first a row, if there was none yet, and then the deletion.
    ahead = policy.delete_timeout if record.state in HAS_ROW else policy.row_wait
    with record.phase("delete", io, deadline=io.now() + ahead):
        try:
            await io.grace(seconds, lambda: _until_gone(calls, record, policy))
        except (HydraSmokeError, TimeoutError) as error:
            reason = error.message if isinstance(error, HydraSmokeError) else str(error)
            raise as_leak(reason, record, policy) from error


def as_leak(reason: str, record: InstanceRecord, policy: Policy) -> LeakError:
    """Return the error of a deletion that is not proved, with the command that deletes."""
    # A sweep can't reach the bundled fake, which ends with the run.
    doubt = "" if policy.router.fake else ", it may still run"
    return LeakError(
        f"not confirmed as deleted{doubt}: {reason}",
        next_step=None if policy.router.fake else policy.commands.sweep(record.run_id),
    )


async def _until_gone(calls: Calls, record: InstanceRecord, policy: Policy) -> None:
    deletion = Deletion(record, policy, calls.io.now())
    if record.state is State.READY and not record.evidence.asked:
        await deletion.look_first(calls)
    while (pause := await deletion.step(calls)) is not None:
        await calls.io.sleep(pause)


async def is_gone(calls: Calls, record: InstanceRecord, policy: Policy) -> bool:
    """Return whether the router says, in a single look, that a record's instance is gone."""
    assert record.id is not None
    now = calls.io.now()
    seen = await look(calls, record, policy, record.id, now + FIRST_LOOK)
    return seen.says_gone


# Several


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
    await io.grace(_for_all(policy), partial(_delete_all, io, pending, policy))


async def delete_all(io: IO, records: Iterable[InstanceRecord], policy: Policy) -> None:
    """Delete instances side by side; raise the first failure, whose notes are the others."""
    works = [partial(_delete, record, policy) for record in _left(records, policy)]
    failures = await io.grace(_for_all(policy), partial(io.gather, works))
    if failures:
        raise first_of([*failures.values()])


def _for_all(policy: Policy) -> float:
    # Each has a deadline of its own, which comes before this one.
    return policy.row_wait + policy.delete_timeout + 10


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
    await Deletion(record, policy, io.now()).ask_all(Calls(io, record))


async def _delete(record: InstanceRecord, policy: Policy, io: IO) -> None:
    await delete(Calls(io, record), record, policy)
