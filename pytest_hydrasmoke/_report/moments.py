"""What happened to an instance over and over, and when: requests, phases, counts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

PLAIN = ConfigDict(
    frozen=True,
    # In the schema: what is written has every field.
    json_schema_serialization_defaults_required=True,
)


class Moment(BaseModel):
    """Something that happened to an instance."""

    model_config = PLAIN

    at: float
    """Seconds since the instance's `began`."""


class SpanReport(Moment):
    """A phase, each time that it was gone through; seconds."""

    phase: str
    seconds: float


class ExchangeReport(Moment):
    """A request: answered with a status code, or failed with an error; seconds to the answer."""

    call: str
    method: str
    path: str
    attempt: int
    """From 1; each attempt is a request of its own."""
    seconds: float
    status: int | None
    error: str | None


class CountReport(Moment):
    """The LLM events of the instance's whole life, when their count had changed."""

    count: int
    providers: tuple[str, ...]
