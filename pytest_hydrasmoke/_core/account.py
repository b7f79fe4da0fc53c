"""Open a turn's account of LLM events: the count before it, once earlier turns' events are in."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError, hide_own_frames
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._base.text import safe_line

from .record import InstanceRecord
from .settle import USUAL, History, Measured, hopeless, next_look, settled_from, too_slow
from .turn_account import Baseline, Doubt

__tracebackhide__ = hide_own_frames

RECENT = 900
"""Seconds of the router's default window."""
LAST_READ = 5.0
"""Seconds for a read that begins at the deadline, or after what was waited for."""
YEAR = 31_536_000
"""A window for an instance of unknown age; no instance lives longer."""


def life_window(record: InstanceRecord, now: float) -> int:
    """Return the seconds of a window that begins before the instance did."""
    return YEAR if record.born is None else math.ceil(now - record.born) + RECENT


def settle_limit(settle: float) -> float:
    """Return the seconds after its end when any turn is settled: `usage_settle`, unless it is 0."""
    return settle or USUAL


async def open_account(
    calls: Calls, record: InstanceRecord, *, timeout: float, settle: float
) -> Baseline:
    """Count LLM events before a turn, once the turn before is settled, at most `settle` s later.

    A failed read is kept for `expect_of_turn` to report; `timeout` bounds one read. Raises
    `ConfigError` if another client has used what this run provisioned.
    """
    io, log, waiting = calls.io, record.log, False
    limit = settle_limit(settle)
    log.refresh(io.now())
    try:
        while True:
            asked = io.now()
            baseline = await read_baseline(calls, record, timeout)
            if baseline.error is not None:
                return baseline
            _check_own(record, baseline)
            log.saw(asked, baseline.at, baseline.count, limit)
            if baseline.all_counted:
                return baseline
            history, known = log.history, log.known
            until = settled_from(history, known, limit)
            doubt = _doubt(history, known, settle, asked=asked, until=until)
            if asked >= until or doubt is not None:
                return replace(baseline, doubt=doubt)
            if not waiting:
                record.begins("llm_events", io.now(), until)
                waiting = True
            look = next_look(history, known, limit, io.now())
            await io.sleep(look - io.now())
    finally:
        if waiting:
            record.rests()


async def read_baseline(calls: Calls, record: InstanceRecord, timeout: float) -> Baseline:
    """Return the count as of now; a failed read is kept in it."""
    assert record.id is not None
    now = calls.io.now()
    try:
        read, known = await calls.count_llm_events(
            record.id, life_window(record, now), deadline=now + timeout, in_part=True
        )
    except HydraSmokeError as error:
        return Baseline(calls.io.now(), error=error.message)
    record.saw_count(calls.io.now(), read.count, read.providers)
    providers = frozenset(read.providers)
    return Baseline(calls.io.now(), read.count, providers, all_counted=known is not None)


async def count_for_recording(calls: Calls, record: InstanceRecord) -> None:
    """Count the last turn's LLM events where it is recorded: a test counts those of its instance.

    A count that is not sure, or fails, is left out of the recording.
    """
    account = record.account
    if account is None or not account.recorded or account.before.doubt is not None:
        return
    now = await read_baseline(calls, record, LAST_READ)
    if now.error is None and record.log.is_own(account.before.number):
        account.saw(now.at, now.count, now.providers)


def _check_own(record: InstanceRecord, baseline: Baseline) -> None:
    # An attached instance may have been used before.
    if record.log.history.number or not baseline.count or record.attached:
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


def _doubt(
    history: History, known: Measured, settle: float, *, asked: float, until: float
) -> Doubt | None:
    """Return why an account that begins now may include an earlier turn's events; None if not."""
    if history.last is None:
        return None
    if asked < until and hopeless(history):
        why = f"the {history.rowless} turns before that one left none, so there was no wait"
        step = "see why the agent's usage is not recorded"
    elif asked < until and not settle:
        why, step = "there was no wait", "set HYDRA_SMOKE_USAGE_SETTLE to more than 0"
    elif asked >= until and too_slow(history, known, asked):
        why = f"events came up to {known.lag:.1f} s after their turn's end, which is too late"
        step = "raise HYDRA_SMOKE_USAGE_SETTLE"
    else:
        return None
    test = safe_line(history.last.test) or "(no test)"
    return Doubt(f"LLM events of the turn before, of {test}, may be among them: {why}", step)
