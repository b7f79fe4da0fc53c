"""From an instance to a proved deletion, or to a leak that says why it is not proved.

The answer to a delete proves nothing: the status shows whether an instance is gone, and a poll
whether its key now names another one. `_base.evidence` says in which form an answer counts, and
`proof` what a row of answers proves. Written once for sync and async, run and sweep: see
`_transport.protocol`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import TypeVar

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import PollResult, plain_id
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
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._transport.protocol import LAST_CHANCE

from .lifecycle import phase, status_of
from .policy import Policy, poll_interval
from .probes import malformed_form
from .proof import NEXT_LOOK, Evidence, Look, Says, Verdict, judge
from .record import InstanceRecord
from .states import HAS_ROW, NOTHING_TO_DELETE, State

__tracebackhide__ = hide_own_frames

T = TypeVar("T")

UNPROCESSABLE = 422
UNDER_WAY_LOOKS = 3
"""How often a last look sees a deletion under way until it stops looking."""
FIRST_LOOK = 5.0
"""Seconds to find out whether an instance is gone before this run deletes it."""


class NoRowError(LeakError):
    """Raised when the router proved that it has no row for a key: one may still come."""


class _DoubtError(HydraSmokeError):
    """Raised when an answer proves nothing."""

    code: int | None = None
    """That of the answer, if it was a refusal."""


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
    with phase("delete", io, record, deadline=io.now() + ahead):
        try:
            await io.grace(seconds, lambda: _until_gone(calls, record, policy))
        except (HydraSmokeError, TimeoutError) as error:
            reason = error.message if isinstance(error, HydraSmokeError) else str(error)
            raise as_leak(reason, record, policy) from error


def as_leak(reason: str, record: InstanceRecord, policy: Policy) -> LeakError:
    """Return the error of a deletion that is not proved, with the command that deletes."""
    # A sweep can't reach the bundled fake, which ends with the run.
    doubt = "" if policy.fake else ", it may still run"
    return LeakError(
        f"not confirmed as deleted{doubt}: {reason}",
        next_step=None if policy.fake else policy.commands.sweep(record.run_id),
    )


async def _until_gone(calls: Calls, record: InstanceRecord, policy: Policy) -> None:
    removal = Removal(record, policy, calls.io.now())
    if record.state is State.READY and not record.deletion_asked:
        await removal.look_first(calls)
    while (pause := await removal.step(calls)) is not None:
        await calls.io.sleep(pause)


async def is_gone(calls: Calls, record: InstanceRecord, policy: Policy) -> bool:
    """Return whether the router says, in a single look, that a record's instance is gone."""
    assert record.id is not None
    now = calls.io.now()
    look = await Removal(record, policy, now).look(calls, record.id, now + FIRST_LOOK)
    return look.says in ("gone", "under way", "unknown")


async def named_by(
    calls: Calls, record: InstanceRecord, policy: Policy, deadline: float
) -> str | None:
    """Return the instance that a record's key names, None if none; raises where nothing is sure."""
    try:
        found = await Removal(record, policy, calls.io.now()).named(calls, deadline)
    except _DoubtError as doubt:
        if doubt.code != UNPROCESSABLE:
            raise
        return None  # The router says that it can't be a key, such as one of 256 characters.
    return found.instance_id


