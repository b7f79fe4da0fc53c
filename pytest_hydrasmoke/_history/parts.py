"""The parts of a report that are read, each with its type and range; the rest is ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_YEAR = 366 * 86_400.0
# Not year 1: with a bound before 1900, pydantic 2.9 refuses every date.
_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
T = TypeVar("T")

Name = Annotated[str, Field(max_length=1_000)]
Words = Annotated[str, Field(max_length=100_000)]
Seconds = Annotated[float, Field(ge=0, le=_YEAR)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Moment = Annotated[AwareDatetime, Field(ge=_FIRST, lt=_LAST)]
"""A time with a valid date in every time zone."""
Many = Annotated[tuple[T, ...], Field(max_length=20_000)]


class Part(BaseModel):
    """A part of a report; fields that are not needed are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class SpecPart(Part):
    manifest_id: Name
    region_id: Name
    tier_id: Name


class SpanPart(Part):
    at: Seconds
    phase: Name
    seconds: Seconds


class UsagePart(Part):
    count: Count
    providers: Annotated[tuple[Name, ...], Field(max_length=100)]


class TokensPart(Part):
    input_tokens: Count = 0
    output_tokens: Count = 0


class FailurePart(Part):
    at: Seconds
    message: Words
    phase: Name | None
    test: Name | None
    cured: bool = False


class InstancePart(Part):
    id: Name | None
    idempotency_key: Name | None
    spec: SpecPart | None
    outcome: Name
    interrupted: Name | None = None
    phases: dict[Name, Seconds]
    tokens: TokensPart = TokensPart()
    untold: Count = 0
    spans: Many[SpanPart]
    usage: Many[UsagePart]
    failures: Many[FailurePart]


class CasePart(Part):
    id: Name
    outcome: Name
    runs: Count | None = None
    passed: Count | None = None
    instances: Many[Name] = ()


class PipelinePart(Part):
    group: Annotated[str, Field(min_length=1, max_length=1_000)]
    job: Name | None = None
    attempt: Count | None = None
    commit: Name | None = None
    branch: Name | None = None
    url: Name | None = None


class ReportPart(Part):
    schema_version: Literal[1, 2]
    run_id: Annotated[str, Field(min_length=1, max_length=1_000)]
    fake: bool
    url: Name
    began: Moment
    exit_code: Annotated[int, Field(ge=-1_000, le=1_000)]
    ended: Words | None = None
    not_run: Count = 0
    pipeline: PipelinePart | None = None
    budgets: dict[Name, Annotated[float, Field(gt=0)]] = {}
    instances: Many[InstancePart]
    tests: Many[CasePart] = ()
