"""What a folder of recordings tells of the router: what the fake learns, and no more than that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report.manners import AnswerReport, EventReport, Manners
from pytest_hydrasmoke._report.model import InstanceReport, StatusReport, TurnReport
from pytest_hydrasmoke._report.moments import CountReport, ExchangeReport, SpanReport
from pytest_hydrasmoke._run.router_forms import FormsError, forms_of
from pytest_hydrasmoke.fake.from_report import scenario_of

ID, HOST, KEY = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11", "agent-17.example", "night-0"
PHASES = (
    ("provision", 10.0, 0.5),
    ("row", 10.5, 1.0),
    ("ready", 11.5, 60.0),
    ("turn", 80.0, 2.0),
    ("delete", 99.1234567, 0.25),
)


EVENT = EventReport(event="message", data="object", keys=("delta", "type"), kind="text-delta")


def said(at: float, error: str | None = None) -> TurnReport:
    return TurnReport(
        at=at,
        message="A word",
        text="Words",
        events=3,
        arrivals=tuple(0.4 + 0.1 * number for number in range(50)),
        seconds=None if error else 2.0,
        complete=error is None,
        error=error,
    )


def instance(
    *turns: TurnReport, status: int | None = 200, error: str | None = None
) -> InstanceReport:
    return InstanceReport(
        id=ID,
        idempotency_key=KEY,
        hostname=HOST,
        spec=None,
        outcome="deleted",
        leak=None,
        failed=False,
        began=datetime(2026, 11, 26, tzinfo=UTC),
        phases={},
        chats=1,
        requests={},
        retries=0,
        notes=("a note",),
        drift=(),
        statuses=(StatusReport(at=12.0, word="booting"), StatusReport(at=71.0, word="running")),
        spans=tuple(SpanReport(phase=name, at=at, seconds=took) for name, at, took in PHASES),
        exchanges=tuple(
            ExchangeReport(
                call="status",
                method="GET",
                path=f"/instances/{ID}",
                attempt=1,
                at=12.0,
                seconds=0.1,
                status=code,
                error=lost,
            )
            for code, lost in ((200, None), (status, error), (200, None))
        ),
        turns=turns,
        usage=(
            CountReport(at=80.0, count=0, providers=()),
            CountReport(at=82.5, count=len(turns), providers=("anthropic",)),
        ),
        failures=(),
    )


def report(*instances: InstanceReport, **fields: str) -> Report:
    answer = AnswerReport(call="status", code=200, fields={"id": "string", **fields})
    return Report(
        run_id="night",
        fake=False,
        url="https://router.example",
        began=datetime(2026, 11, 26, tzinfo=UTC),
        seconds=90.0,
        exit_code=0,
        instances=instances,
        manners=Manners(answers=(answer,), events=(EVENT,), drift=("odd",)),
    )


def forms(*instances: InstanceReport, **fields: str) -> Any:
    text = forms_of(report(*instances, **fields), None)
    assert text is not None
    return json.loads(text)


def test_each_moment_and_each_field_of_a_form_has_a_line() -> None:
    text = forms_of(report(instance(said(80.0))), None)
    arrivals = [round(0.4 + 0.1 * number, 3) for number in range(20)]
    said_so = f'"complete": true, "events": 3, "arrivals": {arrivals}, "error": null'
    assert text is not None
    assert text.splitlines() == [
        "{",
        '"schema_version": 2,',
        '"instances": [',
        "{",
        '"spans": [',
        '{"phase": "provision", "at": 0.0, "seconds": 0.5},',
        '{"phase": "row", "at": 0.5, "seconds": 1.0},',
        '{"phase": "ready", "at": 1.5, "seconds": 60.0},',
        '{"phase": "delete", "at": 89.123, "seconds": 0.25}',
        "],",
        '"statuses": [',
        '{"at": 2.0, "word": "booting"},',
        '{"at": 61.0, "word": "running"}',
        "],",
        '"turns": [',
        f'{{"at": 70.0, "seconds": 2.0, {said_so}}}',
        "],",
        '"usage": [',
        '{"at": 70.0, "count": 0, "providers": []},',
        '{"at": 72.5, "count": 1, "providers": ["anthropic"]}',
        "],",
        '"exchanges": []',
        "}",
        "],",
        '"manners": {',
        '"answers": [',
        "{",
        '"call": "status",',
        '"code": 200,',
        '"fields": {"id": "string"}',
        "}",
        "],",
        '"events": [',
        "{",
        '"event": "message",',
        '"data": "object",',
        '"keys": ["delta", "type"],',
        '"kind": "text-delta"',
        "}",
        "]",
        "}",
        "}",
    ]


TROUBLES = [(200, None, False), (404, None, False), (429, None, True), (503, None, True)]


@pytest.mark.parametrize(("status", "error", "kept"), [*TROUBLES, (None, "reset by peer", True)])
def test_exchanges_are_kept_where_the_router_was_in_trouble(
    status: int | None, error: str | None, kept: bool
) -> None:
    [told] = forms(instance(status=status, error=error))["instances"]
    well = {"call": "status", "status": 200, "error": None}
    other = {"call": "status", "status": status, "error": error and "lost"}
    assert told["exchanges"] == ([well, other, well] if kept else [])


def test_that_an_instance_was_not_found_in_the_end_is_kept() -> None:
    whole = instance(said(80.0))
    last = whole.exchanges[-1].model_copy(update={"status": 404})
    gone = whole.model_copy(
        update={
            "statuses": (*whole.statuses, StatusReport(at=100.0, word="stopping")),
            "exchanges": (*whole.exchanges, last),
        }
    )
    [told] = forms(gone)["instances"]
    assert told["exchanges"] == [{"call": "status", "status": 404, "error": None}]
    scenario = scenario_of(forms(gone))
    assert (scenario.after_delete, scenario.gone_word) == ("404", "deleted")
    assert scenario == scenario_of(report(gone).model_dump(mode="json"))


@pytest.mark.parametrize("status", [200, 503])
def test_the_fake_learns_from_it_what_it_learns_from_the_report(status: int) -> None:
    whole = report(instance(said(80.0), said(85.0), status=status), region="string")
    learned = scenario_of(forms(*whole.instances, region="string"))
    assert learned == scenario_of(whole.model_dump(mode="json"))
    assert learned.trouble == ("unavailable" if status == 503 else "none")


def test_no_id_no_name_no_word_and_no_time_of_day_is_in_it() -> None:
    cut, failed = "the reply was cut: A word", "the agent reported an error: A word"
    text = forms_of(report(instance(said(80.0, cut), said(81.0, failed), status=503)), None)
    assert text is not None
    for word in (ID, HOST, KEY, "A word", "Words", "note", "odd", "2026", "router.example"):
        assert word not in text
    assert [it["error"] for it in json.loads(text)["instances"][0]["turns"]] == [
        "the reply was cut",
        "it failed",
    ]
    assert json.loads(text)["instances"][0]["statuses"][0] == {"at": 2.0, "word": "booting"}
    assert max(map(len, text.splitlines())) < 300


def test_once_there_only_new_forms_are_added() -> None:
    first = forms_of(report(instance(said(80.0))), None)
    assert first is not None
    assert forms_of(report(instance(said(90.0), said(99.0))), first.encode()) is None
    assert forms_of(report(), first.encode()) is None
    more = forms_of(report(region="string"), first.encode())
    assert more is not None
    old, new = json.loads(first), json.loads(more)
    assert old["instances"] == new["instances"]
    assert len(new["manners"]["answers"]) == 2


def test_in_what_order_a_form_has_its_keys_is_no_matter() -> None:
    whole = report(instance(said(80.0)), region="string")
    old = json.loads(forms_of(whole, None) or "")
    for some in old["manners"].values():
        some[:] = [dict(reversed(form.items())) for form in some]
    old["manners"]["answers"][0]["fields"] = {"region": "string", "id": "string"}
    assert forms_of(whole, json.dumps(old).encode()) is None


MARKERS = b"<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n"
MANNERS = b'{"schema_version": 2, "instances": [{}], "manners": %b}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "it is damaged: JSONDecodeError: Expecting value"),
        (MARKERS, "it is damaged: JSONDecodeError: Expecting value"),
        (b"\xff", "it is damaged: UnicodeDecodeError: "),
        (b"[" * 100_000, "it is damaged: RecursionError: "),
        (b"[]", "it is damaged: it has no instances and manners"),
        (b'{"schema_version": 2}', "it is damaged: it has no instances and manners"),
        (MANNERS % b"[]", "it is damaged: it has no instances and manners"),
        (MANNERS % b'{"answers": 1}', "it is damaged: it has no instances and manners"),
        (MANNERS % b'{"answers": [1]}', "it is damaged: it has no instances and manners"),
        (MANNERS.replace(b"[{}]", b"{}") % b"{}", "it is damaged: it has no instances"),
    ],
)
@pytest.mark.parametrize("instances", [(), (instance(),)])
def test_a_damaged_file_is_no_reason_to_lose_what_it_holds(
    text: bytes, problem: str, instances: tuple[InstanceReport, ...]
) -> None:
    with pytest.raises(FormsError) as caught:
        forms_of(report(*instances), text)
    assert str(caught.value).startswith(problem)
    assert str(caught.value).endswith(
        ": mend it, for example from version control, or move it away, and a run makes it anew"
    )


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        ("3", "update pytest-hydrasmoke, or move it away"),
        # With these, an update does not help.
        ("1", "move it away"),
        ("2.5", "move it away"),
        ("null", "move it away"),
    ],
)
def test_a_file_of_another_version_is_left_to_its_release(version: str, remedy: str) -> None:
    text = (MANNERS % b"{}").replace(b": 2", f": {version}".encode())
    told = f"^it has the schema_version {version.replace('null', 'None')}, and this release writes "
    with pytest.raises(match=f"{told}2: {remedy}, and a run makes it anew$"):
        forms_of(report(instance()), text)


def test_a_file_without_instances_gets_them_and_keeps_its_forms() -> None:
    old = json.loads(forms_of(report(instance(said(80.0)), region="string"), None) or "")
    text = json.dumps({**old, "instances": []}).encode()
    assert forms_of(report(region="string"), text) is None
    made = json.loads(forms_of(report(instance(said(80.0))), text) or "")
    assert made["instances"] == old["instances"]
    assert len(made["manners"]["answers"]) == 2


def test_where_no_instance_got_ready_there_is_nothing_to_tell() -> None:
    for number in range(3):
        spans = instance().spans[:number]
        assert forms_of(report(instance().model_copy(update={"spans": spans})), None) is None
