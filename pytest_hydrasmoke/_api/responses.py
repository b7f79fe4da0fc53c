"""What an answer says, for better or worse: a model, or the error that its words amount to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar, cast
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RejectedError,
    RouterError,
    TransportError,
    TransportTimeoutError,
    UnauthorizedError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.evidence import form_of
from pytest_hydrasmoke._base.text import safe_line, safe_text
from pytest_hydrasmoke._transport.protocol import Reply, Request

__tracebackhide__ = hide_own_frames

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], request: Request, reply: Reply) -> M:
    """Read an answer; raises `ContractError` that names call, field, expected and got."""
    if reply.status == 204:
        raise unexpected_success(request, reply)
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    expected: list[str] = []
    got: list[str] = []
    for fault in faults[:3]:
        field = ".".join(map(str, fault["loc"])) or "body"
        expected.append(f"{field}: {_wanted(fault['type'], fault['msg'])}")
        if fault["type"] == "missing":
            got.append("no such field")
        else:
            value: object = fault["input"]
            body = value.decode("utf-8", "replace") if isinstance(value, bytes) else None
            got.append(safe_line(repr(value) if body is None else body) or "nothing")
    raise ContractError(
        f"{request.call} answered against the router's contract",
        expected="; ".join(expected),
        got="; ".join(got),
        next_step="compare the router's /openapi.json with the contract: "
        "either the router has changed, or something else answers at this URL",
    )


def _wanted(kind: str, message: str) -> str:
    if kind == "missing":
        return "present"
    if kind == "json_invalid":
        return "a JSON object"
    return message.removeprefix("Value error, ").removeprefix("Input should be ")


def failure(request: Request, result: object, attempts: int) -> HydraSmokeError:
    """Turn the last outcome of a call that is given up into its error."""
    tries = "" if attempts == 1 else f" ({attempts} attempts)"
    if isinstance(result, TransportError):
        kind = TransportTimeoutError if result.late else TransportError
        usual = (
            "see the router's log of this moment"
            if result.reached
            else "check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"
        )
        return kind(
            f"{request.call}: {result.message}{tries}",
            reached=result.reached,
            next_step=result.next_step or usual,
            permanent=result.permanent,
        )
    assert isinstance(result, Reply)
    error = (
        unexpected_success(request, result)
        if result.status < 300
        else refusal(request, result, tries)
    )
    error.answer = result
    return error


def unexpected_success(request: Request, reply: Reply) -> ContractError:
    """Name a success code that the contract does not know for this call."""
    return ContractError(
        f"{request.call} answered with a success code that has no answer in it",
        expected="200",
        got=str(reply.status),
        next_step="find out what answers at this URL",
    )


def refusal(request: Request, reply: Reply, tries: str = "") -> RouterError:
    """Turn an error answer into its error, the router's `detail` made safe to print."""
    status, detail = reply.status, detail_of(reply.body)
    kinds: dict[int, type[RouterError]] = {
        401: UnauthorizedError,
        403: UnauthorizedError,
        404: NotFoundError,
        422: RejectedError,
    }
    brief = f": {detail}" if detail else ""
    return kinds.get(status, RouterError)(
        f"{request.call} was refused with {status}{tries}{brief}",
        status_code=status,
        detail=detail,
        form=form_of(status, reply.headers.get("content-type", ""), reply.body, asked_for(request)),
        next_step=_advice(request, reply),
    )


def asked_for(request: Request) -> str:
    """Return the last word of a request's path: the id or key that it asks for."""
    return unquote(request.path.partition("?")[0].rpartition("/")[2])


def _advice(request: Request, reply: Reply) -> str:
    status = reply.status
    if status in (401, 403):
        return "check HYDRA_SMOKE_TOKEN (else OPS_BEARER_TOKEN): is it this environment's token?"
    if status == 404 and request.call == "provision":
        return (
            "check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps a prefix "
            "such as /api"
        )
    if status == 404:
        return (
            "the instance has no row yet, was deleted, or belongs to another customer: wait until "
            "it is ready, or check its id"
        )
    if status == 422:
        return "correct the fields named above"
    if 300 <= status < 400:
        to = safe_line(reply.headers.get("location", "an unnamed place"))
        return f"set HYDRA_SMOKE_URL to where this leads ({to}): redirects would carry the token"
    if status in (429, 503):
        wanted = asked_pause(reply)
        ahead = "" if wanted is None else f", and asks to wait {wanted:.0f} s"
        return f"the router is busy{ahead}: try again later, or raise the deadline"
    if status == 501:  # As the fake answers what was not recorded.
        return "in a replay run the command that its words name, else see the router's log"
    return "see the router's log of this moment"


def detail_of(body: bytes) -> str:
    """Return an error body's words: `detail`, with a line for each field, else the text itself."""
    text = body.decode("utf-8", "replace")
    try:
        parsed: object = json.loads(text)
    except (ValueError, RecursionError):
        return safe_line(text)
    detail: object = parsed
    if isinstance(parsed, dict):
        detail = cast("dict[str, object]", parsed).get("detail", text)
    if isinstance(detail, list):
        return "\n".join(_field_line(entry) for entry in cast("list[object]", detail)[:10])
    if detail is None:
        return ""
    return safe_text(detail if isinstance(detail, str) else _json(detail))


def _field_line(entry: object) -> str:
    if not isinstance(entry, dict):
        return safe_line(_json(entry))
    fields = cast("dict[str, object]", entry)
    loc = fields.get("loc")
    where = ".".join(map(str, cast("list[object]", loc))) if isinstance(loc, list) else "?"
    return safe_line(f"{where}: {fields.get('msg', '?')}")


def _json(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:  # Writing it goes a little deeper than reading it.
        return "(nested too deeply)"


def asked_pause(reply: Reply) -> float | None:
    """Return the seconds that an answer's `Retry-After` asks for, if it has a usable one."""
    return retry_after(reply.headers.get("retry-after"), datetime.now(UTC))


def retry_after(header: str | None, now: datetime) -> float | None:
    """Read a `Retry-After`, in seconds or as an HTTP date, as seconds from `now`."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - now).total_seconds(), 0.0)