class Removal:
    """The removal of all that one key names, a step at a time.

    A step raises `LeakError` where its time is up; what it has seen stays in the record.
    """

    def __init__(self, record: InstanceRecord, policy: Policy, start: float) -> None:
        self._record = record
        self._policy = policy
        self._start = start
        self._row_until = start + policy.row_wait
        # Without a row an id proves nothing: a delete would find nothing, and so seem to be done,
        # while a worker is still about to insert the row.
        self._deadline: float | None = None
        self._ids = list[str]()
        if record.state in HAS_ROW:
            self._has_row(start)
        elif record.state is State.GONE:
            self._begin(start)

    def _has_row(self, now: float, named: str | None = None) -> None:
        """Begin to delete: the key has a row, which names an instance, or had one before."""
        record = self._record
        if named is not None:
            # What was answered before there was a row proves nothing.
            record.evidence = Evidence()
            record.names(named)
        self._begin(now)
        # The phase has begun, and its deadline is known now. A chat that ends meanwhile, in another
        # thread, may have put the record to rest.
        doing = record.doing
        record.begins("delete", now if doing is None else doing.since, self._deadline)

    def _begin(self, now: float) -> None:
        self._start, self._deadline = now, now + self._policy.delete_timeout
        self._ids = self._record.known_ids

    async def look_first(self, calls: Calls) -> None:
        """Check whether it is gone before this run deletes it: then something else did.

        Not after a signal, nor where a sweep has declared the run over: that sweep deleted it.
        """
        record, io = self._record, calls.io
        if record.id is None or io.cleanup_deadline() < math.inf:
            return
        # Taken from the deletion's own time.
        seconds = min(FIRST_LOOK, self._policy.delete_timeout / 4)
        look = await self.look(calls, record.id, io.now() + seconds)
        try:
            record.permit()
        except ConfigError:
            return
        if look.says in ("gone", "under way", "unknown") and self._is_ours(look.named):
            record.conflict = _gone_before(record.run_id or "")

    def _is_ours(self, named: str | None) -> bool:
        return named is None or plain_id(named) in {
            plain_id(known) for known in self._record.known_ids
        }

    async def ask_all(self, calls: Calls) -> None:
        """Send a delete for every id that is known, without any look; raises what it raises."""
        deadline = calls.io.now() + self._policy.delete_timeout
        for known in self._record.known_ids:
            await self._ask(calls, known, deadline)

    async def step(self, calls: Calls) -> float | None:
        """Ask and look once, and judge; return the seconds until the next step, None at the end."""
        if self._deadline is None:
            pause = await self._find_row(calls)
            if pause is not None:
                return pause
        assert self._deadline is not None
        io, reason, soon = calls.io, "", math.inf
        for instance_id in list(self._ids):
            unproved = await self._go_on(calls, instance_id, self._deadline)
            if unproved is None:
                self._ids.remove(instance_id)
            else:
                reason, at = unproved
                soon = min(soon, at)
        if not self._ids:
            self._record.is_gone(io.now(), ends=self._policy.fake)
            return None
        now = io.now()
        left = min(self._deadline, io.cleanup_deadline()) - now - LAST_CHANCE
        if left <= 0:
            reason = reason or "its key names another instance each time"
            raise LeakError(f"{reason} {now - self._start:.0f} s after the delete")
        # An id that its key names only now is next at once.
        return 0.0 if soon == math.inf else min(max(soon - now, 0.0), left)

    async def _go_on(
        self, calls: Calls, instance_id: str, deadline: float
    ) -> tuple[str, float] | None:
        """Go on with one instance; return why it is not proved gone, and when to look again."""
        record, policy, plain = self._record, self._policy, plain_id(instance_id)
        verdict = judge(record.evidence[plain], policy.manner, patient=policy.patient)
        if verdict.ask:
            await self._ask(calls, instance_id, deadline)
        look = await self.look(calls, instance_id, deadline)
        record.evidence[plain] = record.evidence[plain].saw(look)
        verdict = judge(record.evidence[plain], policy.manner, patient=policy.patient)
        if look.named is not None and not self._is_ours(look.named):
            # This is the key's instance now.
            record.names(look.named)
            record.add_remark(f"its key now names {look.named}: deleted too")
            self._ids.append(look.named)
        if not verdict.proved:
            now = calls.io.now()
            return verdict.why, verdict.next_look or now + poll_interval(now - self._start)
        if verdict.kept_row and not policy.manner.keeps_rows:
            policy.manner.keeps_rows = True
            record.add_remark(
                f"the router keeps the row of a deleted instance: {look.why}. It counts as gone "
                "once that has held, and a further delete has found nothing"
            )
        return None

    async def _ask(self, calls: Calls, instance_id: str, deadline: float) -> None:
        """Send a delete; its outcome is checked by looks."""
        record, now, plain = self._record, calls.io.now(), plain_id(instance_id)
        record.deletion_asked = True
        # Half of the time: a router may delete and fail to say so, and status needs the rest.
        half = now + max((deadline - now) / 2, LAST_CHANCE)
        try:
            accepted = await _conclusive(calls.ask_to_delete(instance_id, deadline=half))
        except _DoubtError as doubt:
            record.add_remark(doubt.message)
            record.evidence[plain] = record.evidence[plain].unanswered(
                calls.io.now(), doubt.message
            )
            return
        record.evidence[plain] = record.evidence[plain].answered(calls.io.now(), accepted=accepted)
        if accepted and record.state in HAS_ROW - {State.DELETING}:
            record.becomes(State.DELETING)

    async def look_again(self, calls: Calls, until: float, *, ask: bool) -> str | None:
        """Look once more at what was proved gone; return why that can't be told for certain.

        With `ask`, a further delete comes first. Raises `LeakError` for what is there again.
        """
        record, io, policy = self._record, calls.io, self._policy
        for known in record.known_ids:
            verdict, under_way = Verdict(ask=ask), 0
            while not verdict.proved:
                if verdict.ask:
                    await self._ask(calls, known, until)
                look = await self.look(calls, known, until)
                if look.says == "alive" or not self._is_ours(look.named):
                    what = look.why or f"its key names {look.named}"
                    raise LeakError(f"it was proved gone, and is there again: {what}")
                plain = plain_id(known)
                record.evidence[plain] = record.evidence[plain].saw(look)
                verdict = judge(record.evidence[plain], policy.manner, patient=policy.patient)
                again = verdict.next_look
                if look.says == "under way":
                    # One that goes on is not waited for, but one that is only said ends soon.
                    under_way, again = under_way + 1, io.now() + NEXT_LOOK
                    if under_way == UNDER_WAY_LOOKS:
                        return "the router is still deleting it"
                    verdict = Verdict()
                if look.says == "nothing" or (again is not None and again > until):
                    return verdict.why
                await io.sleep(0.0 if again is None else max(again - io.now(), 0.0))
        return None

    async def look(self, calls: Calls, instance_id: str, deadline: float) -> Look:
        """Ask for the status of an instance and what its key names: one look."""
        try:
            says, why = await self._status(calls, instance_id, deadline)
            found = await self.named(calls, deadline)
        except _DoubtError as doubt:
            alive: Says = "nothing" if doubt.last is None else "alive"
            return Look(calls.io.now(), alive, doubt.message)
        named, word = found.instance_id, found.status
        ready = word is not None and word.lower() in self._policy.ready
        same = named is not None and plain_id(named) == plain_id(instance_id)
        if says == "unknown" and same and ready:
            says, why = "contradiction", f"as {safe_line(str(word))!r}"
        return Look(calls.io.now(), says, why, named)

    async def _status(self, calls: Calls, instance_id: str, deadline: float) -> tuple[Says, str]:
        question = status_of(calls, self._record, instance_id, deadline=deadline)
        try:
            status = await _conclusive(question)
        except NotFoundError as error:
            self._check_form(error)
            return "unknown", ""
        word = status.status.lower()
        if word not in self._policy.gone:
            raise _DoubtError(f"status {safe_line(status.status)!r}", last=status.status)
        return ("under way" if word.endswith("ing") else "gone"), ""

    async def named(self, calls: Calls, deadline: float) -> PollResult:
        """Return what the key names, `found=False` without a row; raises `_DoubtError`."""
        assert self._record.key is not None
        try:
            found = await _conclusive(calls.find(self._record.key, deadline=deadline))
        except NotFoundError as error:
            self._check_form(error)
        else:
            if found.found and found.instance_id is None:
                raise _DoubtError("the router has a row for its key, but names no instance")
            ready = found.found and str(found.status).lower() in self._policy.ready
            # A boot is over once any answer calls it ready, unless its deletion came before.
            self._record.was_ready |= ready and not self._record.deletion_asked
            return found if found.found else PollResult(found=False)
        form = await _conclusive(malformed_form(calls, deadline))
        if self._policy.forms is None or not self._policy.forms.is_routers(form):
            raise _DoubtError("it is not found, but nothing proves that the router says so")
        return PollResult(found=False)

    def _check_form(self, error: NotFoundError) -> None:
        forms = self._policy.forms
        if forms is None or error.form is None or not forms.says_unknown(error.form):
            raise _DoubtError(f"{error.message}: not in the router's own form")

    async def _find_row(self, calls: Calls) -> float | None:
        """Look for the key's row; return the seconds until the next look, None once it is there."""
        io = calls.io
        try:
            last = max(self._row_until, io.now() + self._policy.last_look)
            found = await self.named(calls, last)
        except _DoubtError as error:
            reason = LeakError(error.message)
        else:
            if found.instance_id is not None:
                self._has_row(io.now(), found.instance_id)
                return None
            reason = NoRowError(f"{_of_request(self._record)}, but shows no instance for its key")
        left = min(self._row_until, io.cleanup_deadline()) - io.now() - LAST_CHANCE
        if left > 0:
            return min(poll_interval(io.now() - self._start), left)
        living = await self._living(calls) if isinstance(reason, NoRowError) else None
        if living is not None:
            self._has_row(io.now(), living)
            return None
        if io.cleanup_deadline() < self._row_until:
            raise LeakError("a signal came before a row for its key did")
        raise reason

    async def _living(self, calls: Calls) -> str | None:
        """Delete what the key's own answers have named; return what of it was alive before."""
        living: str | None = None
        for known in self._record.known_ids:
            deadline = calls.io.now() + FIRST_LOOK
            look = await self.look(calls, known, deadline)
            living = known if look.says == "alive" else living
            await self._ask(calls, known, deadline)
        return living


def _gone_before(run_id: str) -> str:
    own_id = f"; if another run has run id {run_id} too, give each an id of its own"
    return (
        "it was gone before this run deleted it: something else deleted it, or it died.\n"
        f"See the router's log of it{'' if is_random(run_id) else own_id}"
    )


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
        doubt = _DoubtError(f"{error.message}: expected {error.expected}, got {error.got}")
    except (RouterError, TransportError) as error:
        doubt = _DoubtError(error.message)
        doubt.code = error.status_code if isinstance(error, RouterError) else None
    raise doubt
