"""What is read of a report: each part with its type and its range; the rest is ignored.

Nothing in a report is trusted, and little is kept, since there may be thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, TypeVar
from zlib import crc32

from pydantic import AfterValidator, AliasPath, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.story import BOOT, PHASES
from pytest_hydrasmoke._report.model import NOT_ENDED
from pytest_hydrasmoke._report.parts import SOON
from pytest_hydrasmoke._report.pipeline import web_address

T = TypeVar("T")
_YEAR = 366 * 86_400.0
# Not year 1: with a bound before 1900, pydantic 2.9 refuses every date.
_FIRST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_STRICT = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)


@lru_cache(maxsize=20_000)
def clean(text: str) -> str:
    """Make a name safe on one line; equal names share one object across runs."""
    shown = safe_line(text, 1_000)
    # What is cut off may be all that distinguishes two tests.
    return shown if len(text) <= 1_000 else f"{shown} {crc32(text.encode()):08x}"


Name = Annotated[str, Field(max_length=100_000), AfterValidator(clean)]
"""Of a test, too, which has a parameter's whole text in it."""
OwnName = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(clean)]
Compared = Annotated[str, Field(max_length=1_000)]
"""A word that is never shown, and needs no cleaning."""
Word = Annotated[Name | None, AfterValidator(lambda text: text or None)]
FirstLine = Annotated[
    str,
    Field(max_length=100_000),
    AfterValidator(lambda text: safe_line(text.strip().partition("\n")[0])),
]
Seconds = Annotated[float, Field(ge=0, le=_YEAR)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Many = Annotated[tuple[T, ...], Field(max_length=20_000)]
WallTime = Annotated[
    AwareDatetime,
    Field(ge=_FIRST, lt=_LAST),
    AfterValidator(lambda at: at.astimezone(UTC)),
]
"""A time with a valid date in every time zone."""


class Spec(BaseModel, frozen=True):
    """What agents were made of, and where."""

    model_config = ConfigDict(
        strict=True, populate_by_name=True, json_schema_serialization_defaults_required=True
    )

    region: Name = Field(validation_alias="region_id")
    tier: Name = Field(validation_alias="tier_id")
    manifest: Name = Field(validation_alias="manifest_id")
    router: Name | None = None
    """The router's URL where the reports are of several; None where they are of one."""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.region, self.tier, self.manifest, self.router)))


@lru_cache(maxsize=20_000)
def _once(it: T) -> T:
    """Keep what is equal in thousands of runs once."""
    return it


@lru_cache(maxsize=20_000)
def _at(spec: Spec, router: str) -> Spec:
    return spec.model_copy(update={"router": router})


_NO_SPEC = Spec(region="", tier="", manifest="")


@dataclass(config=_STRICT, frozen=True, slots=True)
class Span:
    at: Seconds
    phase: Compared
    seconds: Seconds


@dataclass(config=_STRICT, frozen=True, slots=True)
class PastFailure:
    at: Seconds
    message: FirstLine
    phase: Compared | None
    test: Word
    cured: bool = False


class Leak(NamedTuple):
    """An instance whose deletion was not confirmed."""

    key: str | None
    id: str | None
    run_id: str


@dataclass(config=_STRICT, frozen=True, slots=True)
class Boot:
    """An instance: its spec, and how it went."""

    id: Word
    idempotency_key: Word
    spec: Annotated[Spec | None, AfterValidator(_once)]
    outcome: Compared
    spans: Many[Span]
    failures: Many[PastFailure]
    ready_after: Seconds | None = Field(default=None, validation_alias=AliasPath("phases", "ready"))
    """The longest of its phase `ready`; None if it never was ready."""
    run_id: Word = None
    """The run that a sweep knows it by; None for the run of its report."""
    interrupted: Compared | None = None
    models: Many[Name] = ()
    """Those that answered its chats."""
    input_tokens: Count = Field(default=0, validation_alias=AliasPath("tokens", "input_tokens"))
    output_tokens: Count = Field(default=0, validation_alias=AliasPath("tokens", "output_tokens"))

    @property
    def lost(self) -> bool:
        """Whether a phase before ready failed."""
        return any(failure.phase in BOOT for failure in self.failures)

    @property
    def ready(self) -> float | None:
        return None if self.interrupted or self.lost else self.ready_after

    @property
    def whole_spans(self) -> Iterator[Span]:
        """The phases that came to a good end: the time of another one shows a timeout."""
        for span in self.spans:
            if span.phase in PHASES and span.phase != self.interrupted and not self._failed(span):
                yield span

    def _failed(self, span: Span) -> bool:
        end = span.at + span.seconds
        return any(it.phase == span.phase and abs(it.at - end) < SOON for it in self.failures)


