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
from history_tools import FAILED, LEAKED, Output, command, report_of

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._history import reports as history_files
from pytest_hydrasmoke._report import run_files

BEGAN = datetime.now(UTC) - timedelta(hours=2)
FAR, NEVER = BEGAN + timedelta(hours=3), datetime(1971, 1, 2, tzinfo=UTC)
RUN = "failure: run today "
"""How it is told where the report is read."""


def report(run_id: str, *instances: Any, **changes: Any) -> Report:
    began = BEGAN + timedelta(minutes=int(run_id == "today"))
    mine: dict[str, Any] = {"run_id": run_id, "began": began, "pipeline": {"group": run_id}}
    return report_of(0, *instances, **{**mine, **changes})


RED: dict[str, Report] = {
    "a failure": report("today", outcomes=FAILED),
    "a leak": report("today", LEAKED, exit_code=1),
    "killed": report("today", ended="did not end", exit_code=1, outcomes={}),
    "refused": report("today", ended="refused: no router", exit_code=4, outcomes={}),
}


def as_bytes(report: Report) -> bytes:
    return run_files.as_json(report).encode()


def packed(*parts: bytes) -> bytes:
    return b"".join(map(gzip.compress, parts))


GREEN = as_bytes(report("other"))
Change = Callable[[bytes], bytes]
# The file's name, what is in it, and what is told: the report, or that it is unread, and why.
DISGUISES: dict[str, tuple[str, Change, str]] = {
    "none": ("report.json", bytes, RUN),
    "cut": ("report.json", lambda text: text[:-9], "damaged: Invalid JSON: EOF while parsing"),
    "cut short": ("report.json", lambda text: text[:60], "damaged: Invalid JSON: EOF"),
    "cut, under another name": ("eu.json", lambda text: text[:-9], "damaged: Invalid JSON"),
    "empty": ("report.json", lambda text: b"", "damaged: Invalid JSON: EOF"),
    "blank": ("eu-report.json", lambda text: b" \n", "damaged: Invalid JSON: EOF"),
    "zeros": ("report.json", lambda text: b"\0" * len(text), "damaged: Invalid JSON"),
    "nested": ("report.json", lambda text: b"[" * 100_000, "damaged: "),
    "named": ("eu-report.json", bytes, RUN),
    "named otherwise": ("eu.json", bytes, RUN),
    "in capitals": ("REPORT.JSON", bytes, RUN),
    "below a folder": ("eu/it.json", bytes, RUN),
    "packed": ("eu.json.gz", packed, RUN),
    "packed and cut": ("eu.json.gz", lambda text: packed(text)[:-20], "damaged: Compressed file"),
    "packed, not named so": ("report.json", packed, RUN),
    "no packing": ("report.json", lambda text: b"\x1f\x8b" + text, "damaged: Unknown compression"),
    "a second member": ("report.json.gz", lambda text: packed(GREEN, text), "damaged: Invalid"),
    "in two members": ("report.json.gz", lambda text: packed(text[:99], text[99:]), RUN),
    "in many members": (
        "eu.json.gz",
        lambda text: packed(*(bytes([it]) for it in text[:1_001])),
        "damaged: Invalid JSON: EOF",
    ),
    "before garbage": ("report.json.gz", lambda text: packed(text) + b"garbage", "damaged: Not a"),
    "before zeros": ("report.json.gz", lambda text: packed(text) + b"\0" * 512, RUN),
    "after another": ("report.json", lambda text: GREEN + text, "damaged: Invalid JSON: trailing"),
    "as UTF-16": (
        "report.json",
        lambda text: text.decode().encode("utf-16"),
        "damaged: Invalid JSON: expected value",
    ),
    "of a clock that was never set": (
        "eu.json",
        lambda text: as_bytes(RED["a failure"].model_copy(update={"began": NEVER})),
        "not a whole report: began: Input should be greater than or equal to 2025",
    ),
    "sorted": (
        "eu.json",
        lambda text: json.dumps(json.loads(text), sort_keys=True).encode(),
        RUN,
    ),
    "newer": (
        "eu.json",
        lambda text: text.replace(b'_version": 3', b'_version": 4'),
        "its schema_version is 4, and this release reads 3",
    ),
    "without a part": (
        "eu.json",
        lambda text: text.replace(b'"fake"', b'"real"'),
        "not a whole report: fake: Field required",
    ),
}


