"""The trace of the requests, as another library and a plain reading of the format see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from haralyzer import HarEntry, HarParser
from report_tools import ID, PREFIX, REPLY, a_failed_report, a_report, an_instance, exchange, turn

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import run_files

NUMBER = (int, float)
# What HAR 1.2 requires of each object, by type.
REQUIRED: dict[str, dict[type | tuple[type, ...], str]] = {
    "log": {str: "version", dict: "creator", list: "entries"},
    "creator": {str: "name version"},
    "entry": {str: "startedDateTime", NUMBER: "time", dict: "request response cache timings"},
    "request": {
        str: "method url httpVersion",
        list: "cookies headers queryString",
        int: "headersSize bodySize",
    },
    "response": {
        int: "status headersSize bodySize",
        str: "statusText httpVersion redirectURL",
        list: "cookies headers",
        dict: "content",
    },
    "content": {int: "size", str: "mimeType"},
    "timings": {NUMBER: "send wait receive"},
}


def trace(report: Report) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(run_files.as_har(report))["log"]
    return log


def entries(report: Report) -> list[HarEntry]:
    """Read a trace with a library that is not the one that wrote it."""
    parser = HarParser({"log": trace(report)})
    return [HarEntry(it) for it in parser.har_data["entries"]]


def parts(log: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from (("log", log), ("creator", log["creator"]))
    for entry in log["entries"]:
        yield from (("entry", entry), ("content", entry["response"]["content"]))
        yield from ((name, entry[name]) for name in ("request", "response", "timings"))


@pytest.mark.parametrize("report", [a_report(), a_failed_report()], ids=["passed", "failed"])
def test_the_trace_has_all_that_the_format_requires(report: Report) -> None:
    log = trace(report)
    assert log["version"] == "1.2"
    assert log["creator"]["name"] == "pytest-hydrasmoke"
    for kind, part in parts(log):
        for wanted, names in REQUIRED[kind].items():
            for name in names.split():
                assert isinstance(part[name], wanted), f"{name} of {kind}"
    for entry in log["entries"]:
        assert datetime.fromisoformat(entry["startedDateTime"]).utcoffset() is not None
        times = [it for it in entry["timings"].values() if it >= 0]
        assert entry["time"] == pytest.approx(sum(times))
        # Not even the name of a header that would hold the token.
        assert entry["request"]["headers"] == entry["response"]["headers"] == []


def test_another_reader_finds_every_request_in_order() -> None:
    read, base = entries(a_report()), f"https://router.example/api{PREFIX}"
    assert [(it.request.method, it.request.url.removeprefix(base)) for it in read] == [
        ("POST", "/provision"),
        *[("GET", "/instances/by-key/night-0")] * 2,
        *[("GET", f"/instances/{ID}")] * 3,
        ("POST", f"/instances/{ID}/chat"),
        ("GET", f"/instances/{ID}/llm-events?window_seconds=960"),
        ("DELETE", f"/instances/{ID}"),
    ]
    assert [it.response.status for it in read] == [202, *[200] * 8]
    asked, _, poll, *_, chat, count, _ = read
    assert asked.response.statusText == "Accepted"
    assert json.loads(asked.request.text) == {
        "idempotency_key": "night-0",
        "manifest_id": "hermes-basic",
        "region_id": "eu-central",
        "tier_id": "tier-1",
    }
    assert count.request.queryString == [{"name": "window_seconds", "value": "960"}]
    # A second after the instance began.
    assert (poll.startTime.isoformat(), poll.time) == ("2026-01-02T12:00:01+00:00", 50)
    assert json.loads(chat.request.text) == {"message": "Are you ready?"}
    assert (chat.response.text, chat.response.mimeType) == (REPLY, "text/plain")
    assert (chat.timings["wait"], chat.timings["receive"], chat.time) == (400, 1300, 1700)


def test_what_broke_off_was_refused_or_repeated_is_told_as_far_as_it_came() -> None:
    lost, again, *_ = entries(a_failed_report())
    assert (lost.response.status, lost.response.statusText) == (0, "")
    assert lost.response["comment"] == "the answer was lost"
    assert again["comment"] == f"provision, attempt 2, of {ID} (key night-0)"
    asked = [exchange("chat", at, status=code) for at, code in ((1.0, 409), (2.0, 200), (3.0, 599))]
    broke = turn(2.0, seconds=None, events=0, text="", error="the stream was cut")
    attached = an_instance(spec=None, exchanges=(*asked, exchange("status", 4.0)), turns=(broke,))
    refused, cut, odd, seen = entries(a_report(attached))
    assert refused.response.statusText == "Conflict"
    assert "postData" not in refused.request.raw_entry
    assert (cut.response["comment"], cut.time) == ("the stream was cut", 50)
    assert odd.response.statusText == ""
    assert seen.request.method == "GET"


def test_a_run_without_a_request_is_a_trace_without_an_entry() -> None:
    log = trace(a_report(an_instance(began=None), fake=True))
    assert (log["entries"], log["comment"]) == ([], "run night on the bundled fake router")
    assert trace(a_report())["comment"] == "run night on a live router"
