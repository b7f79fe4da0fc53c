"""From an instance to a proved deletion, or to a leak that says why it is not proved.

The answer to a delete proves nothing: the status shows whether an instance is gone, and a poll
whether its key now names another one. "Not found" counts as `_base.evidence` defines; after any
other failure, ask again until the deadline. Written once for sync and async: see
`_transport.protocol`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    ContractError,
    HydraSmokeError,
    LeakError,
    NotFoundError,
    RouterError,
    TransportError,
    UnauthorizedError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .lifecycle import NOT_OURS, phase, status_of
from .policy import Policy, poll_interval
from .probes import malformed_form
from .record import InstanceRecord
from .states import HAS_ROW, NOTHING_LEFT, State

__tracebackhide__ = hide_own_frames

T = TypeVar("T")

FIRST_LOOK = 5.0
"""Seconds to find out whether another run has deleted an instance before this one does."""


class NoRowError(LeakError):
    """Raised when the router proved that it has no row for a key: one may still come."""


class _DoubtError(HydraSmokeError):
    """Raised when an answer proves nothing, or proves that the instance is alive."""


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
    if record.state not in NOTHING_LEFT:
        await _in_grace(calls, record, policy, _Deletion(calls, record, policy).carry_out)


async def see_gone(calls: Calls, record: InstanceRecord, policy: Policy, instance_id: str) -> None:
    """Wait until an instance that the record's key does not name is gone, without deleting it.

    Raises `LeakError` if that is not proved within `delete_timeout`.
    """
    deletion = _Deletion(calls, record, policy)
    await _in_grace(calls, record, policy, lambda: deletion.until_gone([instance_id], ask=False))


async def is_gone(calls: Calls, record: InstanceRecord, policy: Policy) -> bool:
    """Return whether the router proves, in a single look, that a record's instance is gone."""
    assert record.id is not None
    try:
        named = await _Deletion(calls, record, policy).gone(record.id, calls.io.now() + FIRST_LOOK)
    except HydraSmokeError:
        return False
    return named is None or plain_id(named) == plain_id(record.id)


