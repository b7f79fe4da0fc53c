"""Make a scenario from what a live run's `report.json` shows of its router.

The report holds forms and times, and no values; a field that it does not show keeps its default.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .records import Route
from .scenario import REPEATABLE, AgentDies, Runtime, Scenario, Trouble

Plain = Mapping[str, Any]
Changes = dict[str, Any]

VERSIONS = (1, 2)
"""The `schema_version`s of reports that can be read."""
_FIELDS = {
    "provision": {"idempotency_key", "instance_id", "task_id"},
    "poll": {"found", "instance_id", "status"},
    "status": {"id", "hostname", "status"},
    "llm_events": {"instance_id", "count", "providers", "window_seconds"},
    "delete": {"instance_id", "status"},
}
"""The known fields of each call's answer."""
_SAMPLES: Mapping[str, Any] = {
    "null": None,
    "boolean": False,
    "string": "",
    "number": 0,
    "list": [],
    "object": {},
}

_WORDS: Mapping[Runtime, set[str]] = {
    "hermes": {"hermes.tool.progress"},
    "hermes-session": {"assistant.delta", "assistant.completed"},
    "responses": {"response.created", "response.output_text.delta", "response.completed"},
    "anthropic": {"content_block_delta", "message_start", "message_stop"},
    "goose": {"Message", "Finish"},
    "ag-ui": {"RUN_STARTED", "TEXT_MESSAGE_CONTENT", "RUN_FINISHED"},
    "ai-sdk": {"start-step", "text-start", "text-delta"},
}
"""Names and types of events, each of which identifies a runtime."""
_FAILURES = {"error", "Error", "RUN_ERROR", "response.failed"}
"""Names, types and keys of events, each of which means that the agent has failed."""

_ROUNDED = 0.002
"""Seconds between two times that count as one moment: a report's times are rounded to 0.001 s."""


def scenario_of(report: Plain) -> Scenario:
    """Return a report's scenario; raises ValueError if it is no report, or shows too little."""
    version = report.get("schema_version")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise ValueError(f"schema_version is {version!r}, and only {known} are understood")
    try:
        changes = _learned(report)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"it is not a whole report: {type(error).__name__}: {error}") from None
    return Scenario(**changes)


def _learned(report: Plain) -> Changes:
    ready = [instance for instance in report["instances"] if _end(instance, "ready") is not None]
    if not ready:
        raise ValueError("no instance in it got ready: there is nothing to learn from")
    best = max(ready, key=lambda it: len(it["statuses"]))
    answers, turns = (
        report["manners"]["answers"],
        [turn for instance in ready for turn in instance["turns"]],
    )
    return {
        **_provisioning(answers),
        **_boot(best),
        **_refusals(answers),
        **_deletion(best, answers),
        **_chat(turns, report["manners"]["events"]),
        **_usage(ready),
        **_trouble(report["instances"]),
        "extra": _extra(answers),
    }


def _forms(answers: Sequence[Plain], call: str) -> list[Mapping[str, str]]:
    """Return the fields of a call's successful answers, with the kind of each."""
    return [
        answer["fields"] for answer in answers if answer["call"] == call and answer["code"] < 300
    ]


def _codes(answers: Sequence[Plain], *calls: str) -> set[int]:
    return {answer["code"] for answer in answers if not calls or answer["call"] in calls}


def _provisioning(answers: Sequence[Plain]) -> Changes:
    learned: Changes = {}
    codes = _codes(answers, "provision") & {200, 201, 202}
    if codes:
        learned["provision_status"] = max(codes)
    kinds = {fields.get("instance_id", "absent") for fields in _forms(answers, "provision")}
    if kinds:
        kind = min(kinds)
        learned["provision_instance_id"] = "present" if kind == "string" else kind
    if 404 in _codes(answers, "poll"):
        learned["poll_before_row"] = "404"
    elif {"found"} in [set(fields) for fields in _forms(answers, "poll")]:
        learned["poll_before_row"] = "bare"
    named = {fields.get("hostname") for fields in _forms(answers, "status")}
    learned["early_hostname"] = named == {"string"}
    return learned


