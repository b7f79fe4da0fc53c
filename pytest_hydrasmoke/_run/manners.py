"""How a live run's router answers what its contract leaves open; pure functions of its report.

There is a list of answers to each question, empty where nothing was seen: what a fake should give
comes first. Only forms, codes and status words are kept: no id, no hostname, no message, no reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from pytest_hydrasmoke._api.models import (
    DeleteResult,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
)
from pytest_hydrasmoke._core.sightings import Sightings
from pytest_hydrasmoke._journal.events import Entry
from pytest_hydrasmoke._journal.stories import Stories
from pytest_hydrasmoke._report.build import manners_of
from pytest_hydrasmoke._report.model import InstanceReport, Report
from pytest_hydrasmoke._report.parts import EventReport, Manners

Answers: TypeAlias = Mapping[str, Sequence[object]]
"""The answers to each question of `QUESTIONS`."""

QUESTIONS = {
    "provision_status": "success code of provision",
    "provision_instance_id": "instance_id in provision's answer",
    "poll_before_row": "poll before the row exists",
    "boot_words": "status words of a boot",
    "ready_words": "status of a ready instance",
    "early_hostname": "hostname before the boot ends",
    "unauthorized_status": "bad or missing token",
    "not_ready_status": "chat before the agent is ready",
    "rate_limit": "rate limit",
    "runtime": "form of a chat's events",
    "terminal": "terminal event at a turn's end",
    "agent_fails": "an agent that fails in a turn",
    "providers": "providers of LLM events",
    "after_delete": "status after delete",
    "gone_words": "status words after delete",
    "second_delete": "second delete",
    "extra": "fields that the contract does not know",
}
"""What the contract leaves open, in words."""

_KNOWN = frozenset[str]().union(
    *(
        model.model_fields
        for model in (ProvisionAccepted, PollResult, InstanceStatus, LlmEvents, DeleteResult)
    )
)
"""The fields of all answers."""
_RUNTIMES: Mapping[str, set[str]] = {
    "hermes": {"hermes.tool.progress"},
    "hermes-session": {"assistant.delta", "assistant.completed"},
    "responses": {"response.created", "response.output_text.delta", "response.completed"},
    "anthropic": {"content_block_delta", "message_start", "message_stop"},
    "goose": {"Message", "Finish"},
    "ag-ui": {"RUN_STARTED", "TEXT_MESSAGE_CONTENT", "RUN_FINISHED"},
    "ai-sdk": {"start-step", "text-start", "text-delta"},
}
"""Names and types of events, each of which identifies a runtime."""
_FAILURES = {
    "the agent reported an error": "error",
    "the stream was cut": "cut",
    "the reply was cut": "end",
    "the turn did not end within": "stall",
}
"""How the error of a turn begins, by the way in which its agent failed."""


def seen_in(report: Report) -> Answers:
    """Return what a run has seen; nothing where no instance got ready."""
    ready = [(one, end) for one in report.instances if (end := _ready_at(one)) is not None]
    if not ready:
        return {}
    instances = [instance for instance, _ in ready]
    boots = [_boot(instance, end) for instance, end in ready]
    turns = [turn for instance in instances for turn in instance.turns]
    deleted = list(map(_after_delete, instances))
    each: Answers = {
        **answered(report.manners),
        "boot_words": _distinct(word for boot in boots for word in boot[:-1]),
        "ready_words": _distinct(word for boot in boots for word in boot[-1:]),
        "terminal": sorted({turn.complete for turn in turns if turn.error is None}, reverse=True),
        "agent_fails": sorted({way for turn in turns for way in _failures(turn.error)}),
        "providers": sorted(
            {name for instance in instances for seen in instance.usage for name in seen.providers}
        ),
        "after_delete": sorted({form for form, _ in deleted if form is not None}),
        "gone_words": _distinct(word for _, words in deleted for word in words),
    }
    return {name: each[name] for name in QUESTIONS}


def observer() -> Sightings:
    """Return an observer of calls, for `seen_by`."""
    return Sightings()


def seen_by(calls: Sightings) -> Answers:
    """Return what the calls have seen."""
    stories = Stories()
    for event in calls.seen:
        stories.apply("", Entry(0.0, None, event))
    return answered(manners_of(stories))


def answered(manners: Manners) -> Answers:
    """Return what the forms of a router's answers and events show, without instances."""

    def codes(known: set[int], *calls: str) -> list[int]:
        return sorted({one.code for one in manners.answers if one.call in calls} & known)

    def forms(call: str) -> list[dict[str, str]]:
        return [one.fields for one in manners.answers if one.call == call and one.code < 300]

    ids = {fields.get("instance_id", "absent") for fields in forms("provision")}
    hostnames = {fields.get("hostname", "null") for fields in forms("status")}
    unknown = {
        (name, kind)
        for one in manners.answers
        for name, kind in one.fields.items()
        if name not in _KNOWN
    }
    every = tuple({one.call for one in manners.answers})
    return {
        "provision_status": codes({200, 201, 202}, "provision")[::-1],
        "provision_instance_id": ["present" if kind == "string" else kind for kind in sorted(ids)],
        "poll_before_row": list(_polls(codes({404}, "poll"), forms("poll"))),
        # That there was a name early can't be told: a ready instance has one.
        "early_hostname": ["null"] if "null" in hostnames else [],
        "unauthorized_status": codes({401, 403}, *every),
        "not_ready_status": codes({409, 425, 503}, "chat"),
        "rate_limit": codes({429}, *every),
        "runtime": [_runtime(manners.events)] if manners.events else [],
        "second_delete": codes({404, 409, 410}, "delete"),
        "extra": [list(pair) for pair in sorted(unknown)],
    }


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _polls(missing: Sequence[int], forms: Sequence[Mapping[str, str]]) -> Iterator[str]:
    if missing:
        yield "404"
    if any(set(fields) == {"found"} for fields in forms):
        yield "bare"
    if any(fields.get("instance_id") == "null" for fields in forms):
        yield "found_false"


def _runtime(events: Sequence[EventReport]) -> str:
    names, kinds = {event.event for event in events}, {event.kind for event in events}
    keys = {key for event in events for key in event.keys}
    for runtime, words in _RUNTIMES.items():
        if words & (names | kinds):
            return runtime
    if "choices" in keys:
        return "openai"
    if {"event", "run_id"} <= keys:
        return "hermes-run"
    if any(event.data == "object" and event.kind is not None for event in events):
        return "objects"
    return "text" if names <= {"message", "error"} else "named"


def _ready_at(instance: InstanceReport) -> float | None:
    return next((it.at + it.seconds for it in instance.spans if it.phase == "ready"), None)


def _boot(instance: InstanceReport, end: float) -> list[str]:
    return [status.word for status in instance.statuses if status.at <= end]


def _failures(error: str | None) -> Iterator[str]:
    yield from (way for begin, way in _FAILURES.items() if (error or "").startswith(begin))


def _after_delete(instance: InstanceReport) -> tuple[str | None, Sequence[str]]:
    """Return what a look at a deleted instance showed in the end, and its words on the way."""
    begun = next((span.at for span in instance.spans if span.phase == "delete"), None)
    if begun is None:
        return None, ()
    words = [status.word for status in instance.statuses if status.at > begun]
    looks = [exchange.status for exchange in instance.exchanges if exchange.call == "status"]
    if looks[-1:] == [404]:
        return "404", words
    return "row" if words else None, words
