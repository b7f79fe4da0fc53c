"""The router's contract written down in FastAPI, with a small memory of its own.

The fake words its answers by itself; this is what they are held against. Ids are random, so the
twin asks for those that the fake has given; whatever is said about them is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from pytest_hydrasmoke.fake import FakeRouter

TOKEN = "a-token-of-the-twin"
PREFIX = "/internal/v1/smoke"
ONE = PREFIX + "/instances/{instance_id}"


class SmokeProvisionRequest(BaseModel):
    idempotency_key: str = Field(max_length=255)
    manifest_id: str = Field(max_length=100)
    region_id: str = Field(max_length=80)
    tier_id: str = Field(max_length=80)
    agent_name: str | None = None


class SmokeProvisionResponse(BaseModel):
    idempotency_key: str
    instance_id: str | None = None
    task_id: str


class SmokePollResponse(BaseModel):
    found: bool
    instance_id: str | None = None
    status: str | None = None


class SmokeStatusResponse(BaseModel):
    id: str
    hostname: str | None = None
    status: str


class SmokeChatRequest(BaseModel):
    message: str = Field(max_length=4000)


class SmokeLlmEventsResponse(BaseModel):
    instance_id: str
    count: int
    providers: list[str]
    window_seconds: int


class SmokeDeleteResponse(BaseModel):
    instance_id: str
    status: str


@dataclass
class Row:
    """An instance: ready from its first moment, and not found once it is deleted."""

    id: str
    task_id: str
    hostname: str | None
    chats: int = 0
    deleted: bool = False


def row_of(router: FakeRouter, key: str) -> Row:
    """Give the row of an instance that a fake has just made."""
    made = next(it for it in router.instances if it.idempotency_key == key)
    return Row(made.id, made.task_id, made.hostname)


Authorization = Annotated[str | None, Header()]


def check_token(authorization: str | None) -> None:
    if authorization != f"Bearer {TOKEN}":
        raise HTTPException(401, "Invalid or missing token")


def build(ids: Callable[[str], Row]) -> FastAPI:
    """Make a twin; `ids` gives a new row for an idempotency key."""
    app = FastAPI(title="HydraCore smoke router", version="1", docs_url=None, redoc_url=None)
    rows: dict[str, Row] = {}

    def found(instance_id: UUID) -> Row:
        for row in rows.values():
            if row.id == str(instance_id) and not row.deleted:
                return row
        raise HTTPException(404, "Instance not found")

    @app.post(PREFIX + "/provision", response_model=SmokeProvisionResponse)
    async def smoke_provision(
        body: SmokeProvisionRequest, authorization: Authorization = None
    ) -> SmokeProvisionResponse:
        """Provision a smoke instance for the smoke customer."""
        check_token(authorization)
        key = body.idempotency_key
        row = rows.get(key) or rows.setdefault(key, ids(key))
        return SmokeProvisionResponse(idempotency_key=key, instance_id=row.id, task_id=row.task_id)

    @app.get(PREFIX + "/instances/by-key/{idempotency_key}", response_model=SmokePollResponse)
    async def smoke_poll(
        idempotency_key: str, authorization: Authorization = None
    ) -> SmokePollResponse:
        """Resolve an idempotency key to an instance id once the worker has inserted the row."""
        check_token(authorization)
        row = rows.get(idempotency_key)
        if row is None or row.deleted:
            return SmokePollResponse(found=False)
        return SmokePollResponse(found=True, instance_id=row.id, status="running")

    @app.get(ONE, response_model=SmokeStatusResponse)
    async def smoke_status(
        instance_id: UUID, authorization: Authorization = None
    ) -> SmokeStatusResponse:
        check_token(authorization)
        row = found(instance_id)
        return SmokeStatusResponse(id=row.id, hostname=row.hostname, status="running")

    @app.delete(ONE, response_model=SmokeDeleteResponse)
    async def smoke_delete(
        instance_id: UUID, authorization: Authorization = None
    ) -> SmokeDeleteResponse:
        check_token(authorization)
        for row in rows.values():
            if row.id == str(instance_id) and row.deleted:
                raise HTTPException(404, "Instance already deleted")
        row = found(instance_id)
        row.deleted = True
        return SmokeDeleteResponse(instance_id=row.id, status="deleted")

    @app.post(ONE + "/chat")
    async def smoke_chat(
        instance_id: UUID, body: SmokeChatRequest, authorization: Authorization = None
    ) -> StreamingResponse:
        """One chat turn, streamed as server-sent events from the agent."""
        check_token(authorization)
        found(instance_id).chats += 1
        return StreamingResponse(iter(["data: ready\n\n"]), media_type="text/event-stream")

    @app.get(ONE + "/llm-events", response_model=SmokeLlmEventsResponse)
    async def smoke_llm_events(
        instance_id: UUID, window_seconds: int = 900, authorization: Authorization = None
    ) -> SmokeLlmEventsResponse:
        """Count the instance's llm_usage_events rows within a recent window."""
        check_token(authorization)
        row = found(instance_id)
        count = row.chats if window_seconds >= 0 else 0
        return SmokeLlmEventsResponse(
            instance_id=row.id,
            count=count,
            providers=["anthropic"] if count else [],
            window_seconds=window_seconds,
        )

    return app
