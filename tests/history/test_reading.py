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
from history_tools import TEST, booted, failure, plain, report_of, written
from hypothesis import given
from hypothesis import strategies as st
from report_tools import a_failed_report, a_report, an_instance

from pytest_hydrasmoke._history import reading
from pytest_hydrasmoke._history.reading import read, run_of_file
from pytest_hydrasmoke._history.runs import Leak, Run, Spec
from pytest_hydrasmoke._report import files
from pytest_hydrasmoke._report.model import TokensReport
from pytest_hydrasmoke._report.parts import CaseReport


def file_of(folder: Path, content: object) -> Path:
    path = folder / "report.json"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return path


def refused(folder: Path, content: object) -> str:
    with pytest.raises(ValueError) as error:
        run_of_file(file_of(folder, content))
    return str(error.value)


def times(run: Run) -> list[tuple[str, float]]:
    return [(span.phase, span.seconds) for boot in run.boots for span in boot.whole_spans]


def test_what_is_kept_of_a_report(tmp_path: Path) -> None:
    case = CaseReport(
        id=TEST, outcome="failed", seconds=2.0, runs=5, passed=3, instances=("night-0",)
    )
    instance = an_instance(
        tokens=TokensReport(input_tokens=10, output_tokens=5),
        failures=(failure("AssertionError: no\nmore of it"),),
        outcome="leaked",
        leak="not confirmed",
    )
    report = report_of(3, instance, budgets={"ready": 60.0}).model_copy(update={"tests": (case,)})
    run = run_of_file(file_of(tmp_path, plain(report)))
    spec = Spec(
        region="eu-central",
        tier="tier-1",
        manifest="hermes-basic",
        router="https://router.example/api",
    )
    assert (run.run_id, run.of.group, run.of.job, run.of.attempt) == ("run-3", "g3", "smoke", 1)
    assert run.budgets == {"ready": 60.0}
    assert run.leaks == (Leak("night-0", instance.id, "night"),)
    [boot] = run.boots
    assert (run.spec_of(boot), boot.ready, boot.lost) == (spec, 60.0, False)
    assert (boot.input_tokens, boot.output_tokens) == (10, 5)
    [kept] = run.cases
    assert (kept.is_red, kept.runs, kept.passed) == (True, 5, 3)
    assert (run.words_of(kept), run.specs_of(kept)) == ("AssertionError: no", {spec})
    assert ("ready", 59.0) in times(run)


def test_a_report_without_what_may_be_missing(tmp_path: Path) -> None:
    old = plain(a_failed_report())
    for name in ("tests", "pipeline", "budgets"):
        del old[name]
    for instance in old["instances"]:
        for name in ("tests", "tokens", "untold", "waits", "conflict"):
            del instance[name]
    run = run_of_file(file_of(tmp_path, old))
    assert run.of.group == "night"
    assert run.of.job is run.of.commit is run.of.url is None
    assert run.cases == ()
    assert len(run.leaks) == 1


def test_a_phase_that_failed_is_no_time_of_it(tmp_path: Path) -> None:
    lost = failure("never ready", at=901.0, phase="ready")
    report = report_of(0, booted(900.0, failures=(lost,)))
    run = run_of_file(file_of(tmp_path, plain(report)))
    assert times(run) == []
    assert [boot.lost for boot in run.boots] == [True]


def test_a_boot_that_was_interrupted_tells_nothing_of_how_long_one_takes(tmp_path: Path) -> None:
    report = report_of(0, booted(7.0, interrupted="ready"))
    run = run_of_file(file_of(tmp_path, plain(report)))
    assert times(run) == []
    assert [(boot.ready, boot.lost) for boot in run.boots] == [(None, False)]


def test_tests_without_an_outcome_are_none_and_one_without_an_instance_has_all_specs(
    tmp_path: Path,
) -> None:
    outcomes = {"a": "skipped", "b": "interrupted", "c": "error", "d": "xfailed"}
    report = plain(report_of(0, outcomes=outcomes))
    report["tests"][2]["instances"] = []
    run = run_of_file(file_of(tmp_path, report))
    told = [(case.is_green, case.is_red) for case in run.cases]
    assert told == [(False, False), (False, False), (False, True), (True, False)]
    assert run.tests == {"c", "d"}
    assert run.specs_of(run.cases[2]) == run.specs


