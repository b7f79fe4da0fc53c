"""The files that a run leaves, a disk that will not have them, and their published schema."""

from __future__ import annotations

import json
import os
import runpy
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic_core import from_json
from report_tools import a_failed_report, a_report, an_instance, several, turn

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import run_files
from pytest_hydrasmoke._report.parts import EventReport


def write(folder: Path, run_id: str = "night", *, page: bool = False) -> list[str]:
    return run_files.write(a_report(run_id=run_id), folder, page=page)


def names(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


def test_the_report_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    assert write(folder) == []
    [written] = folder.iterdir()
    assert written.name == "report.json"
    assert Report.model_validate_json(written.read_text("utf-8")) == a_report()
    if os.name == "posix":
        assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_a_report_takes_the_place_of_the_files_before(tmp_path: Path) -> None:
    assert write(tmp_path, "before", page=True) == []
    assert names(tmp_path) == ["report.html", "report.json"]
    assert write(tmp_path, "after") == []
    [written] = tmp_path.iterdir()
    assert '"after"' in written.read_text("utf-8")


def test_what_no_run_wrote_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "earlier", page=True)
    mine = {name: tmp_path / f"my {name}" for name in ("report.json", "report.html")}
    for name, elsewhere in mine.items():
        (tmp_path / "earlier" / name).rename(elsewhere)
        (tmp_path / name).symlink_to(elsewhere)
    before = {path: path.read_text("utf-8") for path in mine.values()}
    assert write(tmp_path, "after") == []
    assert {path: path.read_text("utf-8") for path in mine.values()} == before
    assert (tmp_path / "report.html").is_symlink()
    assert not (tmp_path / "report.json").is_symlink(), "a link is replaced"
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").write_text("<title>another tool's</title>")
    assert write(tmp_path, "after") == []
    assert (tmp_path / "report.html").read_text() == "<title>another tool's</title>"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_a_line_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "before")

    def on_a_full_disk(file: Path, *_: object) -> int:
        file.touch()
        return os.open("/dev/full", os.O_WRONLY)

    monkeypatch.setattr("pytest_hydrasmoke._base.files.opened", on_a_full_disk)
    [problem] = write(tmp_path, "after")
    assert problem == f"report.json was not written: No space left on device ({tmp_path})"
    [left] = tmp_path.iterdir()
    assert '"before"' in left.read_text("utf-8"), "and no half of a file is left"


def test_a_view_that_fails_is_a_line_and_no_earlier_page_stays_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "before", page=True)

    def broken(report: Report) -> str:
        raise RuntimeError(f"no way\n::error::{report.run_id}")

    monkeypatch.setattr(run_files, "as_html", broken)
    problem = "report.html was not written: RuntimeError: no way ::error::after"
    assert write(tmp_path, "after", page=True) == [problem]
    assert names(tmp_path) == ["report.json"]
    folder = tmp_path / "report.json" / "folder"
    assert write(folder) == [f"report.json was not written: Not a directory ({folder})"]


def test_an_earlier_page_that_can_not_be_removed_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, page=True)

    def refuses(path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuses)
    problem = f"report.html of an earlier run is still there: Permission denied ({tmp_path})"
    assert write(tmp_path) == [problem]


def test_writing_without_a_page_loads_nothing_of_what_it_needs() -> None:
    code = "import sys, pytest_hydrasmoke._report.run_files\nprint({'jinja2'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_for_machines_has_nothing_that_a_terminal_or_a_runner_would_obey() -> None:
    said = "\x1b[2J\x7f\x9b1m \u202e ##[group]x ###[a ##vso[b \ud800 ü \\ud800 \\\\\udc00 😀"
    report = a_report(an_instance(notes=(said,), turns=(turn(61.0, text=said),)))
    written = run_files.as_json(report)
    assert written.isascii()
    assert written.replace("\n", "").isprintable()
    assert "##" not in written
    # Half a character is one that no strict reader takes.
    whole = said.replace("\ud800", "\ufffd").replace("\udc00", "\ufffd")
    assert from_json(written)["instances"][0]["notes"] == [whole]


# The published schema

ROOT = Path(__file__).parent.parent.parent
PUBLISHED = ROOT / "docs" / "reference" / "report-schema.json"
HEARD = (EventReport(event="message", data="object", keys=("type",), kind="delta"),)


def test_the_published_schema_is_that_of_the_model() -> None:
    schema = runpy.run_path(str(ROOT / "docs" / "report_schema.py"))["schema"]
    assert PUBLISHED.read_text("utf-8") == schema(), "run: python docs/report_schema.py"


def test_reports_are_as_the_schema_says_and_nothing_else_is() -> None:
    schema = json.loads(PUBLISHED.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    attached = an_instance(spec=None, began=None, hostname=None)

    def problems(report: object) -> list[str]:
        return [error.message for error in Draft202012Validator(schema).iter_errors(report)]

    def as_read(report: Report) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(run_files.as_json(report))
        return read

    for report in (a_report(attached, events=HEARD), a_failed_report(), several()):
        assert problems(as_read(report)) == []
    missing = [f"'{name}' is a required property" for name in Report.model_fields]
    assert sorted(problems({})) == sorted(missing)
    newer = as_read(a_report())
    newer["instances"][0]["spec"]["colour"] = newer["new"] = "blue"
    assert problems(newer) == [], "a later version may have more fields"
    assert problems(newer | {"schema_version": 4}) == ["3 was expected"]
