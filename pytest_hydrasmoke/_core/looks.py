"""One look at an instance and its key: what the router says of them, as far as it proves anything.

`_base.evidence` says when an answer counts, beside the controls of `controls`. Written once for
sync and async: see `_transport.protocol`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceStatus, PollResult, plain_id, same_id
from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base.evidence import NOT_FOUND
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import MOST_WORD, Hosted

from .controls import Kind
from .instance import Instance
from .proof import Look, Says

T = TypeVar("T")
TRIES = 4
"""How often an answer is asked for until it is that of the controls: two versions may answer."""


class DoubtError(HydraSmokeError):
    """Raised when an answer proves nothing."""

    code: int | None = None
    """That of the answer, if it was a refusal."""


async def status_of(
    calls: Calls, instance: Instance, instance_id: str, *, deadline: float | None = None
) -> InstanceStatus:
    """Read the status, and record it."""
    status = await calls.status(instance_id, deadline=deadline)
    instance.saw_status(status.status, calls.io.now())
    if not instance.policy.statuses.is_gone(status.status):
        instance.evidence.alive.add(plain_id(instance_id))
    hostname = (status.hostname or "")[:MOST_WORD]
    if hostname and hostname != instance.hostname:
        instance.note(Hosted(hostname))
    return status


async def look(calls: Calls, instance: Instance, instance_id: str, deadline: float) -> Look:
    """Ask for the status of an instance and what its key names: one look."""
    try:
        says, why = await _status(calls, instance, instance_id, deadline)
        found = await named(calls, instance, deadline)
        named_id, word = found.instance_id, found.status
        same = same_id(named_id, instance_id)
        if says == "unknown" and same and instance.policy.statuses.is_ready(word):
            says, why = "contradiction", f"as {safe_line(str(word))!r}"
        bare = instance.absent.bare and says == "unknown" and named_id is not None
        if bare or says == "contradiction":
            # The key's answer does not say that it is gone, and proves the path of keys alone.
            await _check_proof(calls, instance, deadline)
    except DoubtError as doubt:
        alive: Says = "nothing" if doubt.last is None else "alive"
        return Look(calls.io.now(), alive, doubt.message)
    return Look(calls.io.now(), says, why, named_id)


async def _status(
    calls: Calls, instance: Instance, instance_id: str, deadline: float
) -> tuple[Says, str]:
    """Return what the status says, and why."""
    status = await _unless_unknown(
        lambda: status_of(calls, instance, instance_id, deadline=deadline),
        *(calls, instance, "id", deadline),
    )
    if status is None:
        return "unknown", ""
    word = status.status
    if not instance.policy.statuses.is_gone(word):
        raise DoubtError(f"status {safe_line(word)!r}", last=word)
    return ("under way" if word.lower().endswith("ing") else "gone"), ""


async def named(calls: Calls, instance: Instance, deadline: float) -> PollResult:
    """Return what the key names, `found=False` without a row; raises `DoubtError`."""
    assert instance.key is not None
    key, nobody = instance.key, PollResult(found=False)
    try:
        found = await _unless_unknown(
            lambda: calls.find(key, deadline=deadline), calls, instance, "key", deadline
        )
    except DoubtError as doubt:
        if doubt.code != 422:
            raise
        found = None  # The router says that it can't be a key, such as one of 256 characters.
    if found is None:
        await _check_proof(calls, instance, deadline)
        return nobody
    if found.found and found.instance_id is None:
        raise DoubtError("the router has a row for its key, but names no instance")
    if found.found and not (instance.evidence.asked and instance.owns(found.instance_id)):
        instance.saw_boot(found, calls.io.now())
    return found if found.found else nobody


async def _unless_unknown(
    ask: Callable[[], Awaitable[T]], calls: Calls, instance: Instance, kind: Kind, deadline: float
) -> T | None:
    """Return an answer, None for one that says that there is none; raises `DoubtError`.

    Where that differs from the controls, it is asked for again, beside more of them.
    """
    controls, absent, message = instance.controls, instance.absent, ""
    for _ in range(TRIES):
        try:
            return await conclusive(ask(), NOT_FOUND)
        except RouterError as error:
            message, form = error.message, error.form
            if error.status_code not in NOT_FOUND or form is None:
                raise
        if kind == "key" and not absent.key_404:
            why = "an unknown key was answered otherwise when the run began"
            raise DoubtError(f"{message}: {why}")
        if await conclusive(controls.say_unknown(calls, form, kind, absent, deadline)):
            return None
    what = "an id" if kind == "id" else "a key"
    raise DoubtError(f"{message}: not as {what} that nobody has is answered")


async def _check_proof(calls: Calls, instance: Instance, deadline: float) -> None:
    if not await conclusive(instance.controls.prove_router(calls, deadline)):
        raise DoubtError("it is not found, but nothing proves that the router says so")


async def named_by(calls: Calls, instance: Instance, deadline: float) -> str | None:
    """Return the id that an instance's key names, None if none; raises where nothing is sure."""
    return (await named(calls, instance, deadline)).instance_id


async def conclusive(question: Awaitable[T], passes: frozenset[int] = frozenset()) -> T:
    """Await an answer; raises `DoubtError` for one that proves nothing.

    A refused token, and a refusal of a code that `passes`, are raised unchanged.
    """
    try:
        return await question
    except UnauthorizedError:
        raise
    except ContractError as error:
        doubt = DoubtError(f"{error.message}: expected {error.expected}, got {error.got}")
    except (RouterError, TransportError) as error:
        code = error.status_code if isinstance(error, RouterError) else None
        if code in passes:
            raise
        doubt = DoubtError(error.message)
        doubt.code = code
    raise doubt