def test_folders_are_searched_files_may_be_packed_and_one_counts_once(tmp_path: Path) -> None:
    written(tmp_path, [report_of(0), report_of(1)])
    text = files.as_json(report_of(2)).encode()
    (tmp_path / "report-shard-2.json.gz").write_bytes(gzip.compress(text))
    (tmp_path / "report.html").write_text("<html>")
    (tmp_path / "other.json").write_text("{}")
    elsewhere = tmp_path / "elsewhere.data"
    elsewhere.write_bytes(gzip.compress(text))
    found = read([tmp_path, elsewhere, tmp_path / "artifact-0"])
    assert sorted(run.run_id for run in found.runs) == ["run-0", "run-1", "run-2"]
    assert found.skipped == ["other JSON files, which are no reports: 1"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged: Invalid JSON: EOF"),
        (b'{"schema_version": 2,', "damaged: Invalid JSON: EOF"),
        (b"[" * 100_000, "damaged: "),
        (b"\xff\xfe", "damaged: "),
        (b"[]", "not a report of this plugin"),
        ({"log": {}}, "not a report of this plugin"),
        ({"schema_version": "two"}, "not a report of this plugin"),
        ({"schema_version": 3}, "not a report of this plugin"),
        ({"schema_version": 3, "run_id": "r"}, "its schema_version is 3, and this release reads 2"),
        ({"schema_version": 1, "run_id": "r"}, "its schema_version is 1, and this release reads 2"),
        ({"schema_version": 2, "run_id": "r"}, "not a whole report: fake: Field required"),
        (gzip.compress(b"{}" * 9_999, mtime=0)[:20], "damaged: Compressed file ended before"),
        (b"\x1f\x8b" + b"x" * 99, "damaged: Unknown compression method"),
    ],
)
def test_what_is_no_report_says_so(tmp_path: Path, content: object, words: str) -> None:
    assert refused(tmp_path, content).startswith(words)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("began", it) for it in ("2026-01-02T12:00:00", "soon", "x" * 99, [])),
        *(("began", it) for it in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00")),
        *(("exit_code", it) for it in (1.5, 10**400, True, "0")),
        *(("fake", it) for it in (0, "false", None)),
        *(("run_id", it) for it in ("", "x" * 1_001, 7)),
        *(("instances", it) for it in ({}, [7], [{}], None)),
        *(("budgets", it) for it in ({"ready": -1}, {"x" * 1_001: 1}, [])),
    ],
    ids=lambda it: repr(it)[:20],
)
def test_a_value_that_can_not_be_makes_a_report_none(tmp_path: Path, name: str, value: Any) -> None:
    assert refused(tmp_path, plain(a_report()) | {name: value})


@pytest.mark.parametrize("seconds", [-1, "1", None, 1e300, float("nan"), float("inf"), []])
def test_a_time_that_can_not_be_makes_a_report_none(tmp_path: Path, seconds: Any) -> None:
    report = plain(a_report())
    report["instances"][0]["spans"][2]["seconds"] = seconds
    assert refused(tmp_path, report)


def test_what_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST", 2 * 1024**2)
    assert refused(tmp_path, b" " * (2 * 1024**2 + 1)) == "larger than 2 MiB"
    assert refused(tmp_path, gzip.compress(b" " * 10**7)) == "larger than 2 MiB"


def test_what_can_not_be_read_is_named_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, [report_of(0)])
    (tmp_path / "report-2.json").write_text("{")
    (tmp_path / "report-3\x1b[2J.json").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "report-4.json")
    found = read([tmp_path, tmp_path / "nothing.json"])
    assert len(found.runs) == 1
    assert found.skipped == []
    assert [it.partition(": ")[2] for it in found.unread] == [
        "damaged: Invalid JSON: EOF while parsing an object at line 1 column 1",
        "not a file",
        "not a file",
        "there is no such file",
    ]
    assert "\x1b" not in "".join(found.unread)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading, "run_of_file", denied)
    [line] = read([tmp_path / "artifact-0"]).unread
    assert line.endswith("report.json: Permission denied")


def test_a_folder_that_can_not_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(path: Path, onerror: Any) -> list[Any]:
        onerror(PermissionError(13, "Permission denied", str(path)))
        return []

    monkeypatch.setattr(os, "walk", walk)
    assert read([tmp_path]).unread == [f"{tmp_path}: Permission denied"]


def test_no_more_files_are_looked_at_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_FILES", 2)
    written(tmp_path, [report_of(number) for number in range(4)])
    found = read([tmp_path])
    assert len(found.runs) == 2
    assert found.unread == ["more than 2 files: the rest was not read"]


def test_names_are_harmless(tmp_path: Path) -> None:
    words = "\x1b[31m::error::\u202e\r\nx"
    report = plain(report_of(0))
    report["run_id"] = words
    report["pipeline"] = {**dict.fromkeys(("group", "commit", "branch"), words), "url": "data:x"}
    run = run_of_file(file_of(tmp_path, report))
    for name in (run.run_id, run.of.group, run.of.commit, run.of.branch):
        assert name is not None
        assert name.isprintable()
    assert run.of.url is None


WHOLE = files.as_json(a_failed_report()).encode()
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
