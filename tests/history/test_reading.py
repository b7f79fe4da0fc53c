"""What is read of reports, and what of other files: each is named, and nothing else fails."""

from __future__ import annotations

import gzip
import json
import os
import random
import zlib
from pathlib import Path
from typing import Any

import pytest
from history_tools import broken, plain, report_of, written
from hypothesis import given
from hypothesis import strategies as st
from report_tools import a_failed_report, a_report

from pytest_hydrasmoke._history import reports as history_files
from pytest_hydrasmoke._history.reports import read, run_of_file
from pytest_hydrasmoke._report import run_files


def file_of(folder: Path, content: object) -> Path:
    path = folder / "report.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def refused(folder: Path, content: object) -> str:
    with pytest.raises(ValueError) as error:
        run_of_file(file_of(folder, content))
    return str(error.value)


def test_a_report_without_what_may_be_missing(tmp_path: Path) -> None:
    old = plain(a_failed_report())
    for name in ("tests", "pipeline"):
        del old[name]
    for instance in old["instances"]:
        for name in ("tests", "tokens", "untold", "waits", "conflict"):
            del instance[name]
    run = run_of_file(file_of(tmp_path, old))
    assert run.of.group == "night"
    assert run.of.job is run.of.commit is run.of.url is None
    assert (run.cases, len(run.leaks)) == ((), 1)


def test_a_test_may_have_a_name_of_any_length(tmp_path: Path) -> None:
    # An id has a parameter's whole text, as a prompt may be.
    start = f"tests/test_agent.py::test_answers[{'Answer me. ' * 500}"
    name, other = f"{start}1]", f"{start}2]"
    report = report_of(0, broken("no", test=name), outcomes={name: "failed", other: "passed"})
    case, calm = (run := run_of_file(file_of(tmp_path, plain(report)))).cases
    assert case.id == name
    assert (case.is_red, run.words_of(case)) == (True, "no")
    # What differs may be at the end.
    assert len(run.tests) == 2
    assert (calm.is_green, run.words_of(calm)) == (True, None)


def test_folders_are_searched_files_may_be_packed_and_one_counts_once(tmp_path: Path) -> None:
    written(tmp_path, [report_of(0), report_of(1)])
    text = run_files.as_json(report_of(2)).encode()
    (tmp_path / "report-shard-2.json.gz").write_bytes(gzip.compress(text))
    (tmp_path / "report.html").write_text("<html>")
    elsewhere = tmp_path / "elsewhere.data"
    elsewhere.write_bytes(gzip.compress(text))
    found = read([tmp_path, elsewhere, tmp_path / "artifact-0"])
    assert sorted(run.run_id for run in found.runs) == ["run-0", "run-1", "run-2"]
    assert found.skipped == found.unread == []


def test_what_is_no_report_or_has_a_value_that_can_not_be_is_refused(tmp_path: Path) -> None:
    other = "not a report of this plugin"
    for no_report in ([], {"log": {}}, {"schema_version": "two"}, {"schema_version": 4}):
        assert refused(tmp_path, no_report) == other
    old = "its schema_version is 2, and this release reads 3"
    assert refused(tmp_path, {"schema_version": 2, "run_id": "r"}) == old
    # After an upgrade there are many: each is named, and hides nothing of this release.
    found = read([tmp_path])
    assert (found.unread, found.skipped) == ([], [f"{tmp_path / 'report.json'}: {old}"])
    impossible: dict[str, tuple[object, ...]] = {
        "began": (
            *("2026-01-02T12:00:00", "soon", "x" * 99, []),
            *("9999-12-31T23:59:59-12:00", "2024-12-31T23:59:59+00:00"),
        ),
        "exit_code": (1.5, 10**400, True, "0"),
        "fake": (0, "false", None),
        "run_id": ("", 7),
        "instances": ({}, [7], [{}], None),
    }
    whole = plain(a_report())
    assert run_of_file(file_of(tmp_path, whole)).run_id == "night"
    for name, values in impossible.items():
        for value in values:
            words = refused(tmp_path, whole | {name: value})
            assert words.startswith(other if name == "run_id" else f"not a whole report: {name}")
    for seconds in (-1, "1", None, 1e300, float("nan"), float("inf"), []):
        whole["instances"][0]["spans"][2]["seconds"] = seconds
        assert refused(tmp_path, whole)


def test_what_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_files, "LARGEST", 2 * 1024**2)
    for data in (b" " * (2 * 1024**2 + 1), gzip.compress(b" " * 10**7)):
        assert refused(tmp_path, data) == "larger than 2 MiB"


def test_what_can_not_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, [report_of(0), report_of(1), report_of(2)])
    (tmp_path / "report-3\x1b[2J.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "report-4.json")
    found = read([tmp_path, tmp_path / "nothing.json"])
    assert (len(found.runs), found.skipped) == (3, [])
    told = [it.partition(": ")[2] for it in found.unread]
    assert told == ["not a file", "not a file", "there is no such file"]
    assert "\x1b" not in "".join(found.unread)

    def walk(path: Path, onerror: Any) -> list[Any]:
        onerror(PermissionError(13, "Permission denied", str(path)))
        return []

    with monkeypatch.context() as patch:
        patch.setattr(os, "walk", walk)
        assert read([tmp_path]).unread == [f"{tmp_path}: Permission denied"]

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(history_files, "run_of_file", denied)
    [line] = read([tmp_path / "artifact-0"]).unread
    assert line.endswith("report.json: Permission denied")


WHOLE = run_files.as_json(a_failed_report()).encode()
PACKED = zlib.compress(WHOLE, wbits=31)


@given(seed=st.integers(0, 2**32), packed=st.booleans())
def test_damaged_files_are_told_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int, packed: bool
) -> None:
    chance = random.Random(seed)
    data = bytearray(PACKED if packed else WHOLE)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(data))
        what = chance.randrange(3)
        if what == 0:
            data[at] = chance.randrange(256)
        elif what == 1:
            del data[at : at + chance.choice((1, 100, 10_000))]
        else:
            data[at:at] = data[chance.randrange(len(data)) :][: chance.randint(1, 500)]
        data = data or bytearray(b"x")
    path = tmp_path_factory.getbasetemp() / "report-damaged.json"
    path.write_bytes(data)
    found = read([path])
    assert len(found.runs) + len(found.unread) == 1
    assert all(line.isprintable() for line in found.unread)
