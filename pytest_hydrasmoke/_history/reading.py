"""Read reports from disk, and keep little of each.

A report is another job's artifact, and may be anything: reads are bounded, every value has its type
and range, and no path in it is followed. What can't be read is listed, and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from pytest_hydrasmoke._base.run_keys import run_of
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.phases import PHASES
from pytest_hydrasmoke._report.model import SCHEMA_VERSION
from pytest_hydrasmoke._report.pipeline import web_address

from .parts import FailurePart, InstancePart, PipelinePart, ReportPart, SpanPart
from .report_files import (
    Kind,
    NoReportError,
    content_of,
    json_files,
    kind_of,
    line,
    says_report,
)
from .runs import ENDINGS, FAILED, PASSED, Boot, Case, Leak, Run, Spec, worse

MOST_FILES = 100_000
"""Most files to open."""
_SOON = 0.05
"""Two times closer than this many seconds are the same moment."""


@dataclass(slots=True)
class Found:
    """What was found: runs, and a line for each file that is left out."""

    runs: list[Run] = field(default_factory=list[Run])
    skipped: list[str] = field(default_factory=list[str])
    unread: list[str] = field(default_factory=list[str])
    """Those that may hide a report: named as one, damaged, or out of reach."""


def read(paths: Sequence[Path]) -> Found:
    """Read the reports that `paths` name, or that lie in folders that they name.

    Of a run that is found more than once, the red report counts.
    """
    found = Found()
    runs: dict[object, Run] = {}
    others = 0
    files = json_files(paths, found.skipped.append, found.unread.append)
    for number, (path, named) in enumerate(files):
        if number == MOST_FILES:
            found.unread.append(f"more than {MOST_FILES:,} files: the rest was not read")
            break
        try:
            run = run_of_file(path)
        except NoReportError as error:
            says = named or says_report(path.name)
            if named or error.kind is Kind.OURS or (says and error.kind is Kind.DAMAGED):
                found.unread.append(line(path, str(error)))
            elif says:
                found.skipped.append(line(path, str(error)))
            else:
                others += 1
        except OSError as error:
            lines = found.unread if named or says_report(path.name) else found.skipped
            lines.append(line(path, error.strerror or str(error)))
        else:
            key = run.run_id, run.began, run.fake
            runs[key] = worse(runs[key], run) if key in runs else run
    if others:
        found.skipped.append(f"other JSON files, which are no reports: {others}")
    found.runs += runs.values()
    return found


def run_of_file(path: Path) -> Run:
    """Read a report; raises `OSError`, or `NoReportError` that says what the file is instead."""
    data = content_of(path)
    try:
        return _kept(ReportPart.model_validate_json(data))
    except ValidationError as error:
        raise _no_report(error, data) from None


def _no_report(error: ValidationError, data: bytes) -> NoReportError:
    first = error.errors(include_url=False, include_input=True)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return NoReportError(f"damaged: {first['msg']}", kind_of(data))
    if place == "schema_version":
        version = first["input"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            known = f"this release reads up to {SCHEMA_VERSION}"
            words = f"newer: its schema_version is {version}, and {known}"
            return NoReportError(words, kind_of(data))
    if place in ("", "schema_version", "run_id"):
        return NoReportError("not a report of this plugin", Kind.OTHER)
    return NoReportError(f"not a whole report: {place}: {first['msg']}", Kind.OURS)


def _kept(report: ReportPart) -> Run:
    pipeline = report.pipeline or PipelinePart(group=report.run_id)
    specs = [
        _spec(instance, "" if report.fake else _text(report.url)) for instance in report.instances
    ]
    pairs = list(zip(report.instances, specs, strict=True))
    return Run(
        run_id=_text(report.run_id),
        fake=report.fake,
        began=report.began.astimezone(UTC),
        exit_code=report.exit_code,
        group=_text(pipeline.group),
        job=_word(pipeline.job),
        attempt=pipeline.attempt,
        commit=_word(pipeline.commit),
        branch=_word(pipeline.branch),
        url=web_address(pipeline.url),
        budgets=report.budgets,
        boots=tuple(_boot(*pair) for pair in pairs),
        times=_times(pairs),
        leaks=tuple(
            Leak(
                _word(instance.idempotency_key),
                _word(instance.id),
                _text(run_of(instance.idempotency_key) or report.run_id),
            )
            for instance in report.instances
            if instance.outcome == "leaked"
        ),
        cases=tuple(_cases(report, specs)),
        ended=_word(report.ended) or ENDINGS.get(report.exit_code),
        not_run=report.not_run,
    )


@lru_cache(maxsize=20_000)
def _text(text: str) -> str:
    """Make a name safe on one line; equal names share one object across runs."""
    return safe_line(text, 1_000)


# Values that are equal in thousands of runs are kept once.
_case = lru_cache(maxsize=20_000)(Case)


@lru_cache(maxsize=20_000)
def _specs(specs: frozenset[Spec]) -> frozenset[Spec]:
    return specs


def _word(text: str | None) -> str | None:
    return _text(text) if text else None


def _spec(instance: InstancePart, router: str) -> Spec:
    it = instance.spec
    if it is None:
        return Spec("", "", "", router)
    return Spec(_text(it.region_id), _text(it.tier_id), _text(it.manifest_id), router)


def _boot(instance: InstancePart, spec: Spec) -> Boot:
    ready = None if instance.interrupted else instance.phases.get("ready")
    last = instance.usage[-1] if instance.usage else None
    # On an attached instance, the first count belongs to earlier users.
    before = instance.usage[0].count if last and instance.outcome == "attached" else 0
    early = ("provision", "row", "ready")
    return Boot(
        spec=spec,
        ready=ready,
        lost=any(failure.phase in early for failure in instance.failures),
        providers=tuple(sorted(map(_text, last.providers))) if last else (),
        llm_events=max(last.count - before, 0) if last else 0,
        input_tokens=instance.tokens.input_tokens,
        output_tokens=instance.tokens.output_tokens,
        untold=instance.untold,
    )


def _times(
    pairs: Sequence[tuple[InstancePart, Spec]],
) -> dict[tuple[str, Spec], tuple[float, ...]]:
    times: dict[tuple[str, Spec], list[float]] = {}
    for instance, spec in pairs:
        if instance.spec is None:
            continue
        for span in instance.spans:
            whole = span.phase != instance.interrupted and not _failed(span, instance.failures)
            if span.phase in PHASES and whole:
                times.setdefault((_text(span.phase), spec), []).append(span.seconds)
    return {key: tuple(seconds) for key, seconds in times.items()}


def _failed(span: SpanPart, failures: Sequence[FailurePart]) -> bool:
    """Return whether a phase ended in a failure: its duration then shows a timeout."""
    end = span.at + span.seconds
    return any(
        failure.phase == span.phase and abs(failure.at - end) < _SOON for failure in failures
    )


def _cases(report: ReportPart, made: Sequence[Spec]) -> Iterator[Case]:
    keys = [instance.idempotency_key or instance.id for instance in report.instances]
    specs = dict(zip(keys, made, strict=True))
    words = {
        failure.test: safe_line(failure.message.strip().partition("\n")[0])
        for instance in report.instances
        for failure in instance.failures
    }
    failures = (failure for instance in report.instances for failure in instance.failures)
    cured = {failure.test for failure in failures if failure.cured}
    every = _specs(frozenset(specs.values()))
    for case in report.tests:
        failed = case.outcome in FAILED
        if not failed and case.outcome not in PASSED:
            continue
        used = frozenset([specs[key] for key in case.instances if key in specs])
        runs = case.runs or 0
        yield _case(
            _text(case.id),
            _specs(used) if used else every,
            "failed" if failed else "passed",
            runs,
            min(case.passed or 0, runs),
            words.get(case.id) if failed else None,
            not failed and case.id in cured,
        )
