"""A red report is found, or named and red, however it is disguised: `--fail-on` is never 0."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from history_tools import TEST, booted, plain, report_of

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._history import reading
from pytest_hydrasmoke._report import files

Output = pytest.CaptureFixture[str]
BEGAN = datetime.now(UTC) - timedelta(hours=2)


def report(run_id: str, **changes: Any) -> Report:
    later = timedelta(minutes=int(run_id == "today"))
    mine: dict[str, Any] = {"run_id": run_id, "began": BEGAN + later, "pipeline": {"group": run_id}}
    return report_of(0, *changes.pop("its", ()), **{**mine, **changes})


RED: dict[str, Report] = {
    "a failure": report("today", outcomes={TEST: "failed"}),
    "a leak": report("today", its=(booted(9.0, outcome="leaked", leak="alive"),), exit_code=1),
    "killed": report("today", ended="did not end", exit_code=1, outcomes={}),
    "refused": report("today", ended="refused: no router", exit_code=4, outcomes={}),
}
Disguise = Callable[[Path, Report], object]


def as_bytes(report: Report) -> bytes:
    return files.as_json(report).encode()


def put(name: str, change: Callable[[bytes], bytes] = bytes) -> Disguise:
    """Return a disguise: the report in a file of another name, or otherwise written."""

    def disguise(folder: Path, red: Report) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(change(as_bytes(red)))

    return disguise


def dated(at: datetime) -> Disguise:
    def disguise(folder: Path, red: Report) -> None:
        put("report.json")(folder, red.model_copy(update={"began": at}))

    return disguise


def twins(*names: str) -> Disguise:
    """Return a disguise: a green report of the same run is there as well."""

    def disguise(folder: Path, red: Report) -> None:
        green = report("today", its=(booted(9.0),)).model_copy(update={"began": red.began})
        for name, twin in zip(names, (green, red, green), strict=False):
            put(name)(folder, twin)

    return disguise


def behind_a_link(folder: Path, red: Report) -> None:
    (folder / "real").mkdir()
    put("real/report.json")(folder, red)
    (folder / "reports.json").symlink_to(folder / "real" / "report.json")


GREEN = as_bytes(report("other"))
DISGUISES: dict[str, Disguise] = {
    "none": put("report.json"),
    "cut": put("report.json", lambda text: text[:-9]),
    "cut short": put("report.json", lambda text: text[:60]),
    "cut, under another name": put("eu.json", lambda text: text[:-9]),
    "empty": put("report.json", lambda text: b""),
    "blank": put("eu-report.json", lambda text: b" \n"),
    "zeros": put("report.json", lambda text: b"\0" * len(text)),
    "named": put("eu-report.json"),
    "named otherwise": put("eu.json"),
    "in capitals": put("REPORT.JSON"),
    "below a folder": put("eu/it.json"),
    "packed": put("eu.json.gz", gzip.compress),
    "packed and cut": put("eu.json.gz", lambda text: gzip.compress(text)[:-20]),
    "packed, not named so": put("report.json", gzip.compress),
    "a second member": put(
        "report.json.gz", lambda text: gzip.compress(GREEN) + gzip.compress(text)
    ),
    "in two members": put(
        "report.json.gz", lambda text: gzip.compress(text[:99]) + gzip.compress(text[99:])
    ),
    "in many members": put(
        "eu.json.gz", lambda text: b"".join(gzip.compress(bytes([it])) for it in text[:1_001])
    ),
    "before garbage": put("report.json.gz", lambda text: gzip.compress(text) + b"garbage"),
    "before zeros": put("report.json.gz", lambda text: gzip.compress(text) + b"\0" * 512),
    "after another": put("report.json", lambda text: GREEN + text),
    "as UTF-16": put("eu.json", lambda text: text.decode().encode("utf-16")),
    "with a mark": put("eu.json", lambda text: b"\xef\xbb\xbf" + text),
    "sorted": put("eu.json", lambda text: json.dumps(json.loads(text), sort_keys=True).encode()),
    "newer": put("eu.json", lambda text: text.replace(b'_version": 2', b'_version": 3')),
    "of the future": dated(datetime.now(UTC) + timedelta(days=9)),
    "of a clock that was never set": dated(datetime(1970, 1, 2, tzinfo=UTC)),
    "before a green twin": twins("report-2.json", "report-1.json"),
    "after a green twin": twins("report-1.json", "report-2.json"),
    "among green twins": twins("report-1.json", "report-2.json", "report-3.json"),
    "behind a link": behind_a_link,
    "behind a link to nowhere": lambda folder, _: (folder / "report.json").symlink_to("nowhere"),
}


@pytest.mark.parametrize("fault", RED)
@pytest.mark.parametrize("name", DISGUISES)
def test_a_red_report_is_not_hidden(name: str, fault: str, tmp_path: Path, capsys: Output) -> None:
    put("monday/report.json")(tmp_path, report("yesterday"))
    DISGUISES[name](tmp_path, RED[fault])
    code = main(["history", str(tmp_path), "--fail-on", "failure,leak"])
    red = [it for it in capsys.readouterr().out.splitlines() if it.startswith("FAILED ")]
    assert code == 1
    assert red


@pytest.mark.parametrize("at", [1, -1])
def test_a_leak_counts_whatever_its_clock_says(at: int, tmp_path: Path, capsys: Output) -> None:
    wrong = datetime.now(UTC) + timedelta(days=9) if at > 0 else datetime(1971, 1, 2, tzinfo=UTC)
    put("report-1.json")(tmp_path, report("yesterday"))
    dated(wrong)(tmp_path, RED["a leak"])
    assert main(["history", str(tmp_path), "--fail-on", "leak"]) == 1
    when = "in the future" if at > 0 else "before there was this plugin"
    told = capsys.readouterr().out.splitlines()
    assert f"left out: group today: it began {when}, {wrong:%Y-%m-%d %H:%M} UTC" in told
    assert told[-1].startswith("FAILED leak: night-0 may still run; ")
    # Another group's is nothing to a pipeline that judges its own.
    assert main(["history", str(tmp_path), "--fail-on", "leak", "--group", "yesterday"]) == 0
    # Where nothing else can be shown, it is told all the same.
    (tmp_path / "report-1.json").unlink()
    capsys.readouterr()
    assert main(["history", str(tmp_path), "--fail-on", "leak"]) == 4
    assert "FAILED leak: night-0 may still run; " in capsys.readouterr().out


def test_what_is_left_out_is_named(tmp_path: Path, capsys: Output) -> None:
    put("report.json")(tmp_path, report("today"))
    for name, text in {
        "gl-sast-report.json": "[]",
        "package.json": '{"name": "x"}',
        "empty.json": "",
        "broken.json.gz": "x",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "linked").symlink_to(tmp_path)
    assert main(["history", str(tmp_path), "--fail-on", "failure,leak"]) == 0
    told = [it for it in capsys.readouterr().out.splitlines() if it.startswith("left out: ")]
    assert told == [
        f"left out: {tmp_path / 'linked'}: a link to a folder, which is not followed",
        f"left out: {tmp_path / 'gl-sast-report.json'}: not a report of this plugin",
        "left out: other JSON files, which are no reports: 3",
    ]
    # Whoever names a file means it.
    named = ["history", str(tmp_path / "report.json"), str(tmp_path / "package.json")]
    assert main([*named, "--fail-on", "leak"]) == 1
    assert main(named) == 0


def test_a_file_of_another_name_that_can_not_be_opened_is_named(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("report.json")(tmp_path, report("today"))
    put("eu.json")(tmp_path, RED["a leak"])
    content_of = reading.content_of

    def closed(path: Path) -> bytes:
        if path.name == "eu.json":
            raise PermissionError(13, "Permission denied")
        return content_of(path)

    monkeypatch.setattr("pytest_hydrasmoke._history.reading.content_of", closed)
    assert main(["history", str(tmp_path), "--fail-on", "leak"]) == 0
    assert f"left out: {tmp_path / 'eu.json'}: Permission denied" in capsys.readouterr().out


def test_of_many_unread_reports_the_first_are_named(tmp_path: Path, capsys: Output) -> None:
    put("eu.json")(tmp_path, report("today"))
    for number in range(23):
        (tmp_path / f"report-{number}.json").touch()
    assert main(["history", str(tmp_path), "--fail-on", "flaky"]) == 1
    told = [it for it in capsys.readouterr().out.splitlines() if it.startswith("FAILED ")]
    assert len(told) == 21
    assert told[-1] == "FAILED unread: 3 more"


def test_a_report_of_any_name_is_not_written_over(tmp_path: Path, capsys: Output) -> None:
    for name, change in {"eu.json": bytes, "cut.json": lambda text: text[:-9]}.items():
        put(name, change)(tmp_path, RED["a leak"])
        before = (tmp_path / name).read_bytes()
        assert main(["history", str(tmp_path), "--json", str(tmp_path / name)]) == 4
        assert (tmp_path / name).read_bytes() == before
    # A history may be written again and again among the reports that it is of.
    for _ in range(2):
        assert main(["history", str(tmp_path), "--json", str(tmp_path / "history.json")]) == 0
    assert os.listdir(tmp_path).count("history.json") == 1
    read: dict[str, Any] = json.loads((tmp_path / "history.json").read_text())
    assert [it.partition(": ")[0] for it in read["unread"]] == [str(tmp_path / "cut.json")]


def test_a_view_takes_the_place_of_a_file_that_can_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("report.json")(tmp_path, report("today"))
    view = tmp_path / "history.json"
    view.write_text("closed")

    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pytest_hydrasmoke._history.files.run_of_file", closed)
    assert main(["history", str(tmp_path), "--json", str(view)]) == 0
    assert view.read_text("utf-8") != "closed"


def test_a_run_of_the_start_and_the_end_of_its_report_is_one(tmp_path: Path) -> None:
    ended = report("today")
    begun = ended.model_copy(update={"ended": "did not end", "exit_code": 1, "tests": ()})
    for name, it in {"report-1.json": begun, "report-2.json": ended}.items():
        put(name)(tmp_path, it)
    # A pipeline keeps one report of each run, and of two the red one counts.
    assert main(["history", str(tmp_path), "--fail-on", "failure", "--expect", "1"]) == 1
    assert plain(ended)["run_id"] == plain(begun)["run_id"]
