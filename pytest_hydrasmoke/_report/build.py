"""Build a run's report from its stories; all of it pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.run_keys import Commands
from pytest_hydrasmoke._journal.events import Answered, Drifted, Event, Heard
from pytest_hydrasmoke._journal.states import SETTLED, State
from pytest_hydrasmoke._journal.story import Story, ToldFailure, ToldTurn

from .model import (
    FailureReport,
    InstanceReport,
    StatusReport,
    TokensReport,
    TurnReport,
)
from .parts import (
    AnswerReport,
    CaseReport,
    CountReport,
    EventReport,
    ExchangeReport,
    Manners,
    Moment,
    SpanReport,
)

M = TypeVar("M", bound=Moment)


def instances_of(stories: Mapping[str, Story], wall: float) -> list[InstanceReport]:
    """Report every request for an instance.

    `wall` is how far the wall clock (seconds since the epoch) is ahead of the stories' own.
    """
    return [report_of(name, story, wall) for name, story in stories.items() if _matters(story)]


def _matters(story: Story) -> bool:
    # What was refused is reported only where a test failed because of it.
    refused = story.state in (State.CLAIMED, State.UNUSED, State.REFUSED) and not story.attached
    return not refused or any(failure.test for failure in story.failures.values())


def report_of(name: str, story: Story, wall: float) -> InstanceReport:
    """Convert the story of an instance: `name` is its key, or its id if it has none."""
    zero = min(_times(story), default=None)
    start = zero or 0.0
    chats = story.chats
    return InstanceReport(
        id=story.id or (name if story.attached else None),
        idempotency_key=None if story.attached else name,
        hostname=story.hostname,
        spec=None if story.wanted is None else InstanceSpec.model_validate(story.wanted),
        outcome=_outcome(story),
        leak=story.leak,
        conflict=story.conflict,
        failed=story.failed,
        interrupted=story.interrupted,
        began=None if zero is None else datetime.fromtimestamp(zero + wall, UTC),
        phases=dict(story.phases),
        waits=dict(chats.waits),
        tokens=TokensReport.model_validate(chats.tokens._asdict()),
        models=tuple(chats.models),
        untold=chats.untold,
        chats=chats.times,
        requests=dict(story.requests.times),
        retries=story.requests.retries,
        notes=tuple(story.notes),
        drift=tuple(story.drift),
        statuses=_in_order(StatusReport, _plain(story.statuses), start),
        spans=_in_order(SpanReport, _plain(story.spans), start),
        exchanges=_in_order(
            ExchangeReport,
            ((at, {**it._asdict(), "attempt": it.number}) for at, it in story.requests.kept),
            start,
        ),
        turns=_in_order(TurnReport, map(_of_turn, chats.turns), start),
        usage=_in_order(
            CountReport,
            ((at, {**it._asdict(), "count": it.total}) for at, it in chats.counted),
            start,
        ),
        failures=_in_order(
            FailureReport,
            (
                (failure.at, _of_failure(failure))
                for failure in story.failures.values()
                if _counts(failure, story)
            ),
            start,
        ),
    )


def _counts(failure: ToldFailure, story: Story) -> bool:
    """Return whether it is a failure of the run: an expected one makes no test fail."""
    return failure.test is not None or (failure.phase == "delete" and story.leak is not None)


def _of_failure(failure: ToldFailure) -> dict[str, object]:
    return {
        "message": failure.brief if failure.message is None else failure.message,
        "phase": failure.phase,
        "test": failure.test,
        "cured": failure.cured,
    }


def _of_turn(told: ToldTurn) -> tuple[float, dict[str, object]]:
    turn = told.turn
    parts = {
        "tool_calls": [call._asdict() for call in turn.tool_calls],
        "thoughts": [thought._asdict() for thought in turn.thoughts],
        "usage": None if turn.usage is None else turn.usage._asdict(),
    }
    return told.at, {**turn._asdict(), **parts}


def _plain(
    moments: Iterable[tuple[float, NamedTuple]],
) -> Iterator[tuple[float, dict[str, object]]]:
    for at, event in moments:
        yield at, event._asdict()


def _in_order(
    model: type[M], moments: Iterable[tuple[float, Mapping[str, object]]], start: float
) -> tuple[M, ...]:
    parts = [model.model_validate({**fields, "at": at - start}) for at, fields in moments]
    return tuple(sorted(parts, key=lambda part: part.at))


def _times(story: Story) -> Iterator[float]:
    yield from (moment.at for moment in story.statuses[:1])
    chats = story.chats
    for kind in (story.spans, story.requests.kept, chats.turns, chats.counted):
        yield from (moment[0] for moment in kind)
    yield from (failure.at for failure in story.failures.values())


def _outcome(story: Story) -> str:
    if story.attached:
        return "attached"
    if story.leak is None and story.state in SETTLED:
        return "deleted" if story.state is State.GONE else story.state.value
    return "leaked"


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


def manners_of(forms: Iterable[Event]) -> Manners:
    """Convert what was seen of the router."""
    # Sorted: processes see the forms in any order.
    every = sorted(forms, key=repr)
    return Manners(
        answers=tuple(
            AnswerReport(call=form.call, code=form.code, fields=dict(form.fields))
            for form in every
            if isinstance(form, Answered)
        ),
        events=tuple(
            EventReport.model_validate(form._asdict()) for form in every if isinstance(form, Heard)
        ),
        drift=tuple(form.text for form in every if isinstance(form, Drifted)),
    )
