"""Bring up the instances that a run owns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._core.lifecycle import check_free, provision
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._transport.protocol import IO

__tracebackhide__ = hide_own_frames


async def bring_up(io: IO, records: Sequence[InstanceRecord], policy: Policy) -> None:
    """Take instances from any state to ready, side by side.

    The first failure stops the others, and is raised.
    """
    works = [partial(_bring_up, record, policy) for record in records]
    for failure in (await io.gather(works, together=True)).values():
        raise failure


async def _bring_up(record: InstanceRecord, policy: Policy, io: IO) -> None:
    calls = Calls(io, record)
    await check_free(calls, record, policy)
    await provision(calls, record, policy)
