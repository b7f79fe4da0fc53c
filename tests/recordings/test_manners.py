"""How a live run's router answers what the contract leaves open, as its report shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from report_tools import a_report, an_instance, exchange, turn

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._core.sightings import form_of
from pytest_hydrasmoke._recordings import manners as kept
from pytest_hydrasmoke._recordings.format import NotWrittenError
from pytest_hydrasmoke._report import parts
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._report.parts import StatusReport, TurnReport
from pytest_hydrasmoke._sse.decoder import SseDecoder
from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import scripted
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import encode

PHASES = (("provision", 10.0, 0.5), ("ready", 11.5, 60.0), ("delete", 99.0, 0.25))
BOOT = ((12.0, "Queued"), (13.0, "booting"), (71.5, "Up"))


def said(error: str | None = None, *, complete: bool = True) -> TurnReport:
    ended = {"seconds": None if error else 2.0, "complete": complete and error is None}
    return turn(80.0, message="A word", text="Words", error=error, **ended)


def instance(
    *turns: TurnReport,
    statuses: tuple[tuple[float, str], ...] = BOOT,
    looks: tuple[int | None, ...] = (200,),
    phases: tuple[tuple[str, float, float], ...] = PHASES,
) -> InstanceReport:
    return an_instance(
        statuses=tuple(StatusReport(at=at, word=word) for at, word in statuses),
        spans=tuple(parts.SpanReport(phase=name, at=at, seconds=took) for name, at, took in phases),
        exchanges=tuple(exchange("status", 12.0, status=code) for code in looks),
        turns=turns,
        usage=(
            parts.CountReport(at=80.0, count=0, providers=()),
            parts.CountReport(at=82.5, count=2, providers=("openai", "anthropic")),
        ),
    )


def answer(call: str, code: int = 200, **fields: str) -> parts.AnswerReport:
    return parts.AnswerReport(call=call, code=code, fields=fields)


def report(*instances: InstanceReport, **manners: Any) -> Report:
    return a_report(instances=instances, manners=parts.Manners(drift=("odd",), **manners))


NULLS = {"found": "boolean", "instance_id": "null", "status": "null"}
NAMED, NAMELESS = answer("status", hostname="string"), answer("status", hostname="null")
KINDS = [answer("provision", instance_id=kind) for kind in ("string", "null")]
UNKNOWN = answer("status", id="string", zone="string", size="object")
# A question, the answers to calls, and what they tell of it.
ANSWERS: list[tuple[str, list[parts.AnswerReport], list[object]]] = [
    ("provision_status", [answer("provision", code) for code in (200, 202, 201)], [202, 201, 200]),
    ("provision_status", [answer("provision", 422)], []),
    ("provision_instance_id", [answer("provision", 422), answer("provision", 300)], []),
    ("provision_instance_id", [answer("provision", 202)], ["absent"]),
    ("provision_instance_id", KINDS, ["null", "present"]),
    ("poll_before_row", [answer("poll", 404)], ["404"]),
    ("poll_before_row", [answer("poll", found="boolean")], ["bare"]),
    ("poll_before_row", [answer("poll", **NULLS), answer("poll", 404)], ["404", "found_false"]),
    ("poll_before_row", [answer("poll", found="boolean", instance_id="string")], []),
    ("early_hostname", [NAMED, answer("status", 404)], []),
    ("early_hostname", [NAMED, NAMELESS], ["null"]),
    ("unauthorized_status", [answer("status", 403), answer("poll", 401)], [401, 403]),
    ("not_ready_status", [answer("chat", 425), answer("chat"), answer("poll", 503)], [425]),
    ("not_ready_status", [answer("chat", 503), answer("chat", 409)], [409, 503]),
    ("rate_limit", [answer("poll", 503), answer("poll", 429)], [429]),
    ("second_delete", [answer("delete", code) for code in (200, 410, 409, 404)], [404, 409, 410]),
    ("extra", [UNKNOWN], [["size", "object"], ["zone", "string"]]),
]


@pytest.mark.parametrize(("question", "answers", "expected"), ANSWERS)
def test_an_answers_form_is_told(
    question: str, answers: list[parts.AnswerReport], expected: list[object]
) -> None:
    assert kept.answered(parts.Manners(answers=tuple(answers)))[question] == expected


def test_each_question_has_a_list_and_none_an_id_a_name_or_a_reply() -> None:
    cut, failed = said("the reply was cut: A word"), said("the agent reported an error: A word")
    made = report(instance(said(), cut, failed), instance(), answers=[*KINDS, UNKNOWN])
    seen = kept.seen_in(made)
    assert list(seen) == list(kept.QUESTIONS)
    assert {name: answers for name, answers in seen.items() if answers} == {
        "provision_status": [200],
        "provision_instance_id": ["null", "present"],
        "boot_words": ["Queued", "booting"],
        "ready_words": ["Up"],
        "terminal": [True],
        "agent_fails": ["end", "error"],
        "early_hostname": ["null"],
        "providers": ["anthropic", "openai"],
        "extra": [["size", "object"], ["zone", "string"]],
    }
    # Without a ready instance a run shows nothing, and an attached one has no boot.
    assert kept.seen_in(report(answers=[answer("provision")])) == {}
    assert kept.seen_in(report(instance(phases=PHASES[:1]))) == {}
    seen = kept.seen_in(report(ATTACHED))
    assert (seen["boot_words"], seen["ready_words"], seen["after_delete"]) == ([], [], [])


ATTACHED = instance(statuses=(), phases=PHASES[1:2])
CUT_SHORT = "the stream was cut in the middle of an event: lost"
# Turns, or the words and codes of looks after the delete; what is seen of them.
SEEN: list[tuple[InstanceReport, dict[str, list[object]]]] = [
    (instance(said(complete=False)), {"terminal": [False], "agent_fails": []}),
    (instance(said(complete=False), said()), {"terminal": [True, False], "agent_fails": []}),
    (instance(said(CUT_SHORT)), {"terminal": [], "agent_fails": ["cut"]}),
    (instance(said("the turn did not end within 120 s")), {"agent_fails": ["stall"]}),
    (
        instance(said("the stream ended without a single event")),
        {"terminal": [], "agent_fails": []},
    ),
    *(
        (
            instance(
                statuses=(*BOOT, *((99.5 + at, word) for at, word in enumerate(words))), looks=looks
            ),
            {"after_delete": form, "gone_words": words},
        )
        for words, looks, form in (
            (["deleting", "deleted"], (200, 200), ["row"]),
            (["deleting"], (200, 404), ["404"]),
            ([], (200, None, 404), ["404"]),
            ([], (200,), []),
        )
    ),
    # Seen as the delete began, and not after it.
    (instance(statuses=(*BOOT, (PHASES[2][1], "Up"))), {"after_delete": [], "gone_words": []}),
]


@pytest.mark.parametrize(("one", "expected"), SEEN)
def test_how_turns_end_and_what_a_look_after_the_delete_shows(
    one: InstanceReport, expected: dict[str, list[object]]
) -> None:
    seen = kept.seen_in(report(ATTACHED, one))
    assert {name: seen[name] for name in expected} == expected


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_each_runtime_is_known_by_its_stream_and_its_failure(runtime: Any) -> None:
    tool = {"name": "look", "arguments": {"city": "Oslo"}, "result": "cold"}
    script = {"match": "", "text": "It is cold.", "reasoning": "Hm.", "tool_calls": [tool]}
    made = encode(Scenario(runtime=runtime), scripted([script])[0].said("x", 0))
    for stream in ((*made.spoken, *made.closing), made.spoken, (*made.spoken, made.error)):
        forms = {form_of(it) for it in SseDecoder().feed(b"".join(stream))}
        events = tuple(
            parts.EventReport(event=it.event, data=it.data, keys=it.keys, kind=it.kind)
            for it in forms
        )
        assert kept.answered(parts.Manners(events=events))["runtime"] == [runtime]
    assert kept.answered(parts.Manners())["runtime"] == []


# The file

KNOWN = {"provision_status": [200], "terminal": [True], "extra": [["zone", "string"]], "new": [1]}


def test_there_and_back_with_a_line_for_each_question() -> None:
    text = kept.as_text({**KNOWN, "providers": []})
    assert text.splitlines() == [
        '{"format": "pytest-hydrasmoke router", "version": 1,',
        '"provision_status": [200],',
        '"terminal": [true],',
        '"extra": [["zone", "string"]],',
        '"new": [1]}',
    ]
    assert kept.answers_in(text.encode()) == KNOWN


def test_later_runs_only_add_and_what_they_add_is_drift(tmp_path: Path) -> None:
    seen = {"provision_status": [202, 200], "providers": ["openai"], "terminal": []}
    every = kept.joined(KNOWN, seen)
    assert every == {**KNOWN, "provision_status": [200, 202], "providers": ["openai"]}
    assert kept.joined(every, seen) == every
    assert kept.unknown(KNOWN, seen) == {"provision_status": [202], "providers": ["openai"]}
    assert kept.joined({}, seen) == {"provision_status": [202, 200], "providers": ["openai"]}
    file = tmp_path / "router.json"
    assert kept.known_in(file) == {}
    assert list(kept.update(file, KNOWN)) == []
    told = [
        "drift: success code of provision: 202, and router.json has 200",
        "drift: providers of LLM events: openai, and router.json has nothing",
    ]
    assert list(kept.drift(KNOWN, seen)) == list(kept.update(file, seen)) == told
    assert list(kept.update(file, seen)) == []
    assert kept.known_in(file) == every


def test_answers_in_words() -> None:
    odd = {"early_hostname": ["null"], "gone_words": ["\x1b[31m"], "poll_before_row": []}
    more = {"ready_words": ["Up", "w" * 300], "terminal": [True, False]}
    assert list(kept.in_words({**KNOWN, **odd, **more})) == [
        "success code of provision: 200",
        f"status of a ready instance: Up, {'w' * 296}… (4 more characters)",
        "hostname before the boot ends: null",
        "terminal event at a turn's end: yes, no",
        "status words after delete: \\x1b[31m",
        'fields that the contract does not know: ["zone", "string"]',
    ]


DAMAGED = [
    (b"", "JSONDecodeError: Expecting value"),
    (b"<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n", "JSONDecodeError: Expecting value"),
    (b"\xff", "UnicodeDecodeError: "),
    (b"[" * 100_000, "RecursionError: "),
    (b"[]", "it is not the file that a run writes"),
    (b'{"schema_version": 2}', "it is not the file that a run writes"),
    (
        kept.as_text({"rate_limit": [429]}).replace("[429]", "429").encode(),
        "not every question in it has a list of answers",
    ),
]


@pytest.mark.parametrize(("text", "problem"), DAMAGED)
def test_a_damaged_file_is_no_reason_to_lose_what_it_holds(text: bytes, problem: str) -> None:
    with pytest.raises(NotWrittenError) as caught:
        kept.answers_in(text)
    assert str(caught.value).startswith(f"it is damaged: {problem}")
    assert str(caught.value).endswith(
        ": mend it, for example from version control, or move it away, and a run makes it anew"
    )
    for version in ({"version": 2}, {}):
        other = json.dumps({"format": "pytest-hydrasmoke router", **version}).encode()
        told = (
            "^it has version (2|None) of the format, and this release writes 1: update "
            "pytest-hydrasmoke, or move it away, and a run makes it anew$"
        )
        with pytest.raises(NotWrittenError, match=told):
            kept.answers_in(other)