async def _in_grace(
    calls: Calls,
    record: InstanceRecord,
    policy: Policy,
    work: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    io = calls.io
    seconds = policy.row_wait + policy.delete_timeout + 5
    # What the wait is for: first a row, if there was none yet, and then the deletion.
    ahead = policy.delete_timeout if record.state in HAS_ROW else policy.row_wait
    with phase("delete", io, record, deadline=io.now() + ahead):
        try:
            await io.grace(seconds, work)
        except (HydraSmokeError, TimeoutError) as error:
            reason = error.message if isinstance(error, HydraSmokeError) else str(error)
            # A sweep can't reach the bundled fake, which ends with the run.
            doubt = "" if policy.fake else ", it may still run"
            raise LeakError(
                f"not confirmed as deleted{doubt}: {reason}",
                next_step=None if policy.fake else policy.commands.sweep(record.run_id),
            ) from error


class _Deletion:
    """One deletion, and the calls that prove it."""

    def __init__(self, calls: Calls, record: InstanceRecord, policy: Policy) -> None:
        self._calls = calls
        self._io = calls.io
        self._record = record
        self._policy = policy

    async def carry_out(self) -> None:
        record = self._record
        provisioned = record.id
        # Without a row the id proves nothing: a delete would find nothing, and so seem to be done,
        # while a worker is still about to insert the row.
        if record.state not in HAS_ROW:
            record.id = await self._row_or_living(provisioned)
        elif record.state is State.READY and not record.deletion_asked:
            await self._look_first()
        ids = [known for known in (record.id, provisioned) if known is not None]
        await self.until_gone(list(dict.fromkeys(ids)))
        record.becomes(State.DELETED)

    async def _row_or_living(self, provisioned: str | None) -> str:
        try:
            return await self._row()
        except NoRowError:
            # The id from the provision's answer is enough, if it names a living instance.
            if provisioned is None or not await self._is_alive(provisioned):
                raise
            return provisioned

    async def _row(self) -> str:
        """Wait for the key's row; raises `NoRowError`, or `LeakError` where nothing is proved."""
        io, start = self._io, self._io.now()
        deadline = start + self._policy.row_wait
        while True:
            try:
                named = await self._named(max(deadline, io.now() + self._policy.last_look))
            except _DoubtError as error:
                reason = LeakError(error.message)
            else:
                if named is not None:
                    return named
                asked = _of_request(self._record)
                reason = NoRowError(f"{asked}, but shows no instance for its key")
            left = min(deadline, io.cleanup_deadline()) - io.now() - LAST_CHANCE
            if left <= 0 and io.cleanup_deadline() < deadline:
                raise LeakError("a signal came before a row for its key did")
            if left <= 0:
                raise reason
            await io.sleep(min(poll_interval(io.now() - start), left))

    async def _is_alive(self, instance_id: str) -> bool:
        try:
            await self.gone(instance_id, self._io.now() + FIRST_LOOK)
        except _DoubtError as error:
            return error.last is not None
        return False

    async def _look_first(self) -> None:
        """Check whether it is gone before this run deletes it: then another run used it too.

        Not after a signal, nor where a sweep has declared the run over: that sweep deleted it.
        """
        record = self._record
        if record.id is None or self._io.cleanup_deadline() < math.inf:
            return
        # Taken from the deletion's own time.
        seconds = min(FIRST_LOOK, self._policy.delete_timeout / 4)
        try:
            named = await self.gone(record.id, self._io.now() + seconds)
            record.permit()
        except (_DoubtError, ConfigError):
            return
        if named is None or plain_id(named) == plain_id(record.id):
            record.conflict = f"it was gone before this run deleted it: {NOT_OURS}"

    async def until_gone(self, ids: list[str], *, ask: bool = True) -> None:
        """Delete instances, and what the key names instead, until all are proved gone.

        With `ask` false send no deletes, only look. Raises `LeakError`.
        """
        io, start = self._io, self._io.now()
        deadline = start + self._policy.delete_timeout
        # The phase has begun, and its deadline is known now. A chat that ends meanwhile, in another
        # thread, may have put the record to rest.
        doing = self._record.doing
        self._record.begins("delete", start if doing is None else doing.since, deadline)
        seen: set[str] = set()
        while ids:
            refused = await self._ask(ids[0], deadline) if ask else None
            try:
                named = await self.gone(ids[0], deadline)
            except _DoubtError as doubt:
                reason = doubt.message if refused is None else f"{refused}; {doubt.message}"
            else:
                seen.add(plain_id(ids.pop(0)))
                if named is None or plain_id(named) in seen | set(map(plain_id, ids)):
                    continue
                # This is the key's instance now.
                self._record.id = named
                self._record.add_remark(f"its key now names {named}: deleted too")
                ids.append(named)
                reason = "its key names another instance each time"
            left = min(deadline, io.cleanup_deadline()) - io.now() - LAST_CHANCE
            if left <= 0:
                raise LeakError(f"{reason} {io.now() - start:.0f} s after the delete")
            await io.sleep(min(poll_interval(io.now() - start), left))

    async def _ask(self, instance_id: str, deadline: float) -> str | None:
        """Send a delete; return why it was not accepted. Its outcome is checked by status."""
        record, now = self._record, self._io.now()
        record.deletion_asked = True
        # Half of the time: a router may delete and fail to say so, and status needs the rest.
        half = now + max((deadline - now) / 2, LAST_CHANCE)
        try:
            await _conclusive(self._calls.delete(instance_id, deadline=half))
        except _DoubtError as doubt:
            record.add_remark(doubt.message)
            return doubt.message
        if record.state is not State.DELETING:
            record.becomes(State.DELETING)
        return None

    async def gone(self, instance_id: str, deadline: float) -> str | None:
        """Return what the key of a gone instance names now; raises `_DoubtError`."""
        has_row = await self._check_gone(instance_id, deadline)
        named = await self._named(deadline)
        if not has_row and named is not None and plain_id(named) == plain_id(instance_id):
            # Either a row kept for the key alone, or a passing error: looking again rules that out.
            await self._check_gone(instance_id, deadline)
            self._record.add_remark(
                "it is not found, but its key still names it: a row that was kept?"
            )
        return named

    async def _check_gone(self, instance_id: str, deadline: float) -> bool:
        """Return whether a gone instance still has a row; raises `_DoubtError`."""
        question = status_of(self._calls, self._record, instance_id, deadline=deadline)
        try:
            status = await _conclusive(question)
        except NotFoundError as error:
            self._check_form(error)
            return False
        if status.status.lower() not in self._policy.gone:
            raise _DoubtError(f"status {safe_line(status.status)!r}", last=status.status)
        return True

    async def _named(self, deadline: float) -> str | None:
        """Return what the key names, None if the router has no row for it; raises `_DoubtError`."""
        assert self._record.key is not None
        try:
            found = await _conclusive(self._calls.find(self._record.key, deadline=deadline))
        except NotFoundError as error:
            self._check_form(error)
        else:
            if found.found and found.instance_id is None:
                raise _DoubtError("the router has a row for its key, but names no instance")
            return found.instance_id if found.found else None
        form = await _conclusive(malformed_form(self._calls, deadline))
        if self._policy.forms is None or not self._policy.forms.is_routers(form):
            raise _DoubtError("it is not found, but nothing proves that the router says so")
        return None

    def _check_form(self, error: NotFoundError) -> None:
        forms = self._policy.forms
        if forms is None or error.form is None or not forms.says_unknown(error.form):
            raise _DoubtError(f"{error.message}: not in the router's own form")


def _of_request(record: InstanceRecord) -> str:
    """Describe what became of a provision, as far as it is known."""
    if record.state is State.ACCEPTED:
        return "the router accepted the request"
    exchanges = reversed(record.exchanges)
    code = next((tried.status for tried in exchanges if tried.call == "provision"), None)
    if code is None or code < 300:
        return "the router may have carried out the request"
    return f"the request was answered with {code}, and the router may have carried it out"


async def _conclusive(question: Awaitable[T]) -> T:
    """Await an answer; raises `_DoubtError` for one that proves nothing.

    Passes on a refused token and "not found" unchanged.
    """
    try:
        return await question
    except (UnauthorizedError, NotFoundError):
        raise
    except ContractError as error:
        reason = f"{error.message}: expected {error.expected}, got {error.got}"
    except (RouterError, TransportError) as error:
        reason = error.message
    raise _DoubtError(reason)
