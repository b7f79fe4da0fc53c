"""The router's contract written down in FastAPI: a router that knows no instance.

The fake words its refusals by itself; this is what they are held against.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

TOKEN = "a-token-of-the-twin"


class ProvisionRequest(BaseModel):
    idempotency_key: str = Field(max_length=255)
    manifest_id: str = Field(max_length=100)
    region_id: str = Field(max_length=80)
    tier_id: str = Field(max_length=80)
    agent_name: str | None = None


class ProvisionResponse(BaseModel):
    idempotency_key: str
    instance_id: str | None = None
    task_id: str


class PollResponse(BaseModel):
    found: bool
    instance_id: str | None = None
    status: str | None = None


class StatusResponse(BaseModel):
    id: str
    hostname: str | None = None
    status: str


class ChatRequest(BaseModel):
    message: str = Field(max_length=4000)


class LlmEventsResponse(BaseModel):
    instance_id: str
    count: int
    providers: list[str]
    window_seconds: int


class DeleteResponse(BaseModel):
    instance_id: str
    status: str


app = FastAPI(openapi_url=None)
Authorization = Annotated[str | None, Header()]
PREFIX = "/internal/v1/smoke"
ONE = PREFIX + "/instances/{instance_id}"


def check_token(authorization: str | None) -> None:
    if authorization != f"Bearer {TOKEN}":
        raise HTTPException(401, "Invalid or missing token")


NOT_FOUND = HTTPException(404, "Instance not found")


@app.post(PREFIX + "/provision", response_model=ProvisionResponse)
async def smoke_provision(
    body: ProvisionRequest, authorization: Authorization = None
) -> ProvisionResponse:
    check_token(authorization)
    return ProvisionResponse(idempotency_key=body.idempotency_key, instance_id="i", task_id="t")


@app.get(PREFIX + "/instances/by-key/{idempotency_key}", response_model=PollResponse)
async def smoke_poll(idempotency_key: str, authorization: Authorization = None) -> PollResponse:
    check_token(authorization)
    return PollResponse(found=False)


@app.get(ONE, response_model=StatusResponse)
async def smoke_status(instance_id: UUID, authorization: Authorization = None) -> StatusResponse:
    check_token(authorization)
    raise NOT_FOUND


@app.delete(ONE, response_model=DeleteResponse)
async def smoke_delete(instance_id: UUID, authorization: Authorization = None) -> DeleteResponse:
    check_token(authorization)
    raise NOT_FOUND


@app.post(ONE + "/chat")
async def smoke_chat(
    instance_id: UUID, body: ChatRequest, authorization: Authorization = None
) -> StreamingResponse:
    check_token(authorization)
    raise NOT_FOUND


@app.get(ONE + "/llm-events", response_model=LlmEventsResponse)
async def smoke_llm_events(
    instance_id: UUID, window_seconds: int = 900, authorization: Authorization = None
) -> LlmEventsResponse:
    check_token(authorization)
    raise NOT_FOUND