def put(path: Path, red: Report, change: Change = bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(change(as_bytes(red)))


def red_lines(capsys: Output, folder: Path, fail_on: str = "failure,leak") -> list[str]:
    code, lines = command(capsys, folder, "--fail-on", fail_on)
    red = [it.removeprefix("FAILED ") for it in lines if it.startswith("FAILED ")]
    assert code == int(bool(red))
    return red


@pytest.mark.parametrize("name", DISGUISES)
def test_a_red_report_is_not_hidden(name: str, tmp_path: Path, capsys: Output) -> None:
    put(tmp_path / "monday" / "report.json", report("yesterday"))
    file, change, words = DISGUISES[name]
    put(tmp_path / file, RED["a failure"], change)
    [line] = red_lines(capsys, tmp_path)
    assert line.startswith(words if words == RUN else f"unread: {tmp_path / file}: {words}")


@pytest.mark.parametrize("fault", RED)
def test_a_green_twin_or_a_link_hides_nothing(fault: str, tmp_path: Path, capsys: Output) -> None:
    red, green = RED[fault], report("today", began=RED[fault].began)
    for number, twins in enumerate(((red,), (green, red), (red, green), (green, red, green))):
        for at, twin in enumerate(twins):
            put(tmp_path / str(number) / f"report-{at}.json", twin)
        [line] = red_lines(capsys, tmp_path / str(number))[:1]
        assert line.startswith("leak: night-0 may still run; " if fault == "a leak" else RUN)
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "report.json"
    link.symlink_to(tmp_path / "0" / "report-0.json")
    assert red_lines(capsys, link.parent)[0] == line
    link.unlink()
    link.symlink_to("nowhere")
    put(link.parent / "eu.json", report("yesterday"))
    assert red_lines(capsys, link.parent) == [f"unread: {link}: not a file"]


def test_a_report_of_the_future_hides_nothing_and_counts_where_it_is_red(
    tmp_path: Path, capsys: Output
) -> None:
    put(tmp_path / "report-0.json", RED["a leak"])
    put(tmp_path / "report-1.json", report("green", began=FAR))
    [line] = red_lines(capsys, tmp_path, "leak")
    assert line.startswith("leak: night-0 may still run; ")
    put(tmp_path / "report-0.json", report("yesterday"))
    assert red_lines(capsys, tmp_path, "leak") == []
    (tmp_path / "report-1.json").unlink()
    put(tmp_path / "report-2.json", RED["a leak"].model_copy(update={"began": FAR}))
    told = command(capsys, tmp_path, "--fail-on", "leak")[1]
    begins = f"it begins in the future, {FAR:%Y-%m-%d %H:%M} UTC"
    assert f"left out: group today: {begins}: leaked" in told
    assert told[-1].startswith("FAILED leak: night-0 may still run; ")
    assert red_lines(capsys, tmp_path, "failure") != []
    # Another group's is nothing to a pipeline that judges its own.
    assert command(capsys, tmp_path, "--fail-on", "leak", "--group", "yesterday")[0] == 0
    # Where nothing else can be shown, it is told all the same.
    (tmp_path / "report-0.json").unlink()
    code, told = command(capsys, tmp_path, "--fail-on", "leak")
    assert code == 4
    assert any(it.startswith("FAILED leak: night-0 may still run; ") for it in told)


def test_a_run_of_the_start_and_the_end_of_its_report_is_one(
    tmp_path: Path, capsys: Output
) -> None:
    ended = report("today")
    begun = ended.model_copy(update={"ended": "did not end", "exit_code": 1, "tests": ()})
    for number, it in enumerate((begun, ended)):
        put(tmp_path / f"report-{number}.json", it)
    # A pipeline keeps one report of each run, and of two the red one counts.
    code, lines = command(capsys, tmp_path, "--fail-on", "failure", "--expect", "1")
    assert (code, lines[-1][:19]) == (1, "FAILED failure: run")
    assert command(capsys, tmp_path, "--expect", "2")[0] == 1


def test_what_is_left_out_is_named(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        put(tmp_path / f"eu-{number}.json", report("today"))
    other = {"gl-sast-report.json": "[]", "package.json": '{"name": "x"}', "empty.json": ""}
    for name, text in (other | {"broken.json.gz": "x"}).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "linked").symlink_to(tmp_path)
    content_of = history_files.content_of

    def closed(path: Path) -> bytes:
        if path.name == "eu-0.json":
            raise PermissionError(13, "Permission denied")
        return content_of(path)

    monkeypatch.setattr(history_files, "content_of", closed)
    code, lines = command(capsys, tmp_path, "--fail-on", "failure,leak")
    assert code == 0
    assert [it for it in lines if it.startswith("left out: ")] == [
        f"left out: {tmp_path / 'linked'}: a link to a folder, which is not followed",
        f"left out: {tmp_path / 'eu-0.json'}: Permission denied",
        f"left out: {tmp_path / 'gl-sast-report.json'}: not a report of this plugin",
        "left out: other JSON files, which are no reports: 3",
    ]
    # Whoever names a file means it.
    named = (tmp_path / "eu-1.json", tmp_path / "package.json")
    assert command(capsys, *named, "--fail-on", "leak")[0] == 1
    assert command(capsys, *named)[0] == 0


def test_of_many_unread_reports_the_first_are_named_after_what_is_red(
    tmp_path: Path, capsys: Output
) -> None:
    put(tmp_path / "eu.json", RED["a failure"])
    for number in range(23):
        (tmp_path / f"report-{number}.json").touch()
    told = red_lines(capsys, tmp_path)
    assert (len(told), told[-1]) == (22, "unread: 3 more")
    assert told[0].startswith(RUN)
    # Where nothing is to be red, nothing is judged.
    assert command(capsys, tmp_path)[0] == 0


def test_a_report_of_any_name_is_not_written_over(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, change in {"eu.json": bytes, "cut.json": lambda text: text[:-9]}.items():
        put(tmp_path / name, RED["a leak"], change)
        before = (tmp_path / name).read_bytes()
        assert command(capsys, tmp_path, "--json", tmp_path / name)[0] == 4
        assert (tmp_path / name).read_bytes() == before
    view, content_of = tmp_path / "history.json", history_files.content_of

    def closed(path: Path) -> bytes:
        if path == view:
            raise PermissionError(13, "Permission denied")
        return content_of(path)

    # A history may be written again and again among the reports that it is of.
    for number in range(3):
        if number == 2:
            view.write_text("closed")
            monkeypatch.setattr(history_files, "content_of", closed)
        assert command(capsys, tmp_path, "--json", view)[0] == 0
    assert os.listdir(tmp_path).count("history.json") == 1
    read: dict[str, Any] = json.loads(view.read_text())
    assert [it.partition(": ")[0] for it in read["unread"]] == [str(tmp_path / "cut.json")]
