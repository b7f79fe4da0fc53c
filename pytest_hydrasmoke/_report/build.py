"""Build a run's report from its stories; all of it pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any

from pytest_hydrasmoke._base.run_keys import Commands
from pytest_hydrasmoke._journal.events import Heard
from pytest_hydrasmoke._journal.states import HAD_ROW, SETTLED, State
from pytest_hydrasmoke._journal.story import TOKENS, WAITS, Story, ToldFailure

from .model import InstanceReport
from .parts import BreachReport, CaseReport, EventReport

Facts = dict[str, Any]


def instances_of(
    stories: Mapping[str, Story], wall: float, commands: Commands | None = None
) -> list[InstanceReport]:
    """Report every request for an instance, with the commands for those that are left, if any.

    `wall` is how far the wall clock (seconds since the epoch) is ahead of the stories' own.
    """
    its = [(name, story) for name, story in stories.items() if _matters(story)]
    return [report_of(name, story, wall, commands) for name, story in its]


def _matters(story: Story) -> bool:
    # What was refused is reported only where a test failed because of it.
    refused = story.state in (State.CLAIMED, State.UNUSED, State.REFUSED) and not story.attached
    return not refused or any(failure.test for failure in story.failures.values())


def report_of(
    name: str, story: Story, wall: float, commands: Commands | None = None
) -> InstanceReport:
    """Convert the story of an instance: `name` is its key, or its id if it has none."""
    key, outcome, chats = None if story.attached else name, _outcome(story), story.chats
    moments = _moments(story)
    every = [at for its in moments.values() for at, _ in its]
    began = min((*every, *(it.at for it in story.failures.values())), default=None)
    facts: Facts = {
        "id": story.id or (name if story.attached else None),
        "idempotency_key": key,
        "hostname": story.hostname,
        "spec": story.wanted,
        "outcome": outcome,
        "run_id": story.run_id,
        "leak": story.leak,
        "conflict": story.conflict,
        "failed": story.failed,
        "interrupted": story.interrupted,
        "began": None if began is None else datetime.fromtimestamp(began + wall, UTC),
        "phases": story.phases,
        "waits": chats.waits,
        "tokens": chats.tokens,
        "models": chats.models,
        "untold": chats.untold,
        "chats": chats.times,
        "requests": story.requests.times,
        "retries": story.requests.retries,
        "notes": tuple(story.notes),
        "drift": story.drift,
    }
    if commands is not None and outcome in ("kept", "leaked", "unsure"):
        facts["delete_with"] = commands.sweep(story.run_id)
        facts["attach_with"] = commands.attach(story.id) if outcome == "kept" else ""
    for kind, its in moments.items():
        parts = [{**told, "at": at - (began or 0.0)} for at, told in its]
        facts[kind] = sorted(parts, key=lambda part: part["at"])
    # What is in the story has the names of the report's parts.
    return InstanceReport.model_validate(facts, from_attributes=True)


def _moments(story: Story) -> dict[str, list[tuple[float, Facts]]]:
    """Return what happened to an instance, by the field of its report."""
    requests, chats = story.requests, story.chats
    return {
        "statuses": [(at, it._asdict()) for at, it in story.statuses],
        "spans": [(at, it._asdict()) for at, it in story.spans],
        "exchanges": [(at, {**it._asdict(), "attempt": it.number}) for at, it in requests.kept],
        "turns": [(told.at, told.turn._asdict()) for told in chats.turns],
        "usage": [(at, {**it._asdict(), "count": it.total}) for at, it in chats.counted],
        "failures": [(it.at, _failure(it)) for it in story.failures.values() if _counts(it, story)],
    }


def _counts(failure: ToldFailure, story: Story) -> bool:
    """Return whether it is a failure of the run: an expected one makes no test fail."""
    leaked = story.leak is not None and _outcome(story) == "leaked"
    return failure.test is not None or (failure.phase == "delete" and leaked)


def _failure(it: ToldFailure) -> Facts:
    words = it.brief if it.message is None else it.message
    return {"message": words, "phase": it.phase, "test": it.test, "cured": it.cured}


def _outcome(story: Story) -> str:
    if story.attached:
        return "attached"
    if story.leak is None and story.state in SETTLED:
        return "deleted" if story.state is State.GONE else story.state.value
    # What was never seen is no leak: nobody knows whether the router has made it.
    is_known = story.id is not None or story.state in HAD_ROW | {State.ACCEPTED}
    return "leaked" if is_known else "unsure"


def with_tests(
    instances: Iterable[InstanceReport], cases: Sequence[CaseReport]
) -> list[InstanceReport]:
    """Add to each instance the tests that used it, including those without a report."""
    return [it.model_copy(update={"tests": _tests_of(it, cases)}) for it in instances]


def _tests_of(it: InstanceReport, cases: Sequence[CaseReport]) -> tuple[str, ...]:
    used = [case.id for case in cases if it.reference in case.instances]
    used += [turn.test for turn in it.turns if turn.test is not None]
    return tuple(dict.fromkeys(used))


def events_of(heard: Iterable[Heard]) -> tuple[EventReport, ...]:
    """Convert the forms of the events that agents sent."""
    # Sorted: processes see the forms in any order.
    return tuple(EventReport.model_validate(it._asdict()) for it in sorted(heard, key=repr))


# Budgets


def breaches(
    instances: Sequence[InstanceReport], budgets: Mapping[str, float]
) -> Iterator[BreachReport]:
    """Yield the exceeded budgets, each with its worst value."""
    for name, limit in budgets.items() if instances else ():
        worst = max(instances, key=partial(_used, name))
        value = _used(name, worst)
        if name == TOKENS:
            value = sum(it.tokens.total for it in instances)
        if value > limit:
            test = _waited(worst, name, value) if name in WAITS else None
            yield BreachReport(phase=name, limit=limit, value=value, instance=worst.name, test=test)


def _used(name: str, it: InstanceReport) -> float:
    if name == TOKENS:
        return it.tokens.total
    return (it.waits if name in WAITS else it.phases).get(name, 0.0)


def _waited(it: InstanceReport, name: str, seconds: float) -> str | None:
    """Return the test whose turn took that long; None if that turn is not kept."""
    wait_of = attrgetter("first_text_after" if name == "first_text" else "max_gap")
    return next((turn.test for turn in it.turns if wait_of(turn) == seconds), None)


def untold_tokens(instances: Sequence[InstanceReport], budgets: Mapping[str, float]) -> str | None:
    """Return how many chats a token budget does not cover; None if it covers all, or is not set."""
    untold = sum(instance.untold for instance in instances)
    if TOKENS not in budgets or not untold:
        return None
    chats = sum(instance.chats for instance in instances)
    return f"budgets: tokens of {untold} of {chats} chats were not reported, and are not counted"
