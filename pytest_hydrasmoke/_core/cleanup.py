"""From an instance to a proved deletion, or to a leak that says why it is not proved.

Written once for sync and async: see `_transport.protocol`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from pytest_hydrasmoke._api.calls import Calls, work
from pytest_hydrasmoke._api.models import PollResult
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError, LeakError, first_of
from pytest_hydrasmoke._journal.states import HAS_ROW, NOTHING_TO_DELETE, SETTLED, State
from pytest_hydrasmoke._transport.protocol import IO

from .deletion import FIRST_LOOK, Deletion
from .instance import Instance
from .key_machine import Delete, Ended, FindRow, KeyMachine, Question, Result, Wait
from .looks import DoubtError, conclusive, look, named

MOST_AT_ONCE = 64
"""Instances that are deleted at the same time after a signal."""


def to_be_kept(instance: Instance) -> bool:
    """Return whether the settings keep this instance for inspection."""
    when = instance.policy.keep
    wanted = when == "always" or (when == "on-failure" and instance.failed)
    return wanted and not instance.attached and instance.state in HAS_ROW - {State.DELETING}


def keep(instance: Instance) -> bool:
    """Keep an instance for inspection if the settings say so; return whether it is kept."""
    kept = to_be_kept(instance)
    if kept:
        instance.becomes(State.KEPT)
    return kept


async def delete(calls: Calls, instance: Instance) -> None:
    """Delete all that an instance's key names, and wait for proof; harmless if done before.

    Poll a key without a row until `row_wait` has passed: a worker may be late. A signal shortens
    all of it (`IO.cleanup_deadline`). Raises `LeakError` if nothing was proved within
    `delete_timeout`.
    """
    if instance.attached:
        raise ConfigError(
            "an attached instance is never deleted",
            instance=instance.name,
            next_step="delete it where it was provisioned",
        )
    if instance.state in NOTHING_TO_DELETE:
        return
    io, policy = calls.io, instance.policy
    # What the wait is for: first a row, if there was none yet, and then the deletion.
    ahead = policy.delete_timeout if instance.state in HAS_ROW else policy.row_wait
    with instance.phase("delete", io, deadline=io.now() + ahead):
        try:
            await io.grace(_seconds(instance), lambda: _until_gone(calls, instance))
        except (HydraSmokeError, TimeoutError) as error:
            reason = error.message if isinstance(error, HydraSmokeError) else str(error)
            # The bundled fake ends with the run, and no sweep can reach it.
            fake = policy.router.fake
            raise LeakError(
                f"not confirmed as deleted{'' if fake else ', it may still run'}: {reason}",
                next_step=None if fake else policy.commands.sweep(instance.run_id),
            ) from error


def _seconds(instance: Instance) -> float:
    """Return a deletion's time: a little more than its own deadlines leave."""
    return instance.policy.row_wait + instance.policy.delete_timeout + 5


async def _until_gone(calls: Calls, instance: Instance) -> None:
    is_first = instance.state is State.READY and not instance.evidence.asked
    end = await to_end(calls, Deletion(instance, calls.io.now(), looks_first=is_first))
    if end.result is not Result.PROVED:
        raise LeakError(end.why)


# The driver of a key's machine


async def to_end(calls: Calls, machine: KeyMachine) -> Ended:
    """Ask and wait until the machine comes to its end."""
    io = calls.io
    while isinstance(step := await carry_out(calls, machine), Wait):
        await io.sleep(max(step.until - io.now(), 0.0))
    return step


async def carry_out(calls: Calls, machine: KeyMachine) -> Wait | Ended:
    """Ask all that is due; return what comes then."""
    io = calls.io
    while True:
        step = machine.next(io.now(), io.cleanup_deadline())
        if isinstance(step, Wait | Ended):
            return step
        await _ask(calls, machine, step)


async def _ask(calls: Calls, machine: KeyMachine, question: Question) -> None:
    """Carry out a question, and tell its answer."""
    io, instance = calls.io, machine.instance
    match question:
        case FindRow(until):
            try:
                row: PollResult | str = await named(calls, instance, until)
            except DoubtError as doubt:
                row = doubt.message
            assert isinstance(machine, Deletion)  # Nothing else asks for a row.
            machine.saw_row(row, io.now())
        case Delete(instance_id, until):
            try:
                sent = calls.ask_to_delete(instance_id, deadline=until)
                answer: int | str = await conclusive(sent)
            except DoubtError as doubt:
                answer = doubt.message
            machine.saw_answer(instance_id, answer, io.now())
        case probe:
            machine.saw(await look(calls, instance, *probe), io.now())


# Several


def to_delete(instances: Iterable[Instance]) -> list[Instance]:
    """Return those that still need work."""
    return [
        instance
        for instance in instances
        if not instance.attached
        and instance.state not in SETTLED
        and instance.leak is None
        and not to_be_kept(instance)
    ]


def _begun(instances: Iterable[Instance]) -> tuple[list[Instance], float]:
    """Free keys and keep what is to be kept; return what is to be deleted, and its time."""
    instances = list(instances)
    for instance in instances:
        if not instance.attached:
            instance.give_up()  # Where no request was sent, its key is free.
        keep(instance)
    left = to_delete(instances)
    # Each has a time of its own, which ends before this one.
    return left, max(map(_seconds, left), default=0.0) + 5


async def dispose(io: IO, instances: Iterable[Instance]) -> None:
    """Delete instances side by side; what is not confirmed becomes an instance's `leak`."""
    left, seconds = _begun(instances)

    async def work() -> None:
        for number, error in (await _delete_all(io, left)).items():
            left[number].leaks(str(error) or repr(error))

    await io.grace(seconds, work)


async def delete_all(io: IO, instances: Iterable[Instance]) -> None:
    """Delete instances side by side; raise the first failure, whose notes are the others."""
    left, seconds = _begun(instances)
    failures = await io.grace(seconds, partial(_delete_all, io, left))
    if failures:
        raise first_of([*failures.values()])


async def _delete_all(io: IO, left: Sequence[Instance]) -> Mapping[int, Exception]:
    # After a signal there may be no time to wait for others.
    at_once = MOST_AT_ONCE if io.cleanup_deadline() < math.inf else None
    if at_once is not None:
        # Nor for more than these, what a key has named first; what comes of it is looked at later.
        first = sorted(left, key=lambda it: it.state not in HAS_ROW)
        await io.gather([work(ask_all, instance) for instance in first], at_once=at_once)
    return await io.gather([work(delete, instance) for instance in left], at_once=at_once)


async def ask_all(calls: Calls, instance: Instance) -> None:
    """Send a delete for every id that is known, and look for nothing but an unseen row.

    A key without a row is left to `delete`: were its instance deleted as its row comes, nobody
    could tell it from one whose row is still to come.
    """
    io = calls.io
    now = io.now()
    deletion, deadline = Deletion(instance, now), now + instance.policy.delete_timeout
    if not deletion.found_row:
        # The deletes need most of the time that there is.
        left = min(deadline, io.cleanup_deadline()) - now
        with contextlib.suppress(DoubtError):
            row = await named(calls, instance, now + min(FIRST_LOOK, left / 4))
            if row.instance_id is None:
                return
            deletion.saw_row(row, io.now())
    for known in instance.known_ids:
        await _ask(calls, deletion, deletion.delete(known, io.now(), deadline))