def _boot(instance: Plain) -> Changes:
    asked, ready = _end(instance, "provision"), _end(instance, "ready")
    row = _end(instance, "row")
    assert ready is not None
    start = ready if row is None else row
    seen = [status for status in instance["statuses"] if status["at"] <= ready + _ROUNDED]
    script = [(_seconds(status["at"] - start), str(status["word"])) for status in seen]
    learned: Changes = {}
    if asked is not None:
        learned["row_after"] = _seconds(start - asked)
    if script:
        learned["statuses"] = ((0.0, script[0][1]), *script[1:])
        learned["ready_words"] = (script[-1][1],)
    return learned


def _refusals(answers: Sequence[Plain]) -> Changes:
    learned: Changes = {}
    refused = _codes(answers) & {401, 403}
    if refused:
        learned["unauthorized_status"] = min(refused)
    early = _codes(answers, "chat") & {409, 425, 503}
    if early:
        learned["not_ready_status"] = min(early)
    return learned


def _deletion(instance: Plain, answers: Sequence[Plain]) -> Changes:
    learned: Changes = {}
    deleted = _begin(instance, "delete")
    after = [
        status["word"]
        for status in instance["statuses"]
        if deleted is not None and status["at"] > deleted
    ]
    looks = [
        exchange["status"] for exchange in instance["exchanges"] if exchange["call"] == "status"
    ]
    # A row that was not found in the end has shown its words on the way.
    if after and looks[-1:] != [404]:
        learned |= {"after_delete": "row", "gone_word": after[0]}
        if len(after) > 1:
            learned["cleaned_word"] = after[-1]
    codes = _codes(answers, "delete")
    if codes:
        # A second delete, if any, was answered like the first unless another code was seen.
        learned["second_delete"] = min(codes & {404, 409, 410}, default=200)
    return learned


def _chat(turns: Sequence[Plain], events: Sequence[Plain]) -> Changes:
    learned: Changes = {}
    if events:
        learned["runtime"] = _runtime(events)
    if turns:
        learned["terminal"] = any(turn["complete"] for turn in turns)
        if all(turn["error"] is not None for turn in turns):
            failed = any(map(_is_failure, events))
            seen = statistics.median_low(turn["events"] for turn in turns)
            learned["agent_dies"] = "error" if failed else _way_to_die(turns)
            learned["agent_dies_after"] = max(seen - failed, 0)
    firsts = [turn["arrivals"][0] for turn in turns if turn["arrivals"]]
    if firsts:
        learned["first_event_after"] = _seconds(statistics.median(firsts))
    gaps = [b - a for turn in turns for a, b in itertools.pairwise(turn["arrivals"])]
    if gaps:
        learned["event_pause"] = _seconds(statistics.median(gaps))
    return learned


def _is_failure(event: Plain) -> bool:
    words = {event["event"], event["kind"], *event["keys"]}
    # A tool's result also says whether it failed.
    return "tool" not in words and not words.isdisjoint(_FAILURES)


def _way_to_die(turns: Sequence[Plain]) -> AgentDies:
    """Distinguish streams that ended early, or stayed open without an end, from cut connections."""
    errors = [str(turn["error"]) for turn in turns]
    if all(error.startswith("the reply was cut") for error in errors):
        return "end"
    silent = all(error.startswith("the turn did not end within") for error in errors)
    return "stall" if silent else "cut"


def _runtime(events: Sequence[Plain]) -> Runtime:
    names = {event["event"] for event in events}
    kinds = {event["kind"] for event in events}
    keys = {key for event in events for key in event["keys"]}
    for runtime, words in _WORDS.items():
        if words & (names | kinds):
            return runtime
    if "choices" in keys:
        return "openai"
    if {"event", "run_id"} <= keys:
        return "hermes-run"
    if any(event["data"] == "object" and event["kind"] is not None for event in events):
        return "objects"
    return "text" if names <= {"message", "error"} else "named"


