"""What goes over the wire, with the router's own field names.

Answers keep unknown fields (`model_extra`): a new field of the router is a note, not an error.
Known fields are strict: a string where a number belongs is an error.
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pytest_hydrasmoke._base.public import public

_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def _uuid(value: str) -> str:
    # The id goes into the path of the next call, and into what is printed.
    if not _UUID.fullmatch(value):
        raise ValueError("should be a UUID")
    return value


InstanceId = Annotated[str, AfterValidator(_uuid)]


def plain_id(instance_id: str) -> str:
    """Return an id as it can be compared: a UUID is the same one in every spelling.

    Routers take it without hyphens, in braces, as a URN, and in any letter case.
    """
    lower = instance_id.lower()
    try:
        return str(uuid.UUID(lower))
    except ValueError:
        return lower  # No router has such an instance.


@public
class InstanceSpec(BaseModel):
    """Say what to provision. Hashable; the router decides whether the values are right."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    manifest_id: str
    """What the agent is made of, such as `hermes-basic`; at most 100 characters."""
    region_id: str
    """Where it runs, such as `eu-central`; at most 80 characters."""
    tier_id: str
    """The product tier's id; at most 80 characters."""
    agent_name: str | None = None
    """The agent's name, or None for the router's choice."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


@public
class ProvisionAccepted(_Answer):
    """Answer to provision: the work is queued."""

    idempotency_key: str
    instance_id: InstanceId | None = None
    """Present, null or absent: the row may not exist yet."""
    task_id: str


@public
class PollResult(_Answer):
    """Answer to poll: whether the key's row exists yet."""

    found: bool
    instance_id: InstanceId | None = None
    status: str | None = None


@public
class InstanceStatus(_Answer):
    """Answer to status."""

    id: InstanceId
    hostname: str | None = None
    """Null before boot."""
    status: str


@public
class LlmEvents(_Answer):
    """Answer to llm-events: the rows counted in the window that ends now."""

    instance_id: InstanceId
    count: Annotated[int, Field(ge=0)]
    providers: tuple[str, ...]
    """In any order, and perhaps several times: the router promises neither."""
    window_seconds: int


@public
class DeleteResult(_Answer):
    """Answer to delete. If the router says that the instance is already gone (404, 409, 410),
    there is no such body: `status` is then `deleted`."""

    instance_id: InstanceId
    status: str
