"""Validate requests, with FastAPI's error messages.

The models mirror FastAPI's names of a location: `path`, `query` and `body`, checked together and in
that order, so that pydantic's own list of errors is the list in the answer.
"""

from __future__ import annotations

import hmac
import json
from email.message import Message
from typing import Annotated, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from .records import Json

PREFIX = "/internal/v1/smoke"
"""Prefix of the paths of the six calls."""


class SmokeProvisionRequest(BaseModel):
    idempotency_key: Annotated[str, Field(max_length=255)]
    manifest_id: Annotated[str, Field(max_length=100)]
    region_id: Annotated[str, Field(max_length=80)]
    tier_id: Annotated[str, Field(max_length=80)]
    agent_name: str | None = None


class SmokeChatRequest(BaseModel):
    message: Annotated[str, Field(max_length=4000)]


class InstancePath(BaseModel):
    """Path of the calls on one instance; every spelling of a UUID that pydantic accepts."""

    instance_id: UUID


class KeyPath(BaseModel):
    idempotency_key: str


class LlmEventsQuery(BaseModel):
    window_seconds: int = 900


class ProvisionCall(BaseModel):
    body: SmokeProvisionRequest


class PollCall(BaseModel):
    path: KeyPath


class InstanceCall(BaseModel):
    path: InstancePath

    @property
    def instance_id(self) -> str:
        return str(self.path.instance_id)


class ChatCall(InstanceCall):
    body: SmokeChatRequest


class LlmEventsCall(InstanceCall):
    query: LlmEventsQuery


Call = TypeVar("Call", bound=BaseModel)


class InvalidRequestError(HTTPException):
    """Raised when a request breaks the contract; `errors` are the entries of `detail`."""

    def __init__(self, errors: list[dict[str, object]]) -> None:
        super().__init__(422)
        self.errors = errors


def accepted(kind: type[Call], request: Request, raw: bytes) -> Call:
    """Return a request as a call; raises `HTTPException`."""
    parts: dict[str, object] = {"path": request.path_params, "query": dict(request.query_params)}
    if raw and "body" in kind.model_fields:
        parts["body"] = _parsed(raw, request.headers.get("content-type"))
    try:
        return kind.model_validate(parts, from_attributes=True)
    except ValidationError as problem:
        found = problem.errors(include_url=False)
    # FastAPI gives the input null for a missing part; pydantic gives our mapping of parts.
    raise InvalidRequestError(
        [
            {**error, "input": None}
            if error["type"] == "missing" and len(error["loc"]) == 1
            else {**error}
            for error in found
        ]
    )


def _parsed(raw: bytes, content_type: str | None) -> Json | bytes:
    """Parse a non-empty body: as JSON if the header says so, else return the bytes."""
    if not _says_json(content_type):
        return raw
    try:
        value: Json = json.loads(raw)
    except json.JSONDecodeError as problem:
        error: dict[str, object] = {
            "type": "json_invalid",
            "loc": ("body", problem.pos),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": problem.msg},
        }
        raise InvalidRequestError([error]) from None
    except (ValueError, RecursionError):  # Not UTF-8, a number of 5,000 digits, 5,000 brackets
        raise HTTPException(400, "There was an error parsing the body") from None
    return value


def bears(headers: Headers, token: str) -> bool:
    given = headers.get("authorization", "").encode("latin-1")
    return hmac.compare_digest(given, f"Bearer {token}".encode())


def answer_refused(request: Request, refusal: Exception) -> Response:
    """Return an `HTTPException` in FastAPI's form; Starlette's own is plain text."""
    assert isinstance(refusal, HTTPException)
    detail: object = refusal.detail
    try:
        if isinstance(refusal, InvalidRequestError):
            detail = [{**error, "input": _printable(error["input"])} for error in refusal.errors]
        return JSONResponse({"detail": detail}, refusal.status_code, refusal.headers)
    except ValueError:  # NaN, a lone surrogate, bytes that are no UTF-8: JSON can't hold them.
        return PlainTextResponse("Internal Server Error", 500)


def _printable(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def _says_json(content_type: str | None) -> bool:
    if not content_type:
        return False
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    is_json = subtype == "json" or subtype.endswith("+json")
    return message.get_content_maintype() == "application" and is_json
