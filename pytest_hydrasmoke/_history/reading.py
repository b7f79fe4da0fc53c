"""Read reports from disk, and keep little of each.

A report is another job's artifact, and may be anything: reads are bounded, every value has its type
and range, and no path in it is followed. What can't be read is listed, and left out.
"""

from __future__ import annotations

import os
import zlib
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
from .runs import ENDINGS, FAILED, PASSED, Boot, Case, Leak, Run, Spec

LARGEST = 32 * 1024 * 1024
"""Most bytes of a report, unpacked; a run of fifty instances has less than 1 MiB."""
MOST_FILES = 100_000
"""Most files to open."""
_SOON = 0.05
"""Two times closer than this many seconds are the same moment."""
_GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class Found:
    """What was found: runs, and a line for each file that is left out."""

    runs: list[Run] = field(default_factory=list[Run])
    skipped: list[str] = field(default_factory=list[str])
    unread: int = 0
    """How many files are left out because they could not be read, whatever they are."""


def read(paths: Sequence[Path]) -> Found:
    """Read the reports that `paths` name, or that lie in folders that they name.

    A report found more than once counts once.
    """
    found = Found()
    runs: dict[object, Run] = {}
    for number, path in enumerate(report_files(paths, found.skipped)):
        if number == MOST_FILES:
            found.skipped.append(f"more than {MOST_FILES:,} files: the rest was not read")
            break
        try:
            run = run_of_file(path)
        except (OSError, ValueError) as error:
            found.unread += 1
            words = error.strerror if isinstance(error, OSError) else None
            found.skipped.append(f"{safe_line(str(path), 1_000)}: {safe_line(words or str(error))}")
        else:
            runs[run.run_id, run.began, run.fake] = run
    found.runs += runs.values()
    return found


def report_files(paths: Sequence[Path], skipped: list[str]) -> Iterator[Path]:
    """Yield the files that `paths` name, and those in their folders that may be reports."""

    def note(error: OSError) -> None:
        skipped.append(f"{safe_line(str(error.filename), 1_000)}: {error.strerror}")

    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        # Links to folders are not followed: they could lead anywhere, even in circles.
        for folder, folders, names in os.walk(path, onerror=note):
            folders.sort()
            for name in sorted(names):
                if may_be_report(name):
                    yield Path(folder, name)


def may_be_report(name: str) -> bool:
    """Return whether a file of this name is read when found in a folder."""
    return name.startswith("report") and name.endswith((".json", ".json.gz"))


def run_of_file(path: Path) -> Run:
    """Read a report; raises `OSError`, or `ValueError` that says what the file is instead."""
    if not os.path.isfile(path):
        # Opening a pipe would block.
        raise ValueError("there is no such file" if not os.path.lexists(path) else "not a file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if data.startswith(_GZIP):
        data = _unpacked(data)
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST // 1024**2} MiB")
    try:
        return _kept(ReportPart.model_validate_json(data))
    except ValidationError as error:
        raise ValueError(_what_it_is(error)) from None


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(data, LARGEST + 1)
    except zlib.error:
        raise ValueError("damaged: its gzip can't be unpacked") from None
    if not unpacker.eof and len(unpacked) <= LARGEST:
        raise ValueError("damaged: its gzip ends early")
    return unpacked


def _what_it_is(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=True)[0]
    place = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        return f"damaged: {first['msg']}"
    if place == "schema_version":
        version = first["input"]
        if isinstance(version, int) and version > SCHEMA_VERSION:
            known = f"this release reads up to {SCHEMA_VERSION}"
            return f"newer: its schema_version is {version}, and {known}"
    if place in ("", "schema_version", "run_id"):
        return "not a report of this plugin"
    return f"not a whole report: {place}: {first['msg']}"


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
