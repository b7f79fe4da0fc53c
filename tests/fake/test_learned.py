"""A fake that is taught by the report of a run: the same manners again."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from pytest_hydrasmoke._core.sightings import form_of
from pytest_hydrasmoke._sse.decoder import SseDecoder
from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.from_report import scenario_of
from pytest_hydrasmoke.fake.replies import Reply
from pytest_hydrasmoke.fake.scenario import REPEATABLE, Runtime
from pytest_hydrasmoke.fake.sse_events import turn as stream_of

FIELDS = {
    "provision": {"idempotency_key": "string", "instance_id": "string", "task_id": "string"},
    "poll": {"found": "boolean", "instance_id": "string", "status": "string"},
    "status": {"id": "string", "hostname": "string", "status": "string"},
}


def answer(call: str, code: int = 200, **fields: str | None) -> dict[str, Any]:
    """An answer's form: that of the plainest router, with changes; None for absent."""
    if code >= 300:
        return {"call": call, "code": code, "fields": {}}
    mixed = {**FIELDS.get(call, {}), **fields}
    return {"call": call, "code": code, "fields": {k: v for k, v in mixed.items() if v}}


def span(phase: str, at: float, seconds: float) -> dict[str, Any]:
    return {"phase": phase, "at": at, "seconds": seconds}


def event(name: str, data: str, *keys: str, kind: str | None = None) -> dict[str, Any]:
    return {"event": name, "data": data, "keys": list(keys), "kind": kind}