@dataclass(config=_STRICT, frozen=True, slots=True)
class PastTest:
    """A test's outcome in one run."""

    id: Name
    outcome: Compared
    runs: Count | None = None
    """How often its body was run, with the marker `hydra_smoke_runs`."""
    passed: Count | None = None
    instances: Many[Name] = ()

    @property
    def is_green(self) -> bool:
        return self.outcome in ("passed", "xfailed", "xpassed")

    @property
    def is_red(self) -> bool:
        return self.outcome in ("failed", "error")


@dataclass(config=_STRICT, frozen=True, slots=True)
class Pipeline:
    """The pipeline run that a run belongs to."""

    group: OwnName
    job: Word = None
    attempt: Count | None = None
    commit: Word = None
    branch: Word = None
    url: Annotated[Name | None, AfterValidator(web_address)] = None


@dataclass(config=_STRICT, frozen=True, slots=True)
class PastRun:
    """A run that is over, as far as the history needs it."""

    schema_version: Literal[3]
    run_id: OwnName
    fake: bool
    url: Name
    began: WallTime
    exit_code: Annotated[int, Field(ge=-1_000, le=1_000)]
    boots: Many[Boot] = Field(validation_alias="instances")
    cases: Many[Annotated[PastTest, AfterValidator(_once)]] = Field(
        default=(), validation_alias="tests"
    )
    ended: Word = None
    """What ended it before its tests were over."""
    not_run: Count = 0
    """How many of its tests it had not begun."""
    pipeline: Pipeline | None = None
    budgets: dict[Name, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)

    @property
    def of(self) -> Pipeline:
        """Its pipeline run; a run that knows none is one by itself."""
        return self.pipeline or Pipeline(group=self.run_id)

    @property
    def is_red(self) -> bool:
        """Whether anything in its report is red: another plugin may have set the exit code."""
        failed = any(case.is_red for case in self.cases)
        unfinished = self.not_run > 0 or self.ended == NOT_ENDED
        return self.exit_code != 0 or failed or unfinished or bool(self.leaks)

    @property
    def leaks(self) -> tuple[Leak, ...]:
        return tuple(self.leak_of(boot) for boot in self.boots if boot.outcome == "leaked")

    def leak_of(self, boot: Boot) -> Leak:
        """Return what an instance is called if it is leaked."""
        return Leak(boot.idempotency_key, boot.id, boot.run_id or self.run_id)

    @property
    def tests(self) -> frozenset[str]:
        return frozenset(case.id for case in self.cases if case.is_green or case.is_red)

    @property
    def begun(self) -> frozenset[str]:
        """Its tests, with those that were interrupted."""
        return frozenset(case.id for case in self.cases if case.outcome != "skipped")

    @property
    def specs(self) -> frozenset[Spec]:
        return frozenset(map(self.spec_of, self.boots))

    def spec_of(self, boot: Boot) -> Spec:
        """Return an instance's spec with its router; the fake's port differs in each run."""
        return _at(boot.spec or _NO_SPEC, "" if self.fake else self.url.rstrip("/"))

    def specs_of(self, case: PastTest) -> frozenset[Spec]:
        """Return the specs of a test's instances; of all in the run if it used none."""
        names = {boot.idempotency_key or boot.id: boot for boot in self.boots}
        used = frozenset(self.spec_of(names[it]) for it in case.instances if it in names)
        return used or self.specs

    def words_of(self, case: PastTest) -> str | None:
        """Return the first line of a test's last failure, if it has one."""
        failures = [it for boot in self.boots for it in boot.failures if it.test == case.id]
        return failures[-1].message if failures else None

    def is_cured(self, case: PastTest) -> bool:
        """Return whether a test failed first, and passed when it was run again."""
        failures = (failure for boot in self.boots for failure in boot.failures)
        return case.is_green and any(it.cured and it.test == case.id for it in failures)


def worse(one: PastRun, other: PastRun) -> PastRun:
    """Return what two reports tell of one run: the red one, with the leaks of both."""
    red = max(one, other, key=lambda run: (run.is_red, run.exit_code != 0, len(run.leaks)))
    calm = other if red is one else one
    known = set(red.leaks)
    more = [
        boot for boot in calm.boots if boot.outcome == "leaked" and calm.leak_of(boot) not in known
    ]
    return replace(red, boots=(*red.boots, *more))


class Found(NamedTuple):
    """What was found: runs, and a line for each file that is left out."""

    runs: list[PastRun]
    skipped: list[str]
    unread: list[str]
    """Those that may hide a report: named as one, damaged, or out of reach."""
