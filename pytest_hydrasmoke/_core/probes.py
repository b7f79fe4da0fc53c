"""What is asked where there is nothing to be found: to learn the router's forms, and to prove them.

Each asks for a word of its own, so that no cache between here and the router knows the answer.
"""

from __future__ import annotations

import secrets
import uuid

from pytest_hydrasmoke._api.calls import TRANSIENT, Calls
from pytest_hydrasmoke._base.errors import (
    ContractError,
    NotFoundError,
    RouterError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.evidence import TAKEN, Form, Forms

__tracebackhide__ = hide_own_frames


async def learn_forms(calls: Calls, deadline: float) -> Forms:
    """Learn how the router answers where there is nothing; raises what asking raises."""
    # The key first: what is wrong with a URL, or a token, is told there.
    return Forms(
        unknown_key=await _key_form(calls, deadline),
        missing=await _missing_form(calls, deadline),
        unknown=await _status_form(calls, str(uuid.uuid4()), deadline),
        malformed=await malformed_form(calls, deadline),
    )


async def malformed_form(calls: Calls, deadline: float) -> Form:
    """Learn how the status of a word that is no id is answered; raises what asking raises."""
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
        return TAKEN  # With whatever it was answered, it was taken for an instance's.
    return TAKEN


def _form(error: RouterError) -> Form:
    """Return the form of a refusal; one of the moment has none, and is raised again."""
    if error.status_code in TRANSIENT or error.form is None:
        raise error
    return error.form
