"""What goes over the wire, with the router's own field names.

Answers keep unknown fields (`model_extra`): a new field of the router is a note, not an error.
Known fields are strict: a string where a number belongs is an error. So is a count of LLM events
that does not explain its providers: each that is named has written one of them.
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pytest_hydrasmoke._base.errors import ContractError
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.text import first_few, safe_line

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


def same_id(one: str | None, other: str | None) -> bool:
    """Return whether both name the same instance, in whatever spelling."""
    return one is not None and other is not None and plain_id(one) == plain_id(other)


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


class Rows(NamedTuple):
    """LLM events as they were counted, and the providers that were named with them."""

    number: int = 0
    providers: frozenset[str] = frozenset()


NONE = Rows()


def rows_of(answer: LlmEvents) -> Rows:
    """Return what an answer counts and names."""
    return Rows(answer.count, frozenset(answer.providers))


def explained(now: Rows, before: Rows = NONE) -> bool:
    """Return whether the rows since an earlier count can be those of all names that are new.

    A name may be repeated for each of its rows, so that it counts once.
    """
    return len(now.providers - before.providers) <= max(now.number - before.number, 0)


def check_explained(now: Rows, before: Rows = NONE) -> None:
    """Raise `ContractError` for names that no row explains."""
    if explained(now, before):
        return
    new, added = now.providers - before.providers, max(now.number - before.number, 0)
    since = "" if before == NONE else f" since {before.number} were counted"
    raise ContractError(
        f"llm_events names more providers than it counts LLM events{since}",
        expected=f"no more than {added}: an LLM event of each",
        got=f"{len(new)}: {safe_line(first_few(sorted(new)))}",
        next_step="tell the router's developers: it names others' providers, or leaves out rows",
    )
