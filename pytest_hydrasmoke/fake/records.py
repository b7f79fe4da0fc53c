"""What the fake remembers, as frozen values that anyone may keep and compare."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
else:
    # A recursive alias can be resolved only in this module.
    Json = object

Route = Literal["provision", "poll", "status", "chat", "llm_events", "delete"]
Progress = Literal["running", "done"]

SPEC = ("manifest_id", "region_id", "tier_id", "agent_name")

T = TypeVar("T", bound=type)


def public(kind: T) -> T:
    """Name a class after the package, in tracebacks, reprs and documentation."""
    # Resolve annotations now: later, they would be looked up in the module named here.
    kind.__annotations__ = inspect.get_annotations(kind, eval_str=True)
    kind.__module__ = kind.__module__.rpartition(".")[0]
    return kind


@dataclass(frozen=True, slots=True)
class Ordered:
    """What never changes of an instance."""

    id: str
    idempotency_key: str
    task_id: str
    manifest_id: str
    region_id: str
    tier_id: str
    agent_name: str | None

    @property
    def spec(self) -> Mapping[str, str]:
        """What was ordered, without what was not given."""
        given = {name: getattr(self, name) for name in SPEC}
        return {name: value for name, value in given.items() if value is not None}


@public
@dataclass(frozen=True, slots=True)
class FakeInstance(Ordered):
    """An instance as it stood at one moment; times are the clock's seconds."""

    status: str | None
    """The status word that a caller would get now; None while no worker has inserted the row."""
    hostname: str | None
    ready: bool
    """Whether a chat turn would be accepted now."""
    deleted: bool
    task: Progress
    """The state of the task that inserts the row."""
    child_rows: tuple[str, ...]
    """Dependent resources of the row, by kind; a delete removes them."""
    cleanup: Progress | None
    """The state of the provider's clean-up; None while the instance is not deleted."""
    provisioned_at: float
    created_at: float | None
    """When the row appears, or appeared; None for a row that never does."""
    ready_at: float | None
    """When the agent first accepts a chat; None for a boot that never gets there."""
    deleted_at: float | None


TELLING = frozenset({"traceparent", "tracestate", "user-agent", "x-smoke-run-id"})
"""The headers that a record keeps: none of them is secret."""


@public
@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request that arrived, in order of arrival."""

    method: str
    path: str
    """Decoded, without the world's own prefix and without the query."""
    query: str
    route: Route | None
    """None where no route matched: an unknown path, a wrong method."""
    status: int | None
    """The status code; None for a dropped request, and for one not answered yet."""
    body: Json
    """The parsed JSON; None without a body, or for one that does not parse."""
    at: float
    headers: dict[str, str] = field(default_factory=dict[str, str], hash=False)
    """Those by which a request is found in logs and traces, by names in lower case."""


@public
@dataclass(frozen=True, slots=True)
class LlmEvent:
    """A row of `llm_usage_events`."""

    instance_id: str
    provider: str
    at: float
    """When the row was written: the end of its turn, plus the scenario's lag."""