def told(*answers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A report of one instance that was provisioned, chatted with and deleted."""
    instance = {
        "spans": [
            span("provision", 0.0, 0.5),
            span("row", 0.5, 2.5),
            span("ready", 3.0, 60.0),
            span("delete", 80.0, 1.0),
        ],
        "statuses": [
            {"at": 3.0, "word": "Queued"},
            {"at": 8.0, "word": "Booting"},
            {"at": 63.0, "word": "Up"},
        ],
        "turns": [],
        "usage": [],
        "exchanges": [],
        **changes.pop("instance", {}),
    }
    manners = {"answers": list(answers), "events": changes.pop("events", [])}
    return {"schema_version": 1, "instances": [instance], "manners": manners, **changes}


@pytest.mark.parametrize("version", [1, 2])
def test_a_boot_is_played_as_it_was_seen(version: int) -> None:
    scenario = scenario_of(told(schema_version=version))
    assert scenario.row_after == 2.5
    assert scenario.statuses == ((0.0, "Queued"), (5.0, "Booting"), (60.0, "Up"))
    assert scenario.ready_words == ("Up",)


def test_the_last_word_of_a_boot_is_not_lost_to_rounding() -> None:
    # 0.038 + 0.283 is less than 0.321, in floating point; and both were rounded before.
    spans = [span("row", 0.0, 0.01), span("ready", 0.038, 0.283)]
    for at in (0.321, 0.322):
        words = [{"at": 0.032, "word": "booting"}, {"at": at, "word": "running"}]
        scenario = scenario_of(told(instance={"spans": spans, "statuses": words}))
        assert scenario.ready_words == ("running",)


PROVISION: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    ([answer("provision", 202, instance_id="null")], {"provision_status": 202}),
    ([answer("provision", 201, instance_id=None)], {"provision_instance_id": "absent"}),
    ([answer("provision", instance_id="null")], {"provision_instance_id": "null"}),
    ([answer("provision"), answer("provision", 422)], {"provision_instance_id": "present"}),
    ([answer("poll", 404)], {"poll_before_row": "404"}),
    ([answer("poll", instance_id=None, status=None)], {"poll_before_row": "bare"}),
    ([answer("poll", instance_id="null", status="null")], {"poll_before_row": "found_false"}),
    ([answer("status")], {"early_hostname": True}),
    ([answer("status"), answer("status", hostname="null")], {"early_hostname": False}),
    ([answer("status", 403)], {"unauthorized_status": 403}),
    ([answer("llm_events", 401)], {"unauthorized_status": 401}),
    ([answer("chat", 425), answer("chat", 200)], {"not_ready_status": 425}),
    ([answer("delete", 410)], {"second_delete": 410}),
    ([answer("status", zone="string", size="object")], {"extra": {"size": {}, "zone": ""}}),
    ([], {"provision_status": 200, "second_delete": 404, "extra": {}}),
]


@pytest.mark.parametrize(("answers", "changes"), PROVISION)
def test_an_answers_form_is_played(answers: list[Any], changes: dict[str, Any]) -> None:
    scenario = scenario_of(told(*answers))
    assert {name: getattr(scenario, name) for name in changes} == changes


def test_a_second_delete_that_succeeds_is_played() -> None:
    scenario = scenario_of(told(answer("delete")))
    assert scenario.second_delete == 200


def test_a_row_that_stays_after_the_delete_is_played() -> None:
    words = [{"at": 3.0, "word": "up"}, {"at": 80.5, "word": "terminated"}]
    scenario = scenario_of(told(instance={"statuses": words}))
    assert (scenario.after_delete, scenario.gone_word) == ("row", "terminated")
    assert scenario.cleaned_word is None
    words += [{"at": 85.0, "word": "deleted"}]
    scenario = scenario_of(told(instance={"statuses": words}))
    assert (scenario.gone_word, scenario.cleaned_word) == ("terminated", "deleted")


@pytest.mark.parametrize(
    ("events", "runtime"),
    [
        ([event("message", "object", "choices"), event("message", "done")], "openai"),
        ([event("message_start", "object", "type", kind="message_start")], "anthropic"),
        ([event("message", "object", "content", "type", kind="token")], "objects"),
        ([event("token", "text"), event("done", "text")], "named"),
        ([event("message", "text"), event("message", "done")], "text"),
    ],
)
def test_a_runtimes_frames_are_played(events: list[Any], runtime: str) -> None:
    assert scenario_of(told(events=events)).runtime == runtime


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_each_runtime_is_known_by_its_stream_and_its_failure(runtime: Any) -> None:
    tool = {"name": "look", "arguments": {"city": "Oslo"}, "result": "cold"}
    script = {"match": "", "text": "It is cold.", "reasoning": "Hm.", "tool_calls": [tool]}
    made = stream_of(Scenario(runtime=runtime), Reply(**script).said("x", 0))

    def seen(*parts: bytes) -> list[dict[str, Any]]:
        forms = {form_of(it) for it in SseDecoder().feed(b"".join(parts))}
        return [event(it.event, it.data, *it.keys, kind=it.kind) for it in forms]

    assert scenario_of(told(events=seen(*made.spoken, *made.closing))).runtime == runtime
    dead = turn(64.0, complete=False, error="the agent has failed")
    for parts, dies in (((*made.spoken,), "cut"), ((*made.spoken, made.error), "error")):
        found = scenario_of(told(instance={"turns": [dead]}, events=seen(*parts)))
        assert (found.runtime, found.agent_dies) == (runtime, dies)


def turn(at: float, **changes: Any) -> dict[str, Any]:
    return {"at": at, "seconds": 2.0, "arrivals": [0.5, 1.0, 1.5]} | {
        "events": 3,
        "complete": True,
        "error": None,
        **changes,
    }


def usage(at: float, count: int, *providers: str) -> dict[str, Any]:
    return {"at": at, "count": count, "providers": list(providers)}


def test_a_turns_pace_and_end_are_played() -> None:
    paced = scenario_of(told(instance={"turns": [turn(64.0), turn(70.0, arrivals=[])]}))
    assert (paced.first_event_after, paced.event_pause) == (0.5, 0.5)
    endless = scenario_of(told(instance={"turns": [turn(64.0, complete=False)]}))
    assert not endless.terminal


def test_an_agent_that_died_in_every_turn_dies_again() -> None:
    died = turn(64.0, complete=False, error="the stream was cut")
    cut = scenario_of(told(instance={"turns": [died]}))
    assert (cut.agent_dies, cut.agent_dies_after, cut.terminal) == ("cut", 3, False)
    ended = turn(64.0, complete=False, error="the reply was cut: its stream ended")
    assert scenario_of(told(instance={"turns": [ended]})).agent_dies == "end"
    assert scenario_of(told(instance={"turns": [ended, died]})).agent_dies == "cut"
    late = turn(64.0, complete=False, error="the turn did not end within 120 s")
    assert scenario_of(told(instance={"turns": [late]})).agent_dies == "stall"
    assert scenario_of(told(instance={"turns": [late, ended]})).agent_dies == "cut"
    seen = [event("token", "text"), event("error", "text")]
    error = scenario_of(told(instance={"turns": [died]}, events=seen))
    assert (error.agent_dies, error.agent_dies_after) == ("error", 2)
    assert scenario_of(told(instance={"turns": [died, turn(70.0)]})).agent_dies == "never"


def exchanges(call: str, *outcomes: int | str) -> list[dict[str, Any]]:
    return [
        {"call": call, "status": it, "error": None}
        if isinstance(it, int)
        else {"call": call, "status": None, "error": it}
        for it in outcomes
    ]


TROUBLES: list[tuple[list[dict[str, Any]], tuple[Any, ...]]] = [
    (exchanges("poll", 200, 200, 404), ("none", 2, REPEATABLE)),
    (exchanges("poll", 503, 200, 503, 200, 200, 200), ("unavailable", 3, ("poll",))),
    (exchanges("delete", 429, 429, 200), ("limited", 2, ("delete",))),
    (
        [*exchanges("status", "cut", 200), *exchanges("provision", "lost", 503, 200)],
        ("lost", 2, ("provision", "status")),
    ),
    (exchanges("chat", 503, 503, 200), ("none", 2, REPEATABLE)),
]


@pytest.mark.parametrize(("seen", "expected"), TROUBLES)
def test_trouble_is_played(seen: list[dict[str, Any]], expected: tuple[Any, ...]) -> None:
    scenario = scenario_of(told(instance={"exchanges": seen}))
    played = (scenario.trouble, scenario.trouble_every, scenario.trouble_calls)
    assert played == expected


def test_usage_is_played_with_its_lag() -> None:
    seen = [usage(63.5, 0), usage(66.75, 2, "openai", "anthropic"), usage(71.0, 4, "openai")]
    scenario = scenario_of(told(instance={"turns": [turn(64.0), turn(68.5)], "usage": seen}))
    assert scenario.providers == ("anthropic", "openai")
    assert scenario.llm_events_per_turn == 2
    assert scenario.llm_events_lag == pytest.approx(0.625)


def test_a_turn_that_was_never_counted_tells_nothing_of_its_usage() -> None:
    broken = turn(64.0, seconds=None)
    counted = [usage(63.5, 0)]
    scenario = scenario_of(told(instance={"turns": [broken], "usage": counted}))
    given = Scenario()
    assert scenario.llm_events_per_turn == given.llm_events_per_turn == 1
    assert scenario.llm_events_lag == given.llm_events_lag


@pytest.mark.parametrize(
    ("seen", "rows"),
    [
        ([usage(63.5, 0), usage(68.0, 2, "openai")], 2),  # The second turn was not counted.
        ([usage(63.5, 0), usage(68.0, 0), usage(71.0, 0)], 0),
        ([usage(63.5, 8, "openai"), usage(71.0, 10, "openai")], 1),  # Eight are of earlier turns.
    ],
)
def test_rows_are_those_that_came_between_looks(seen: list[dict[str, Any]], rows: int) -> None:
    scenario = scenario_of(told(instance={"turns": [turn(64.0), turn(68.5)], "usage": seen}))
    assert scenario.llm_events_per_turn == rows


def test_an_attached_instance_teaches_its_chats_and_no_boot() -> None:
    scenario = scenario_of(told(instance={"spans": [span("ready", 0.0, 0.1)], "statuses": []}))
    assert (scenario.row_after, scenario.statuses) == (Scenario().row_after, Scenario().statuses)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({}, "schema_version is None, and only 1 and 2 are understood"),
        ({"schema_version": 3}, "schema_version is 3, and only 1 and 2 are understood"),
        ({"schema_version": 1}, "it is not a whole report: KeyError"),
        ({"schema_version": 1, "instances": 5}, "it is not a whole report: TypeError"),
        ({"schema_version": 1, "instances": []}, "no instance in it got ready"),
        (told(instance={"spans": []}), "no instance in it got ready"),
    ],
)
def test_what_teaches_nothing_is_told(report: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        scenario_of(report)
