"""How a live router answers what its contract leaves open, and `router.json`, which keeps that.

There is a list of answers to each question, empty where nothing was seen: what a fake should give
comes first. Only forms, codes and status words are kept: no id, no hostname, no message, no reply.

The first run makes the file, later ones only add to it. A fake that replays the recordings has
these manners, so an answer that is not in it is drift: what is tested offline may differ there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from pytest_hydrasmoke._api.models import (
    DeleteResult,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.model import InstanceReport, Report
from pytest_hydrasmoke._report.parts import EventReport, Manners

from .format import NotWrittenError
from .store import replace

FORMAT, VERSION = "pytest-hydrasmoke router", 1
ROUTER = "router.json"
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
    ready = [
        (one, span.at + span.seconds)
        for one in report.instances
        for span in one.spans
        if span.phase == "ready"
    ]
    if not ready:
        return {}
    instances = [instance for instance, _ in ready]
    boots = [[word.word for word in one.statuses if word.at <= end] for one, end in ready]
    turns = [turn for instance in instances for turn in instance.turns]
    deleted = list(map(_after_delete, instances))
    each: Answers = {
        **answered(report.manners),
        "boot_words": _distinct(word for boot in boots for word in boot[:-1]),
        "ready_words": _distinct(word for boot in boots for word in boot[-1:]),
        "terminal": sorted({turn.complete for turn in turns if turn.error is None}, reverse=True),
        "agent_fails": sorted(
            {
                way
                for turn in turns
                for begin, way in _FAILURES.items()
                if turn.error is not None and turn.error.startswith(begin)
            }
        ),
        "providers": sorted(
            {name for instance in instances for seen in instance.usage for name in seen.providers}
        ),
        "after_delete": sorted({form for form, _ in deleted if form is not None}),
        "gone_words": _distinct(word for _, words in deleted for word in words),
    }
    return {name: each[name] for name in QUESTIONS}


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
    polls, every = forms("poll"), tuple({one.call for one in manners.answers})
    return {
        "provision_status": codes({200, 201, 202}, "provision")[::-1],
        "provision_instance_id": ["present" if kind == "string" else kind for kind in sorted(ids)],
        "poll_before_row": [
            *map(str, codes({404}, "poll")),
            *(["bare"] if any(set(it) == {"found"} for it in polls) else []),
            *(["found_false"] if any(it.get("instance_id") == "null" for it in polls) else []),
        ],
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


def _runtime(events: Sequence[EventReport]) -> str:
    names, kinds = {event.event for event in events}, {event.kind for event in events}
    keys = {key for event in events for key in event.keys}
    for runtime, words in _RUNTIMES.items():
        if words & (names | kinds):
            return runtime
    if "choices" in keys:
        return "openai"
    if keys.issuperset(("event", "run_id")):
        return "hermes-run"
    if any(event.data == "object" and event.kind is not None for event in events):
        return "objects"
    return "text" if names <= {"message", "error"} else "named"


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


# The file


def as_text(answers: Answers) -> str:
    """Return the file's text, one line for each question that was answered."""
    head = f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}'
    lines = [f"{json.dumps(name)}: {json.dumps(it)}" for name, it in answers.items() if it]
    return ",\n".join([head, *lines]) + "}\n"


def known_in(file: Path) -> Answers:
    """Return the answers in a file, if it is there; raises `NotWrittenError` and `OSError`."""
    return answers_in(file.read_bytes()) if file.exists() else {}


def update(file: Path, seen: Answers) -> Iterator[str]:
    """Add answers to a file, and yield what is drift; raises as `known_in` does."""
    known = known_in(file)
    every = joined(known, seen)
    if every != known:
        replace(file, as_text(every))
        yield from drift(known, seen) if known else ()


def answers_in(text: bytes) -> Answers:
    """Return the answers in a file; raises `NotWrittenError`."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from None
    given = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if given.pop("format", None) != FORMAT:
        raise _damaged("it is not the file that a run writes")
    version = given.pop("version", None)
    if version != VERSION:
        raise NotWrittenError(
            f"it has version {version!r} of the format, and this release writes {VERSION}: update "
            "pytest-hydrasmoke, or move it away, and a run makes it anew"
        )
    if any(not isinstance(answers, list) for answers in given.values()):
        raise _damaged("not every question in it has a list of answers")
    return cast("Answers", given)


def _damaged(why: str) -> NotWrittenError:
    return NotWrittenError(
        f"it is damaged: {why}: mend it, for example from version control, or move it away, "
        "and a run makes it anew"
    )


def joined(known: Answers, seen: Answers) -> Answers:
    """Return all answers, the known ones first: what earlier runs have seen is not lost."""
    new = unknown(known, seen)
    return {name: [*known.get(name, ()), *new.get(name, ())] for name in {**known, **new}}


def unknown(known: Answers, seen: Answers) -> Answers:
    """Return the answers that are not among the known ones."""
    return {
        name: new
        for name, answers in seen.items()
        if (new := [it for it in answers if it not in known.get(name, ())])
    }


def in_words(answers: Answers) -> Iterator[str]:
    """Yield a line for each question that was answered, and how."""
    for name, question in QUESTIONS.items():
        if answers.get(name):
            yield f"{question}: {_words(answers[name])}"


def drift(known: Answers, seen: Answers) -> Iterator[str]:
    """Yield a line for each answer that a file does not know, beside those that it knows."""
    for name, answers in unknown(known, seen).items():
        before = _words(known.get(name, ())) or "nothing"
        yield f"drift: {QUESTIONS[name]}: {_words(answers)}, and {ROUTER} has {before}"


def _words(answers: Sequence[object]) -> str:
    # A router may use any words, and any number of them.
    return safe_line(", ".join(map(_word, answers)), 300)


def _word(answer: object) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return answer if isinstance(answer, str) else json.dumps(answer)
