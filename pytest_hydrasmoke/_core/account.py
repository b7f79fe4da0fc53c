"""Open a turn's account of LLM events: the count before it, once earlier turns' events are in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import LlmEvents, check_explained, rows_of
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    ContractError,
    HydraSmokeError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import Counted
from pytest_hydrasmoke._journal.events import Doing

from .policy import Policy
from .record import InstanceRecord
from .settle import (
    FINEST,
    USUAL,
    Measured,
    Settling,
    hopeless,
    next_look,
    settled_from,
    silent,
    too_soon,
)
from .turn_account import Count, Doubt, TurnAccount, settles

__tracebackhide__ = hide_own_frames

RECENT = 900
"""Seconds of the router's default window."""
LAST_READ = 5.0
"""Seconds for a read that begins at the deadline, or after what was waited for."""
YEAR = 31_536_000
"""A window for an instance of unknown age; no instance lives longer."""
EDGE = 1.0
"""Seconds by which windows differ that should begin at one moment, as they have whole seconds."""
ToCome = Callable[[str], bool]
"""Whether a router that can be asked may still write LLM events of an instance's turns so far."""


def life_window(record: InstanceRecord, now: float) -> int:
    """Return the seconds of a window that begins before the instance did.

    On an attached instance, which others may have used, it begins as the run's first turn did.
    """
    if record.born is not None:
        return math.ceil(now - record.born) + RECENT
    if record.since is None or not record.attached:
        return YEAR
    return max(math.ceil(now - record.since), 1)


def check_window(record: InstanceRecord, answer: LlmEvents, asked: float) -> None:
    """Check that a count goes back to the instance's provision, or to the attached run's start.

    Raises `ContractError`: rows that leave the window between two counts would hide others.
    """
    start = record.since if record.born is None else record.born
    age = 0.0 if start is None else asked - start
    if answer.window_seconds < age:
        raise ContractError(
            "llm_events answered for a shorter window than it was asked for",
            expected=f"window_seconds of {age:.0f} or more, back to the instance's first turn",
            got=f"window_seconds: {answer.window_seconds}",
            next_step="tell the router's developers: no turn's LLM events can be counted so",
        )


def settle_limit(settle: float) -> float:
    """Return the seconds after its end when any turn is settled: `usage_settle`, unless it is 0."""
    return settle or USUAL


async def count_before(calls: Calls, record: InstanceRecord, policy: Policy) -> Count:
    """Count LLM events before a turn, once the turn before is settled.

    That is at most `usage_settle` s later. A failed read is kept for `expect_of_turn` to report;
    `llm_events_timeout` bounds one read. What `to_come` says is not to come is not waited for.
    Raises `ConfigError` if another client has used what this run provisioned.
    """
    settle, to_come = policy.usage_settle, policy.router.to_come
    io, waiting = calls.io, False
    limit = settle_limit(settle)
    began = io.now()
    if record.settling.since is not None:
        record.since = record.settling.since
    elif record.since is None:
        record.since = began
    try:
        while True:
            asked, before = io.now(), record.settling
            baseline = await read_count(calls, record, policy.llm_events_timeout, to_come)
            if baseline.error is not None:
                return baseline
            _check_own(record, baseline)
            looked(record, asked, baseline.at, baseline.count, limit)
            strange = _strange(record, before, baseline)
            if baseline.all_counted and strange is None:
                return baseline
            turns, known = record.settling, record.measured
            until = settled_from(turns, known, limit)
            doubt = strange or _doubt(turns, known, settle, asked=asked, until=until)
            if strange is not None:
                until = max(until, began + limit)
            if asked >= until or (doubt is not None and strange is None):
                return replace(baseline, doubt=doubt)
            if not waiting:
                record.note(Doing("llm_events", until), io.now())
                waiting = True
            await io.sleep(_next(record, until, limit, io.now(), strange, to_come) - io.now())
            if strange is not None and before.last is None:
                record.since = io.now()  # The second before it is the edge of all windows.
    finally:
        if waiting:
            record.note(Doing(None), io.now())


def _next(
    record: InstanceRecord,
    until: float,
    limit: float,
    now: float,
    strange: Doubt | None,
    to_come: ToCome | None,
) -> float:
    """Return when to count again."""
    if strange is not None:
        return min(until, now + EDGE)
    if to_come is not None:
        return min(until, now + FINEST)  # It costs nothing.
    return next_look(record.settling, record.measured, limit, now)


