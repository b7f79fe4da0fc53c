"""The contract as the router itself would serve it: FastAPI's document of the six calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from .records import Json
from .requests import PREFIX, SmokeChatRequest, SmokeProvisionRequest

Node = dict[str, Json]


class SmokeProvisionResponse(BaseModel):
    """Answer to provision."""

    idempotency_key: str
    instance_id: str | None = None
    task_id: str


class SmokePollResponse(BaseModel):
    """Answer to poll."""

    found: bool
    instance_id: str | None = None
    status: str | None = None


class SmokeStatusResponse(BaseModel):
    """Answer to status."""

    id: str
    hostname: str | None = None
    status: str


class SmokeLlmEventsResponse(BaseModel):
    """Answer to llm-events."""

    instance_id: str
    count: int
    providers: list[str]
    window_seconds: int


class SmokeDeleteResponse(BaseModel):
    """Answer to delete."""

    instance_id: str
    status: str


class _Operation(NamedTuple):
    method: str
    path: str
    name: str
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    query: tuple[Node, ...] = ()
    description: str | None = None


_ONE = PREFIX + "/instances/{instance_id}"
_WINDOW: Node = {
    "name": "window_seconds",
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "default": 900, "title": "Window Seconds"},
}
_OPERATIONS = (
    _Operation(
        "post",
        PREFIX + "/provision",
        "smoke_provision",
        SmokeProvisionResponse,
        SmokeProvisionRequest,
        description="Provision a smoke instance for the smoke customer.",
    ),
    _Operation(
        "get",
        PREFIX + "/instances/by-key/{idempotency_key}",
        "smoke_poll",
        SmokePollResponse,
        description=(
            "Resolve an idempotency key to an instance id once the worker has inserted the row."
        ),
    ),
    _Operation("get", _ONE, "smoke_status", SmokeStatusResponse),
    _Operation("delete", _ONE, "smoke_delete", SmokeDeleteResponse),
    _Operation(
        "post",
        _ONE + "/chat",
        "smoke_chat",
        None,
        SmokeChatRequest,
        description="One chat turn, streamed as server-sent events from the agent.",
    ),
    _Operation(
        "get",
        _ONE + "/llm-events",
        "smoke_llm_events",
        SmokeLlmEventsResponse,
        query=(_WINDOW,),
        description="Count the instance's llm_usage_events rows within a recent window.",
    ),
)


@cache
def document() -> Node:
    """Return the OpenAPI document."""
    paths: dict[str, Node] = {}
    for operation in _OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "HydraCore smoke router", "version": "1"},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _described(operation: _Operation) -> Node:
    # FastAPI makes an operation id from a function's name and its path in this way.
    name = re.sub(r"\W", "_", operation.name + operation.path)
    node: Node = {
        "summary": operation.name.replace("_", " ").title(),
        "operationId": f"{name}_{operation.method}",
        "parameters": [*_path_parameters(operation.path), *operation.query, _AUTHORIZATION],
        "responses": {
            "200": {"description": "Successful Response", "content": _json(operation.answer)},
            "422": {"description": "Validation Error", "content": _json("HTTPValidationError")},
        },
    }
    if operation.description is not None:
        node["description"] = operation.description
    if operation.body is not None:
        node["requestBody"] = {"required": True, "content": _json(operation.body)}
    return node


def _json(model: type[BaseModel] | str | None) -> Node:
    name = model if isinstance(model, str) or model is None else model.__name__
    schema: Node = {} if name is None else {"$ref": f"#/components/schemas/{name}"}
    return {"application/json": {"schema": schema}}


def _path_parameters(path: str) -> list[Json]:
    found: list[Json] = []
    for name in re.findall(r"{(\w+)}", path):
        schema: Node = {"type": "string", "title": name.replace("_", " ").title()}
        if name == "instance_id":
            schema["format"] = "uuid"
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _schemas() -> Node:
    models = [
        model
        for operation in _OPERATIONS
        for model in (operation.body, operation.answer)
        if model is not None
    ]
    _, schema = models_json_schema([(model, "validation") for model in models])
    made = cast(dict[str, Node], schema["$defs"])
    return {**{name: _as_fastapi_has_it(node) for name, node in made.items()}, **_ERRORS}


def _as_fastapi_has_it(model: Node) -> Node:
    # No description of models, and no null defaults.
    properties = cast(Mapping[str, Node], model["properties"])
    plain = {
        name: {key: value for key, value in node.items() if value is not None}
        for name, node in properties.items()
    }
    return {
        **{key: value for key, value in model.items() if key != "description"},
        "properties": plain,
    }


_AUTHORIZATION: Node = {
    "name": "authorization",
    "in": "header",
    "required": False,
    "schema": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Authorization"},
}
_ERRORS: Node = {
    "HTTPValidationError": {
        "properties": {
            "detail": {
                "items": {"$ref": "#/components/schemas/ValidationError"},
                "type": "array",
                "title": "Detail",
            }
        },
        "type": "object",
        "title": "HTTPValidationError",
    },
    "ValidationError": {
        "properties": {
            "loc": {
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "type": "array",
                "title": "Location",
            },
            "msg": {"type": "string", "title": "Message"},
            "type": {"type": "string", "title": "Error Type"},
            "input": {"title": "Input"},
            "ctx": {"type": "object", "title": "Context"},
        },
        "type": "object",
        "required": ["loc", "msg", "type"],
        "title": "ValidationError",
    },
}
