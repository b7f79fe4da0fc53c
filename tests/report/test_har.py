"""The trace of the requests, as another library and a plain reading of the format see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from haralyzer import HarEntry, HarParser
from report_tools import ID, PREFIX, REPLY, a_failed_report, a_report, an_instance, exchange, turn

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import files

BASE = "https://router.example/api"

# What HAR 1.2 requires of each object, and of what type it is.
NUMBER = (int, float)
REQUIRED: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "log": {"version": str, "creator": dict, "entries": list},
    "creator": {"name": str, "version": str},
    "entry": {
        "startedDateTime": str,
        "time": NUMBER,
        "request": dict,
        "response": dict,
        "cache": dict,
        "timings": dict,
    },
    "request": {
        "method": str,
        "url": str,
        "httpVersion": str,
        "cookies": list,
        "headers": list,
        "queryString": list,
        "headersSize": int,
        "bodySize": int,
    },
    "response": {
        "status": int,
        "statusText": str,
        "httpVersion": str,
        "cookies": list,
        "headers": list,
        "content": dict,
        "redirectURL": str,
        "headersSize": int,
        "bodySize": int,
    },
    "content": {"size": int, "mimeType": str},
    "timings": {"send": NUMBER, "wait": NUMBER, "receive": NUMBER},
}


def trace(report: Report) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(files.as_har(report))
    return read


def entries(report: Report) -> list[HarEntry]:
    """Read a trace with a library that is not the one that wrote it."""
    parser = HarParser(trace(report))
    return [HarEntry(it) for it in parser.har_data["entries"]]


def parts(log: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "log", log
    yield "creator", log["creator"]
    for entry in log["entries"]:
        yield "entry", entry
        for name in ("request", "response", "timings"):
            yield name, entry[name]
        yield "content", entry["response"]["content"]


@pytest.mark.parametrize("report", [a_report(), a_failed_report()], ids=["passed", "failed"])
def test_the_trace_has_all_that_the_format_requires(report: Report) -> None:
    log = trace(report)["log"]
    assert log["version"] == "1.2"
    assert log["creator"]["name"] == "pytest-hydrasmoke"
    for kind, part in parts(log):
        for name, wanted in REQUIRED[kind].items():
            assert isinstance(part[name], wanted), f"{name} of {kind}"
    for entry in log["entries"]:
        assert datetime.fromisoformat(entry["startedDateTime"]).utcoffset() is not None
        times = [it for it in entry["timings"].values() if it >= 0]
        assert entry["time"] == pytest.approx(sum(times))
        # Not even the name of a header that would hold the token.
        assert entry["request"]["headers"] == entry["response"]["headers"] == []


def test_another_reader_finds_every_request_in_order() -> None:
    read = entries(a_report())
    assert [(it.request.method, it.request.url.removeprefix(BASE + PREFIX)) for it in read] == [
        ("POST", "/provision"),
        ("GET", "/instances/by-key/night-0"),
        ("GET", "/instances/by-key/night-0"),
        *[("GET", f"/instances/{ID}")] * 3,
        ("POST", f"/instances/{ID}/chat"),
        ("GET", f"/instances/{ID}/llm-events?window_seconds=960"),
        ("DELETE", f"/instances/{ID}"),
    ]
    assert [it.response.status for it in read] == [202, *[200] * 8]
    assert read[0].response.statusText == "Accepted"
    assert read[-2].request.queryString == [{"name": "window_seconds", "value": "960"}]
    # A second after the instance began.
    assert read[2].startTime.isoformat() == "2026-01-02T12:00:01+00:00"
    assert read[2].time == 50


def test_a_request_without_an_answer_and_a_repetition_are_told() -> None:
    lost, again, *_ = entries(a_failed_report())
    assert (lost.response.status, lost.response.statusText) == (0, "")
    assert lost.response["comment"] == "the answer was lost"
    assert again["comment"] == f"provision, attempt 2, of {ID} (key night-0)"


def test_a_chat_has_what_was_said_and_the_time_that_it_took() -> None:
    [chat] = [it for it in entries(a_report()) if it.request.url.endswith("/chat")]
    assert json.loads(chat.request.text) == {"message": "Are you ready?"}
    assert chat.response.text == REPLY
    assert chat.response.mimeType == "text/plain"
    assert (chat.timings["wait"], chat.timings["receive"], chat.time) == (400, 1300, 1700)


def test_a_chat_that_broke_off_or_was_refused_is_told_as_far_as_it_came() -> None:
    error = "the stream was cut"
    report = a_report(
        an_instance(
            exchanges=(
                exchange("chat", 1.0, status=409),
                exchange("chat", 2.0),
                exchange("chat", 3.0, status=599),
            ),
            turns=(turn(2.0, seconds=None, events=0, text="", error=error),),
        )
    )
    refused, cut, odd = entries(report)
    assert refused.response.statusText == "Conflict"
    assert "postData" not in refused.request.raw_entry
    assert cut.response["comment"] == error
    assert cut.time == 50
    assert odd.response.statusText == ""


def test_without_replies_no_word_of_a_chat_is_in_it() -> None:
    text = files.as_har(a_report(an_instance(turns=(turn(61.0, message=None, text=None),))))
    [chat] = [it for it in json.loads(text)["log"]["entries"] if "chat" in it["request"]["url"]]
    assert "postData" not in chat["request"]
    assert "text" not in chat["response"]["content"]


def test_what_was_asked_to_be_provisioned_is_in_it() -> None:
    asked, *_ = entries(a_report())
    assert json.loads(asked.request.text) == {
        "idempotency_key": "night-0",
        "manifest_id": "hermes-basic",
        "region_id": "eu-central",
        "tier_id": "tier-1",
    }
    [attached] = entries(a_report(an_instance(spec=None, exchanges=(exchange("status", 0.0),))))
    assert attached.request.method == "GET"


def test_a_run_without_a_request_is_a_trace_without_an_entry() -> None:
    log = trace(a_report(an_instance(began=None), fake=True))["log"]
    assert log["entries"] == []
    assert log["comment"] == "run night on the bundled fake router"
