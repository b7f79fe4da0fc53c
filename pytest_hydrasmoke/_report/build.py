"""Build a run's report from the records of its processes; all of it pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar

from pytest_hydrasmoke._base.commands import Commands
from pytest_hydrasmoke._core.moments import Exchange, Failure, Span, TurnStory, UsageCount
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.sightings import Sightings
from pytest_hydrasmoke._core.states import SETTLED, State

from .manners import manners_of
from .model import (
    CaseReport,
    FailureReport,
    InstanceReport,
    ProcessReport,
    StatusReport,
    TokensReport,
    TurnReport,
)
from .moments import CountReport, ExchangeReport, Moment, SpanReport

M = TypeVar("M", bound=Moment)
_Happened = Span | Exchange | UsageCount | TurnStory | Failure


def process_report(
    records: Sequence[InstanceRecord], beside: Sightings, wall: float, *, replies: bool
) -> ProcessReport:
    """Report every request of a process for an instance, and how the router answered.

    `beside` is what was seen of the router without an instance.
    """
    return ProcessReport(
        instances=tuple(
            report_of(record, wall, replies=replies) for record in records if _matters(record)
        ),
        manners=manners_of([beside, *(record.sightings for record in records)]),
    )


def _matters(record: InstanceRecord) -> bool:
    # What was refused is reported only where a test failed because of it.
    refused = record.state in (State.CLAIMED, State.UNUSED, State.REFUSED)
    return not refused or any(failure.test for failure in record.failures)


def report_of(record: InstanceRecord, wall: float, *, replies: bool = True) -> InstanceReport:
    """Convert a record.

    `wall` is how far the wall clock (seconds since the epoch) is ahead of the record's own. Without
    `replies`, no message, reply or other word of the agent is in it.
    """
    zero = min(_times(record), default=None)
    start = zero or 0.0
    return InstanceReport(
        id=record.id,
        idempotency_key=record.key,
        hostname=record.hostname,
        spec=record.spec,
        outcome=_outcome(record),
        leak=record.leak,
        conflict=record.conflict,
        failed=record.failed,
        interrupted=record.interrupted,
        began=None if zero is None else datetime.fromtimestamp(zero + wall, UTC),
        phases=dict(record.phases),
        waits=dict(record.waits),
        tokens=TokensReport.model_validate(asdict(record.tokens)),
        untold=record.untold,
        chats=record.chats,
        requests=dict(record.requests),
        retries=record.retries,
        notes=tuple(
            dict.fromkeys(
                note if replies else record.briefs.get(note, note) for note in record.notes
            )
        ),
        drift=tuple(record.sightings.drift),
        statuses=tuple(
            StatusReport(at=at - start, word=word)
            for at, word in zip(record.status_times, record.statuses, strict=True)
        ),
        spans=tuple(_part(SpanReport, span, start) for span in record.spans),
        exchanges=tuple(_part(ExchangeReport, request, start) for request in record.exchanges),
        turns=tuple(
            _part(TurnReport, turn, start, **_told(turn, replies=replies)) for turn in record.turns
        ),
        usage=tuple(_part(CountReport, count, start) for count in record.counted),
        failures=tuple(
            _part(
                FailureReport, failure, start, message=failure.message if replies else failure.brief
            )
            for failure in record.failures
            if _counts(failure, record)
        ),
    )


def _counts(failure: Failure, record: InstanceRecord) -> bool:
    """Return whether it is a failure of the run: an expected one makes no test fail."""
    return failure.test is not None or (failure.phase == "delete" and record.leak is not None)


def _part(model: type[M], it: _Happened, start: float, **changes: object) -> M:
    return model.model_validate({**asdict(it), "at": it.at - start, **changes})


def _told(turn: TurnStory, *, replies: bool) -> dict[str, object]:
    """Return what a report tells of a turn otherwise than its story keeps it."""
    told: dict[str, object] = {"arrivals": tuple(turn.arrivals)}
    if replies:
        return told
    error = None if turn.error is None else "(kept out of the report)"
    said = dict.fromkeys(("message", "text", "finish_reason"))
    return {**told, **said, "tool_calls": (), "thoughts": (), "notes": (), "error": error}


def _times(record: InstanceRecord) -> Iterator[float]:
    yield from record.status_times[:1]
    for kind in (record.spans, record.exchanges, record.turns, record.counted, record.failures):
        yield from (moment.at for moment in kind)


def _outcome(record: InstanceRecord) -> str:
    if record.attached:
        return "attached"
    if record.leak is None and record.state in SETTLED:
        return "deleted" if record.state is State.GONE else record.state.value
    return "shared" if record.shared_across_workers and record.leak is None else "leaked"


def merged(processes: Iterable[Iterable[InstanceReport]]) -> list[InstanceReport]:
    """Merge what several processes report of each instance; the last process wins.

    The last one is the main process, which sees every instance deleted. Of two instances that one
    process has had under the same key, none takes back that the other one leaked.
    """
    stories: dict[object, InstanceReport] = {}
    nameless = count()
    for reports in processes:
        own: dict[object, InstanceReport] = {}
        for report in reports:
            # An attached instance has no key, and nothing to report but that it was used.
            name = report.idempotency_key or report.id or next(nameless)
            before = own.get(name)
            leaked = before is not None and before.outcome == "leaked"
            own[name] = report if before is None else _both(before, report, first=leaked)
        for key, story in own.items():
            before = stories.get(key)
            shared = story.outcome == "shared"
            stories[key] = story if before is None else _both(before, story, first=shared)
    return [_judged(report) for report in stories.values()]


def _judged(report: InstanceReport) -> InstanceReport:
    if report.outcome != "shared":
        return report
    return report.model_copy(
        update={"outcome": "leaked", "leak": "no process has confirmed its deletion"}
    )


def _both(one: InstanceReport, two: InstanceReport, *, first: bool) -> InstanceReport:
    """Merge two reports of an instance; the `first` one's outcome counts, or the second one's."""
    last = one if first else two
    began = min((report.began for report in (one, two) if report.began is not None), default=None)
    one, two = _since(began, one), _since(began, two)
    words = sorted(one.statuses + two.statuses, key=_at)
    return InstanceReport(
        id=two.id or one.id,
        idempotency_key=two.idempotency_key,
        hostname=two.hostname or one.hostname,
        spec=two.spec or one.spec,
        outcome=last.outcome,
        leak=last.leak,
        conflict=one.conflict or two.conflict,
        failed=one.failed or two.failed,
        interrupted=one.interrupted or two.interrupted,
        began=began,
        phases=dict(Counter(one.phases) | Counter(two.phases)),
        waits=dict(Counter(one.waits) | Counter(two.waits)),
        tokens=one.tokens + two.tokens,
        untold=one.untold + two.untold,
        chats=one.chats + two.chats,
        requests=dict(Counter(one.requests) + Counter(two.requests)),
        retries=one.retries + two.retries,
        notes=tuple(dict.fromkeys(one.notes + two.notes)),
        drift=tuple(dict.fromkeys(one.drift + two.drift)),
        statuses=tuple(
            status
            for status, before in zip(words, [None, *words], strict=False)
            if before is None or status.word != before.word
        ),
        spans=_in_order(one.spans, two.spans),
        exchanges=_in_order(one.exchanges, two.exchanges),
        turns=_in_order(one.turns, two.turns),
        usage=_in_order(one.usage, two.usage),
        failures=_in_order(one.failures, two.failures),
    )


def with_commands(
    instances: Iterable[InstanceReport], commands: Commands | None
) -> list[InstanceReport]:
    """Add to each instance that is left the commands that attach to it and delete it, if any."""
    if commands is None:
        return list(instances)
    return [
        instance.model_copy(
            update={
                "delete_with": commands.sweep(instance.run_id),
                "attach_with": commands.attach(instance.id) if instance.outcome == "kept" else "",
            }
        )
        if instance.outcome in ("kept", "leaked")
        else instance
        for instance in instances
    ]


def with_tests(
    instances: Iterable[InstanceReport], cases: Sequence[CaseReport]
) -> list[InstanceReport]:
    """Add to each instance the tests that used it, including those without a report."""
    return [
        instance.model_copy(
            update={
                "tests": tuple(
                    dict.fromkeys(
                        [case.id for case in cases if instance.reference in case.instances]
                        + [turn.test for turn in instance.turns if turn.test is not None]
                    )
                )
            }
        )
        for instance in instances
    ]


def _since(began: datetime | None, report: InstanceReport) -> InstanceReport:
    """Shift the times of a report to another beginning."""
    if began is None or report.began is None:
        return report
    later = (report.began - began) / timedelta(seconds=1)
    names = ("statuses", "spans", "exchanges", "turns", "usage", "failures")
    parts: dict[str, tuple[Moment, ...]] = {name: getattr(report, name) for name in names}
    moved = {
        name: tuple(moment.since(-later) for moment in moments) for name, moments in parts.items()
    }
    return report.model_copy(update=moved)


def _in_order(one: tuple[M, ...], two: tuple[M, ...]) -> tuple[M, ...]:
    return tuple(sorted(one + two, key=_at))


def _at(moment: Moment) -> float:
    return moment.at