def _usage(instances: Sequence[Plain]) -> Changes:
    learned: Changes = {}
    providers = sorted(
        {name for instance in instances for seen in instance["usage"] for name in seen["providers"]}
    )
    if providers:
        learned["providers"] = tuple(providers)
    counted = [instance for instance in instances if instance["turns"] and instance["usage"]]
    if counted:
        rows = [row for instance in counted for row in _rows(instance["usage"], instance["turns"])]
        if rows:
            learned["llm_events_per_turn"] = round(statistics.median(rows))
    lags = [
        lag
        for instance in counted
        for turn in instance["turns"]
        for lag in _lag(instance["usage"], turn)
    ]
    if lags:
        learned["llm_events_lag"] = _seconds(statistics.median(lags))
    return learned


def _rows(usage: Sequence[Plain], turns: Sequence[Plain]) -> list[float]:
    """Return the rows of a turn of one instance, if its LLM events were counted after a turn."""
    before = [seen["count"] for seen in usage if seen["at"] <= turns[0]["at"]]
    looked_after = sum(_over(turn) <= usage[-1]["at"] for turn in turns)
    came = max(usage[-1]["count"] - (before[-1] if before else 0), 0)
    return [came / looked_after] if looked_after else []


def _over(turn: Plain) -> float:
    over: float = turn["at"] + (turn["seconds"] or 0.0)
    return over


def _lag(usage: Sequence[Plain], turn: Plain) -> list[float]:
    """Return the seconds from a turn's end until its count was first seen."""
    over = _over(turn)
    for before, after in itertools.pairwise(usage):
        if before["at"] < over <= after["at"] and after["count"] > before["count"]:
            return [after["at"] - over]
    return []


def _trouble(instances: Sequence[Plain]) -> Changes:
    """Return the most frequent trouble of requests, how frequent it is, and on which calls."""
    asked: list[tuple[Route, Trouble]] = [
        (exchange["call"], _trouble_of(exchange))
        for instance in instances
        for exchange in instance["exchanges"]
        if exchange["call"] in REPEATABLE
    ]
    bad = [(call, trouble) for call, trouble in asked if trouble != "none"]
    if not bad:
        return {}
    worst = statistics.mode(trouble for _, trouble in bad)
    calls = {call for call, trouble in bad if trouble == worst}
    hit = sum(trouble == worst for _, trouble in bad)
    # A run that succeeded met it now and then; on each request it would end everything.
    every = max(round(sum(call in calls for call, _ in asked) / hit), 2)
    return {
        "trouble": worst,
        "trouble_every": every,
        "trouble_calls": [call for call in REPEATABLE if call in calls],
    }


def _trouble_of(exchange: Plain) -> Trouble:
    if exchange["error"] is not None:
        return "lost"  # Or it never arrived: the harder case is the one to try.
    known: dict[int, Trouble] = {429: "limited", 503: "unavailable"}
    return known.get(exchange["status"], "none")


def _extra(answers: Sequence[Plain]) -> Changes:
    unknown = {
        name: kind
        for call, known in _FIELDS.items()
        for fields in _forms(answers, call)
        for name, kind in fields.items()
        if name not in known and not any(name in others for others in _FIELDS.values())
    }
    return {name: _SAMPLES[kind] for name, kind in sorted(unknown.items())}


def _span(instance: Plain, phase: str) -> Plain | None:
    return next((span for span in instance["spans"] if span["phase"] == phase), None)


def _begin(instance: Plain, phase: str) -> float | None:
    span = _span(instance, phase)
    return None if span is None else span["at"]


def _end(instance: Plain, phase: str) -> float | None:
    span = _span(instance, phase)
    return None if span is None else span["at"] + span["seconds"]


def _seconds(value: float) -> float:
    return round(max(value, 0.0), 3)
