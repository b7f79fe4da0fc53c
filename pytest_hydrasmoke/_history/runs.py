"""What is read of a report: few of its parts, each with its type and its range.

A report is another job's artifact. Nothing in it is trusted: who shows a text makes it harmless.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import AfterValidator, AliasPath, AwareDatetime, ConfigDict, Field
from pydantic.dataclasses import dataclass

from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke._report.model import NOT_ENDED
from pytest_hydrasmoke._report.parts import SOON
from pytest_hydrasmoke._report.pipeline import web_address

T = TypeVar("T")
_STRICT = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, populate_by_name=True)
_FIRST, _LAST = datetime(2025, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""No run is older than this package, and each time has a date in every time zone."""
Word = Annotated[str | None, AfterValidator(lambda text: text or None)]
Seconds = Annotated[float, Field(ge=0, le=366 * 86_400)]
Count = Annotated[int, Field(ge=0, le=10**12)]
WallTime = Annotated[
    AwareDatetime, Field(ge=_FIRST, lt=_LAST), AfterValidator(lambda at: at.astimezone(UTC))
]


@lru_cache(maxsize=20_000)
def _once(it: T) -> T:
    """Keep what is equal in thousands of runs once."""
    return it


@dataclass(config=_STRICT, frozen=True, slots=True)
class Spec:
    """What agents are made of, and where."""

    region_id: str
    tier_id: str
    manifest_id: str
    router: str | None = None
    """The router's URL where the reports are of several; None where they are of one."""

    def __str__(self) -> str:
        parts = (self.region_id, self.tier_id, self.manifest_id, self.router)
        return " ".join(filter(None, parts))


@lru_cache(maxsize=20_000)
def _at(spec: Spec, router: str) -> Spec:
    return replace(spec, router=router)


_NO_SPEC = Spec("", "", "")


@dataclass(config=_STRICT, frozen=True, slots=True)
class Span:
    """A phase of an instance, each time that the instance went through the phase."""

    at: Seconds
    phase: str
    seconds: Seconds


@dataclass(config=_STRICT, frozen=True, slots=True)
class PastFailure:
    """What failed, and in which phase and test."""

    at: Seconds
    message: Annotated[str, AfterValidator(lambda text: text.strip().partition("\n")[0])]
    phase: str | None
    test: Word
    cured: bool = False


class Leak(NamedTuple):
    """An instance whose deletion was not confirmed."""

    key: str | None
    id: str | None
    run_id: str


@dataclass(config=_STRICT, frozen=True, slots=True)
class Boot:
    """An instance: its spec, and how its run went."""

    id: Word
    idempotency_key: Word
    spec: Annotated[Spec | None, AfterValidator(_once)]
    outcome: str
    spans: tuple[Span, ...]
    failures: tuple[PastFailure, ...]
    run_id: Word = None
    """The run that a sweep knows the instance by; None for the run of its report."""
    interrupted: str | None = None
    models: tuple[str, ...] = ()
    """Those that answered its chats."""
    input_tokens: Count = Field(default=0, validation_alias=AliasPath("tokens", "input_tokens"))
    output_tokens: Count = Field(default=0, validation_alias=AliasPath("tokens", "output_tokens"))

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

    id: str
    outcome: str
    instances: tuple[str, ...] = ()

    @property
    def is_green(self) -> bool:
        return self.outcome in ("passed", "xfailed", "xpassed")

    @property
    def is_red(self) -> bool:
        return self.outcome in ("failed", "error")


@dataclass(config=_STRICT, frozen=True, slots=True)
class Pipeline:
    """The pipeline run that a run belongs to."""

    group: Annotated[str, Field(min_length=1)]
    job: Word = None
    attempt: Count | None = None
    commit: Word = None
    branch: Word = None
    url: Annotated[str | None, AfterValidator(web_address)] = None


@dataclass(config=_STRICT, frozen=True, slots=True)
class PastRun:
    """A run that is over, as far as the history needs it."""

    schema_version: Literal[3]
    run_id: Annotated[str, Field(min_length=1)]
    fake: bool
    url: str
    began: WallTime
    exit_code: Annotated[int, Field(ge=-1_000, le=1_000)]
    boots: tuple[Boot, ...] = Field(validation_alias="instances")
    cases: tuple[Annotated[PastTest, AfterValidator(_once)], ...] = Field(
        default=(), validation_alias="tests"
    )
    ended: Word = None
    """What ended the run before its tests were over."""
    not_run: Count = 0
    """How many of its tests the run had not begun."""
    pipeline: Pipeline | None = None

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
        """Return the specs of a test's instances; of all in the run if the test used none."""
        names = {boot.idempotency_key or boot.id: boot for boot in self.boots}
        used = frozenset(self.spec_of(names[it]) for it in case.instances if it in names)
        return used or self.specs

    def words_of(self, case: PastTest) -> str | None:
        """Return the first line of a test's last failure, if there is one."""
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
