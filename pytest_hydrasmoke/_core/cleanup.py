"""From an instance to a proved deletion, or to a leak that says why it is not proved.

Written once for sync and async: see `_transport.protocol`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
from .record import InstanceRecord

__tracebackhide__ = hide_own_frames


MOST_AT_ONCE = 64
"""Instances that are deleted at the same time after a signal."""


def to_be_kept(record: InstanceRecord) -> bool:
    """Return whether the settings keep this instance for inspection."""
    when = record.policy.keep
    wanted = when == "always" or (when == "on-failure" and record.failed)
    return wanted and not record.attached and record.state in HAS_ROW - {State.DELETING}


def keep(record: InstanceRecord) -> bool:
    """Keep an instance for inspection if the settings say so; return whether it is kept."""
    kept = to_be_kept(record)
    if kept:
        record.becomes(State.KEPT)
    return kept


async def delete(calls: Calls, record: InstanceRecord) -> None:
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
    io, policy = calls.io, record.policy
    # What the wait is for: first a row, if there was none yet, and then the deletion.
    ahead = policy.delete_timeout if record.state in HAS_ROW else policy.row_wait
    with record.phase("delete", io, deadline=io.now() + ahead):
        try:
            await io.grace(_seconds(record), lambda: _until_gone(calls, record))
        except (HydraSmokeError, TimeoutError) as error:
            reason = error.message if isinstance(error, HydraSmokeError) else str(error)
            # The bundled fake ends with the run, and no sweep can reach it.
            fake = policy.router.fake
            raise LeakError(
                f"not confirmed as deleted{'' if fake else ', it may still run'}: {reason}",
                next_step=None if fake else policy.commands.sweep(record.run_id),
            ) from error


def _seconds(record: InstanceRecord) -> float:
    """Return a deletion's time: a little more than its own deadlines leave."""
    return record.policy.row_wait + record.policy.delete_timeout + 5


async def _until_gone(calls: Calls, record: InstanceRecord) -> None:
    deletion = Deletion(record, calls.io.now())
    if record.state is State.READY and not record.evidence.asked:
        await deletion.look_first(calls)
    while (pause := await deletion.step(calls)) is not None:
        await calls.io.sleep(pause)


async def is_gone(calls: Calls, record: InstanceRecord) -> bool:
    """Return whether the router says, in a single look, that a record's instance is gone."""
    assert record.id is not None
    now = calls.io.now()
    seen = await look(calls, record, record.id, now + FIRST_LOOK)
    return seen.says_gone


# Several


def to_delete(records: Iterable[InstanceRecord]) -> list[InstanceRecord]:
    """Return the records that still need work."""
    return [
        record
        for record in records
        if not record.attached
        and record.state not in SETTLED
        and record.leak is None
        and not to_be_kept(record)
    ]


def _begun(records: Iterable[InstanceRecord]) -> tuple[list[InstanceRecord], float]:
    """Free keys and keep what is to be kept; return what is to be deleted, and its time."""
    records = list(records)
    for record in records:
        if not record.attached:
            record.give_up()  # Where no request was sent, its key is free.
        keep(record)
    left = to_delete(records)
    # Each has a time of its own, which ends before this one.
    return left, max(map(_seconds, left), default=0.0) + 5


async def dispose(io: IO, records: Iterable[InstanceRecord]) -> None:
    """Delete instances side by side; what is not confirmed becomes the record's `leak`."""
    left, seconds = _begun(records)

    async def work() -> None:
        for number, error in (await _delete_all(io, left)).items():
            left[number].leaks(str(error) or repr(error))

    await io.grace(seconds, work)


async def delete_all(io: IO, records: Iterable[InstanceRecord]) -> None:
    """Delete instances side by side; raise the first failure, whose notes are the others."""
    left, seconds = _begun(records)
    failures = await io.grace(seconds, partial(_delete_all, io, left))
    if failures:
        raise first_of([*failures.values()])


async def _delete_all(io: IO, left: Sequence[InstanceRecord]) -> Mapping[int, Exception]:
    # After a signal there may be no time to wait for others.
    at_once = MOST_AT_ONCE if io.cleanup_deadline() < math.inf else None
    if at_once is not None:
        # Nor for more than these; what comes of it is looked at later.
        await io.gather([partial(_ask, record) for record in left], at_once=at_once)
    return await io.gather([partial(_delete, record) for record in left], at_once=at_once)


async def _ask(record: InstanceRecord, io: IO) -> None:
    await Deletion(record, io.now()).ask_all(Calls(io, record))


async def _delete(record: InstanceRecord, io: IO) -> None:
    await delete(Calls(io, record), record)
