"""One look at an instance and its key: what the router says of them, as far as it proves anything.

`_base.evidence` says in which form an answer counts. The forms are learned, and proved, by requests
for what does not exist; each of these uses a random word, so that no cache between here and the
router knows the answer. Written once for sync and async: see `_transport.protocol`.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Awaitable
from typing import TypeVar

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceStatus, PollResult, same_id
from pytest_hydrasmoke._api.retry import TRANSIENT
from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base.evidence import TAKEN, Form, Forms
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import MOST_WORD, Hosted

from .instance import Instance
from .proof import Look, Says

T = TypeVar("T")


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
    hostname = (status.hostname or "")[:MOST_WORD]
    if hostname and hostname != instance.hostname:
        instance.note(Hosted(hostname))
    return status


async def look(calls: Calls, instance: Instance, instance_id: str, deadline: float) -> Look:
    """Ask for the status of an instance and what its key names: one look."""
    try:
        says, why, sure = await _status(calls, instance, instance_id, deadline)
        found = await named(calls, instance, deadline)
        if not sure and found.instance_id is not None:
            # The key's answer does not say that it is gone, and proves the path of keys alone.
            await _check_proof(calls, instance, deadline)
    except DoubtError as doubt:
        alive: Says = "nothing" if doubt.last is None else "alive"
        return Look(calls.io.now(), alive, doubt.message)
    named_id, word = found.instance_id, found.status
    same = same_id(named_id, instance_id)
    if says == "unknown" and same and instance.policy.statuses.is_ready(word):
        says, why = "contradiction", f"as {safe_line(str(word))!r}"
    return Look(calls.io.now(), says, why, named_id)


async def _status(
    calls: Calls, instance: Instance, instance_id: str, deadline: float
) -> tuple[Says, str, bool]:
    """Return what the status says, why, and whether it is certain that the router says so."""
    question = status_of(calls, instance, instance_id, deadline=deadline)
    try:
        status = await conclusive(question)
    except NotFoundError as error:
        return "unknown", "", _check_form(error, instance)
    word = status.status
    if not instance.policy.statuses.is_gone(word):
        raise DoubtError(f"status {safe_line(word)!r}", last=word)
    return ("under way" if word.lower().endswith("ing") else "gone"), "", True


async def named(calls: Calls, instance: Instance, deadline: float) -> PollResult:
    """Return what the key names, `found=False` without a row; raises `DoubtError`."""
    assert instance.key is not None
    try:
        found = await conclusive(calls.find(instance.key, deadline=deadline))
    except NotFoundError as error:
        _check_form(error, instance, key=True)
    except DoubtError as doubt:
        if (
            doubt.code != 422
        ):  # The router says that it can't be a key, such as one of 256 characters.
            raise
    else:
        if found.found and found.instance_id is None:
            raise DoubtError("the router has a row for its key, but names no instance")
        if found.found and not (instance.evidence.asked and instance.owns(found.instance_id)):
            instance.saw_boot(found, calls.io.now())
        return found if found.found else PollResult(found=False)
    await _check_proof(calls, instance, deadline)
    return PollResult(found=False)


def _check_form(error: NotFoundError, instance: Instance, *, key: bool = False) -> bool:
    """Check the form of a "not found"; return whether its words prove that it is the router's."""
    forms = instance.policy.router.forms
    if forms is None or error.form is None or not forms.says_unknown(error.form, key=key):
        raise DoubtError(f"{error.message}: not in the router's own form")
    return forms.has_own_words(error.form)


async def _check_proof(calls: Calls, instance: Instance, deadline: float) -> None:
    form = await conclusive(malformed_form(calls, deadline))
    forms = instance.policy.router.forms
    if forms is None or not forms.is_routers(form):
        raise DoubtError("it is not found, but nothing proves that the router says so")


async def named_by(calls: Calls, instance: Instance, deadline: float) -> str | None:
    """Return the id that an instance's key names, None if none; raises where nothing is sure."""
    return (await named(calls, instance, deadline)).instance_id


async def conclusive(question: Awaitable[T]) -> T:
    """Await an answer; raises `DoubtError` for one that proves nothing.

    Passes on a refused token and "not found" unchanged.
    """
    try:
        return await question
    except (UnauthorizedError, NotFoundError):
        raise
    except ContractError as error:
        doubt = DoubtError(f"{error.message}: expected {error.expected}, got {error.got}")
    except (RouterError, TransportError) as error:
        doubt = DoubtError(error.message)
        doubt.code = error.status_code if isinstance(error, RouterError) else None
    raise doubt


# What does not exist


async def learn_forms(calls: Calls, deadline: float) -> Forms:
    """Learn how the router answers for what does not exist; raises the errors of the calls."""
    # The key first: its answer shows what is wrong with the URL or the token.
    stranger = TAKEN
    try:
        await calls.find(_unknown(), deadline=deadline)
        unknown_key = TAKEN
    except NotFoundError as error:
        unknown_key = _form(error)
    word = f"no-such-call-{secrets.token_hex(8)}"
    missing = await _form_of(calls.missing(word, deadline=deadline))
    if unknown_key != TAKEN and unknown_key.digest == missing.digest:
        stranger = await _form_of(calls.find(_unknown(), deadline=deadline, anonymous=True))
    return Forms(
        unknown_key=unknown_key,
        missing=missing,
        stranger=stranger,
        unknown=await _form_of(calls.status(str(uuid.uuid4()), deadline=deadline)),
        malformed=await malformed_form(calls, deadline),
    )


def _unknown() -> str:
    return f"unknown-{secrets.token_hex(8)}"


async def malformed_form(calls: Calls, deadline: float) -> Form:
    """Learn how a status call with a malformed id is answered; raises the errors of the call."""
    word = f"not-a-uuid-{secrets.token_hex(8)}"
    return await _form_of(calls.status(word, deadline=deadline))


async def _form_of(question: Awaitable[object]) -> Form:
    try:
        await question
    except RouterError as error:
        return _form(error)
    except ContractError:
        pass  # Any other answer shows that the router took it for what there is.
    return TAKEN


def _form(error: RouterError) -> Form:
    """Return the form of a refusal; a transient one has none, and is raised again."""
    if error.status_code in TRANSIENT or error.form is None:
        raise error
    return error.form
