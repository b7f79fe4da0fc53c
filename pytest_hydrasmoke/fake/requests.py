"""Validate requests, with FastAPI's error messages.

The models mirror FastAPI's names of a location: `path`, `query` and `body`, checked together and in
that order, so that pydantic's own list of errors is the list in the answer.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
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
    """Body of provision."""

    idempotency_key: Annotated[str, Field(max_length=255)]
    manifest_id: Annotated[str, Field(max_length=100)]
    region_id: Annotated[str, Field(max_length=80)]
    tier_id: Annotated[str, Field(max_length=80)]
    agent_name: str | None = None


class SmokeChatRequest(BaseModel):
    """Body of chat."""

    message: Annotated[str, Field(max_length=4000)]


class InstancePath(BaseModel):
    """Path of the calls on one instance; every spelling of a UUID that pydantic accepts."""

    instance_id: UUID


class KeyPath(BaseModel):
    """Path of poll."""

    idempotency_key: str


class LlmEventsQuery(BaseModel):
    """Query of llm-events."""

    window_seconds: int = 900


class ProvisionCall(BaseModel):
    """A request to provision."""

    body: SmokeProvisionRequest


class PollCall(BaseModel):
    """A request to poll."""

    path: KeyPath


class InstanceCall(BaseModel):
    """A request for an instance's status, or to delete it."""

    path: InstancePath


class ChatCall(BaseModel):
    """A request for a chat turn."""

    path: InstancePath
    body: SmokeChatRequest


class LlmEventsCall(BaseModel):
    """A request to count LLM events."""

    path: InstancePath
    query: LlmEventsQuery


Call = TypeVar("Call", bound=BaseModel)


class InvalidRequestError(Exception):
    """Raised when a request breaks the contract; `errors` are the entries of `detail`."""

    def __init__(self, errors: list[dict[str, object]]) -> None:
        super().__init__(errors)
        self.errors = errors


def check(kind: type[Call], parts: Mapping[str, object]) -> Call:
    """Validate a request's parts, where a missing part was not sent, and return its call.

    Raises `InvalidRequestError`.
    """
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


def parse(raw: bytes, content_type: str | None) -> Json | bytes:
    """Parse a non-empty body: as JSON if the header says so, else return the bytes.

    Raises `InvalidRequestError` for broken JSON, and `HTTPException` for what can't be decoded.
    """
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
    """Return whether a request has the token."""
    given = headers.get("authorization", "").encode("latin-1")
    return hmac.compare_digest(given, f"Bearer {token}".encode())


def answer_invalid(problem: InvalidRequestError) -> Response:
    """Return the 422, or FastAPI's 500 where JSON can't hold what was sent."""
    try:
        detail = [{**error, "input": _printable(error["input"])} for error in problem.errors]
        return JSONResponse({"detail": detail}, 422)
    except ValueError:  # NaN, a lone surrogate, bytes that are no UTF-8
        return PlainTextResponse("Internal Server Error", 500)


def answer_refused(request: Request, refusal: Exception) -> Response:
    """Return an `HTTPException` in FastAPI's form; Starlette's own is plain text."""
    assert isinstance(refusal, HTTPException)
    return JSONResponse({"detail": refusal.detail}, refusal.status_code, refusal.headers)


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
