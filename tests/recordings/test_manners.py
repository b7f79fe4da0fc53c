"""How a live run's router answers what the contract leaves open, as its report shows it."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from report_tools import a_report, an_instance, exchange, turn

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._core.sightings import form_of
from pytest_hydrasmoke._recordings.format import NotWrittenError
from pytest_hydrasmoke._recordings.manners import (
    QUESTIONS,
    answered,
    answers_in,
    as_text,
    drift,
    in_words,
    joined,
    seen_in,
    unknown,
)
from pytest_hydrasmoke._report.model import InstanceReport, StatusReport, TurnReport
from pytest_hydrasmoke._report.parts import (
    AnswerReport,
    CountReport,
    EventReport,
    Manners,
    SpanReport,
)
from pytest_hydrasmoke._sse.decoder import SseDecoder
from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import scripted
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import turn as stream_of

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
        spans=tuple(SpanReport(phase=name, at=at, seconds=took) for name, at, took in phases),
        exchanges=tuple(exchange("status", 12.0, status=code) for code in looks),
        turns=turns,
        usage=(
            CountReport(at=80.0, count=0, providers=()),
            CountReport(at=82.5, count=2, providers=("openai", "anthropic")),
        ),
    )


def answer(call: str, code: int = 200, **fields: str) -> AnswerReport:
    return AnswerReport(call=call, code=code, fields=fields)


def report(*instances: InstanceReport, **manners: Any) -> Report:
    return a_report(instances=instances, manners=Manners(drift=("odd",), **manners))


ANSWERS: list[tuple[list[AnswerReport], dict[str, list[object]]]] = [
    ([answer("provision", 202), answer("provision", 200)], {"provision_status": [202, 200]}),
    ([answer("provision", 202)], {"provision_instance_id": ["absent"]}),
    (
        [answer("provision", instance_id=kind) for kind in ("string", "null")],
        {"provision_instance_id": ["null", "present"]},
    ),
    ([answer("provision", 422)], {"provision_status": [], "provision_instance_id": []}),
    ([answer("poll", 404)], {"poll_before_row": ["404"]}),
    ([answer("poll", found="boolean")], {"poll_before_row": ["bare"]}),
    (
        [answer("poll", found="boolean", instance_id="null", status="null"), answer("poll", 404)],
        {"poll_before_row": ["404", "found_false"]},
    ),
    ([answer("poll", found="boolean", instance_id="string")], {"poll_before_row": []}),
    ([answer("status", hostname="string")], {"early_hostname": []}),
    (
        [answer("status", hostname="string"), answer("status", hostname="null")],
        {"early_hostname": ["null"]},
    ),
    ([answer("status", 404)], {"early_hostname": []}),
    ([answer("status", 403), answer("poll", 401)], {"unauthorized_status": [401, 403]}),
    ([answer("chat", 425), answer("chat", 200)], {"not_ready_status": [425]}),
    ([answer("poll", 503), answer("poll", 429)], {"not_ready_status": [], "rate_limit": [429]}),
    ([answer("delete"), answer("delete", 410)], {"second_delete": [410]}),
    (
        [answer("status", id="string", zone="string", size="object")],
        {"extra": [["size", "object"], ["zone", "string"]]},
    ),
]


@pytest.mark.parametrize(("answers", "expected"), ANSWERS)
def test_an_answers_form_is_told(
    answers: list[AnswerReport], expected: dict[str, list[object]]
) -> None:
    found = answered(Manners(answers=tuple(answers)))
    assert {name: found[name] for name in expected} == expected


def test_each_question_has_a_list_and_none_an_id_a_name_or_a_reply() -> None:
    cut, failed = said("the reply was cut: A word"), said("the agent reported an error: A word")
    seen = seen_in(
        report(instance(said(), cut, failed), instance(), answers=(*ANSWERS[2][0], *ANSWERS[-1][0]))
    )
    assert list(seen) == list(QUESTIONS)
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


def test_a_run_without_a_ready_instance_shows_nothing() -> None:
    assert seen_in(report(answers=[answer("provision")])) == {}
    assert seen_in(report(instance(phases=PHASES[:1]))) == {}


def test_an_attached_instance_has_no_boot() -> None:
    seen = seen_in(report(instance(statuses=(), phases=PHASES[1:2])))
    assert (seen["boot_words"], seen["ready_words"], seen["after_delete"]) == ([], [], [])


DELETED: list[tuple[tuple[str, ...], tuple[int | None, ...], list[str]]] = [
    (("deleting", "deleted"), (200, 200), ["row"]),
    (("deleting",), (200, 404), ["404"]),
    ((), (200, None, 404), ["404"]),
    ((), (200,), []),
]


@pytest.mark.parametrize(("words", "looks", "form"), DELETED)
def test_what_a_look_after_the_delete_shows(
    words: tuple[str, ...], looks: tuple[int | None, ...], form: list[str]
) -> None:
    statuses = (*BOOT, *((99.5 + number, word) for number, word in enumerate(words)))
    seen = seen_in(report(instance(statuses=statuses, looks=looks)))
    assert (seen["after_delete"], seen["gone_words"]) == (form, list(words))


ENDS: list[tuple[list[TurnReport], list[bool], list[str]]] = [
    ([said(complete=False)], [False], []),
    ([said(complete=False), said()], [True, False], []),
    ([said("the stream was cut in the middle of an event: lost")], [], ["cut"]),
    ([said("the turn did not end within 120 s")], [], ["stall"]),
    ([said("the stream ended without a single event")], [], []),
]


@pytest.mark.parametrize(("turns", "terminal", "fails"), ENDS)
def test_how_turns_end(turns: list[TurnReport], terminal: list[bool], fails: list[str]) -> None:
    seen = seen_in(report(instance(*turns)))
    assert (seen["terminal"], seen["agent_fails"]) == (terminal, fails)


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_each_runtime_is_known_by_its_stream_and_its_failure(runtime: Any) -> None:
    tool = {"name": "look", "arguments": {"city": "Oslo"}, "result": "cold"}
    script = {"match": "", "text": "It is cold.", "reasoning": "Hm.", "tool_calls": [tool]}
    made = stream_of(Scenario(runtime=runtime), scripted([script])[0].said("x", 0))
    for parts in ((*made.spoken, *made.closing), made.spoken, (*made.spoken, made.error)):
        forms = {form_of(it) for it in SseDecoder().feed(b"".join(parts))}
        events = tuple(
            EventReport(event=it.event, data=it.data, keys=it.keys, kind=it.kind) for it in forms
        )
        assert answered(Manners(events=events))["runtime"] == [runtime]


def test_a_router_without_chats_shows_no_runtime() -> None:
    assert answered(Manners())["runtime"] == []


# The file

KNOWN = {"provision_status": [200], "terminal": [True], "extra": [["zone", "string"]], "new": [1]}


def test_there_and_back_with_a_line_for_each_question() -> None:
    text = as_text({**KNOWN, "providers": []})
    assert text.splitlines() == [
        '{"format": "pytest-hydrasmoke router", "version": 1,',
        '"provision_status": [200],',
        '"terminal": [true],',
        '"extra": [["zone", "string"]],',
        '"new": [1]}',
    ]
    assert answers_in(text.encode()) == KNOWN


def test_later_runs_only_add() -> None:
    seen = {"provision_status": [202, 200], "providers": ["openai"], "terminal": []}
    every = joined(KNOWN, seen)
    assert every == {**KNOWN, "provision_status": [200, 202], "providers": ["openai"]}
    assert joined(every, seen) == every
    assert unknown(KNOWN, seen) == {"provision_status": [202], "providers": ["openai"]}
    assert joined({}, seen) == {"provision_status": [202, 200], "providers": ["openai"]}


def test_answers_in_words() -> None:
    odd = {"early_hostname": ["null"], "gone_words": ["\x1b[31m"], "poll_before_row": []}
    assert list(in_words({**KNOWN, **odd})) == [
        "success code of provision: 200",
        "hostname before the boot ends: null",
        "terminal event at a turn's end: yes",
        "status words after delete: \\x1b[31m",
        'fields that the contract does not know: ["zone", "string"]',
    ]


def test_an_answer_that_is_not_in_it_is_drift() -> None:
    assert list(drift(KNOWN, {"provision_status": [200, 202], "rate_limit": [429]})) == [
        "drift: success code of provision: 202, and router.json has 200",
        "drift: rate limit: 429, and router.json has nothing",
    ]


DAMAGED = [
    (b"", "JSONDecodeError: Expecting value"),
    (b"<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n", "JSONDecodeError: Expecting value"),
    (b"\xff", "UnicodeDecodeError: "),
    (b"[" * 100_000, "RecursionError: "),
    (b"[]", "it is not the file that a run writes"),
    (b'{"schema_version": 2}', "it is not the file that a run writes"),
    (
        as_text({"rate_limit": [429]}).replace("[429]", "429").encode(),
        "not every question in it has a list of answers",
    ),
]


@pytest.mark.parametrize(("text", "problem"), DAMAGED)
def test_a_damaged_file_is_no_reason_to_lose_what_it_holds(text: bytes, problem: str) -> None:
    with pytest.raises(NotWrittenError) as caught:
        answers_in(text)
    assert str(caught.value).startswith(f"it is damaged: {problem}")
    assert str(caught.value).endswith(
        ": mend it, for example from version control, or move it away, and a run makes it anew"
    )


def test_a_file_of_another_version_is_left_to_its_release() -> None:
    text = json.dumps({"format": "pytest-hydrasmoke router", "version": 2}).encode()
    told = "^it has version 2 of the format, and this release writes 1: update pytest-hydrasmoke, "
    with pytest.raises(NotWrittenError, match=told):
        answers_in(text)
