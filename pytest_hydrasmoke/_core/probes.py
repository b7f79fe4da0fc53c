"""Requests for what does not exist: they learn the forms of the router's answers, and prove them.

Each uses a random word, so that no cache between here and the router knows the answer.
"""

from __future__ import annotations

import secrets
import uuid

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.retry import TRANSIENT
from pytest_hydrasmoke._base.errors import (
    ContractError,
    NotFoundError,
    RouterError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.evidence import TAKEN, Form, Forms

__tracebackhide__ = hide_own_frames


async def learn_forms(calls: Calls, deadline: float) -> Forms:
    """Learn how the router answers for what does not exist; raises the errors of the calls."""
    # The key first: its answer shows what is wrong with the URL or the token.
    return Forms(
        unknown_key=await _key_form(calls, deadline),
        missing=await _missing_form(calls, deadline),
        unknown=await _status_form(calls, str(uuid.uuid4()), deadline),
        malformed=await malformed_form(calls, deadline),
    )


async def malformed_form(calls: Calls, deadline: float) -> Form:
    """Learn how a status call with a malformed id is answered; raises the errors of the call."""
    return await _status_form(calls, f"not-a-uuid-{secrets.token_hex(8)}", deadline)


async def _key_form(calls: Calls, deadline: float) -> Form:
    try:
        await calls.find(f"unknown-{secrets.token_hex(8)}", deadline=deadline)
    except NotFoundError as error:
        return _form(error)
    return TAKEN


async def _missing_form(calls: Calls, deadline: float) -> Form:
    try:
        await calls.missing(f"no-such-call-{secrets.token_hex(8)}", deadline=deadline)
    except RouterError as error:
        return _form(error)
    except ContractError:
        return TAKEN


async def _status_form(calls: Calls, unknown: str, deadline: float) -> Form:
    try:
        await calls.status(unknown, deadline=deadline)
    except RouterError as error:
        return _form(error)
    except ContractError:
        return TAKEN  # Any other answer shows that the router took it for an instance's id.
    return TAKEN


def _form(error: RouterError) -> Form:
    """Return the form of a refusal; a transient one has none, and is raised again."""
    if error.status_code in TRANSIENT or error.form is None:
        raise error
    return error.form