def open_account(record: InstanceRecord, before: Count) -> TurnAccount:
    """Begin a turn's account with the count before it, which also bounds the turn before it."""
    if (account := record.account) is not None:
        account.after, last = before, record.settling.last
        if before.error is None and account.found is not None:
            account.saw(before)
        # What a turn that its client left still causes may come in after any count.
        elif last is not None and last.how == "ended" and settles(account.before, before):
            account.found = replace(before, at=last.rose)
    record.account = TurnAccount(before)
    return record.account


async def read_count(
    calls: Calls, record: InstanceRecord, timeout: float, to_come: ToCome | None = None
) -> Count:
    """Return the count as of now; a failed read is kept in it."""
    assert record.id is not None
    now = calls.io.now()
    # Asked before the count, which then has all that was written.
    all_in = to_come is not None and not to_come(record.id)
    try:
        read, known = await calls.count_llm_events(
            record.id, life_window(record, now), deadline=now + timeout, in_part=True
        )
        check_explained(rows_of(read))
        check_window(record, read, now)
    except HydraSmokeError as error:
        return Count(calls.io.now(), error=error.message)
    record.saw_count(calls.io.now(), read.count, read.providers)
    providers = frozenset(read.providers)
    return Count(calls.io.now(), read.count, providers, all_counted=all_in or known is not None)


def looked(record: InstanceRecord, asked: float, at: float, count: int, limit: float) -> None:
    """Tell the run of a count over the instance's whole life.

    Any turn is settled `limit` seconds after its end.
    """
    last = record.settling.last
    if last is not None:
        seen = Counted(count, asked=asked, whole=asked >= last.ended + limit)
        record.run_turns.note(record.turns_name, seen, at)


def is_own(record: InstanceRecord, number: int) -> bool:
    """Return whether the last turn on it has this number, of all, and is this process's."""
    turns = record.settling
    own = turns.last is None or turns.last.by == record.run_turns.process
    return own and turns.number == number


async def count_for_recording(calls: Calls, record: InstanceRecord) -> None:
    """Count the last turn's LLM events where it is recorded: a test counts those of its instance.

    A count that is not sure, or fails, is left out of the recording.
    """
    account = record.account
    if account is None or not account.recorded or account.before.doubt is not None:
        return
    now = await read_count(calls, record, LAST_READ)
    if now.error is None and is_own(record, account.before.number):
        account.saw(now)


def _check_own(record: InstanceRecord, baseline: Count) -> None:
    # An attached instance may have been used before.
    if record.settling.number or not baseline.count or record.attached:
        return
    step = "chat only with this run's fixtures: it can't know of other clients"
    if not is_random(str(record.run_id)):
        step = f"give each shard a HYDRA_SMOKE_RUN_ID of its own, and {step}"
    raise ConfigError(
        f"the instance had {baseline.count} LLM events before this run's first chat: something "
        "else has chatted with it, or its agent calls a model by itself",
        instance=record.name,
        next_step=step,
    )


def _strange(record: InstanceRecord, before: Settling, baseline: Count) -> Doubt | None:
    """Return why a count can't be a baseline yet, whatever it is; None where it can."""
    if before.last is None:
        # Windows have whole seconds: a row at their edge would be in some counts and not in others.
        if not record.attached or not baseline.count or before.number:
            return None
        why = "LLM events of another client come in all the time"
        return Doubt(why, "attach to an instance that nobody else uses")
    if baseline.count >= before.last.counted:
        return None
    why = f"the count of LLM events went down, from {before.last.counted} to {baseline.count}"
    return Doubt(why, "tell the router's developers: a count of one window can only grow")


def _doubt(
    turns: Settling, known: Measured, settle: float, *, asked: float, until: float
) -> Doubt | None:
    """Return why an account that begins now may include an earlier turn's events; None if not."""
    if turns.last is None:
        return None
    counts = False
    if asked < until and hopeless(turns):
        why = f"the {turns.rowless} turns before that one left none, so there was no wait"
        step = "see why the agent's usage is not recorded"
    elif asked < until and not settle:
        why, step = "there was no wait", "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"
    elif asked >= until and too_soon(turns, known, asked):
        why = f"events came up to {known.longest:.1f} s after their turn's end"
        why += f", and {asked - turns.last.ended:.1f} s were waited"
        step = "raise HYDRA_SMOKE_USAGE_SETTLE to more than twice that"
    elif asked >= until and silent(turns, known):
        why = f"that turn has left none, and none of this run was seen in {settle:g} s"
        step = "no LLM event of this run was seen: see in the agent's log whether it reports its "
        step += "usage. If it does so late, raise HYDRA_SMOKE_USAGE_SETTLE"
        counts = True
    else:
        return None
    test = safe_line(turns.last.test) or "(no test)"
    why = f"LLM events of the turn before, of {test}, may be among them: {why}"
    return Doubt(why, step, counts)
