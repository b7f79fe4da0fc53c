"""The files that a run leaves, and a disk that will not have them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from report_tools import a_report, an_instance, turn

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import files


def test_the_report_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    report, folder = a_report(), tmp_path / "not" / "there"
    assert files.write(report, folder, pages=False) == []
    [written] = folder.iterdir()
    assert written.name == "report.json"
    assert Report.model_validate_json(written.read_text("utf-8")) == report
    if os.name == "posix":
        assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    files.write(a_report(run_id="before"), tmp_path, pages=False)
    files.write(a_report(run_id="after"), tmp_path, pages=False)
    [written] = tmp_path.iterdir()
    assert '"after"' in written.read_text("utf-8")


def test_what_a_link_points_to_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (tmp_path / "report.json").symlink_to(elsewhere)
    assert files.write(a_report(), tmp_path, pages=False) == []
    assert elsewhere.read_text() == "mine"
    assert not (tmp_path / "report.json").is_symlink()


def test_a_folder_that_can_not_be_made_is_a_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    [problem] = files.write(a_report(), in_the_way / "folder", pages=False)
    assert problem == f"report.json was not written: Not a directory ({in_the_way / 'folder'})"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_a_line_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(a_report(run_id="before"), tmp_path, pages=False)
    scrap = tmp_path / "scrap"

    def on_a_full_disk(**_: object) -> tuple[int, str]:
        scrap.touch()
        return os.open("/dev/full", os.O_WRONLY), str(scrap)

    monkeypatch.setattr("tempfile.mkstemp", on_a_full_disk)
    [problem] = files.write(a_report(run_id="after"), tmp_path, pages=False)
    assert problem == f"report.json was not written: No space left on device ({tmp_path})"
    [left] = tmp_path.iterdir()
    assert '"before"' in left.read_text("utf-8"), "and no half of a file is left"


def test_a_view_that_fails_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(report: Report) -> str:
        raise RuntimeError(f"no way\n::error::{report.run_id}")

    monkeypatch.setattr(files, "as_json", broken)
    assert files.write(a_report(run_id="n"), tmp_path, pages=False) == [
        "report.json was not written: RuntimeError: no way ::error::n"
    ]
    assert list(tmp_path.iterdir()) == []


def test_writing_without_pages_loads_none_of_what_they_need() -> None:

    code = (
        "import sys, pytest_hydrasmoke._report.files; print({'jinja2', 'harfile'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_for_machines_has_nothing_that_a_terminal_or_a_runner_would_obey() -> None:
    said = "\x1b[2J\x7f\x9b1m \u202e ##[group]x ###[a ##vso[b \ud800 ü"
    report = a_report(an_instance(notes=(said,), turns=(turn(61.0, text=said),)))
    written, trace = files.as_json(report), files.as_har(report)
    for text in (written, trace):
        assert text.isascii()
        assert text.replace("\n", "").isprintable()
        assert "##" not in text
    assert json.loads(written)["instances"][0]["notes"] == [said]
    [chat] = [it for it in json.loads(trace)["log"]["entries"] if "/chat" in it["request"]["url"]]
    assert chat["response"]["content"]["text"] == said


def test_pages_are_written_beside_it_where_they_are_wanted(tmp_path: Path) -> None:
    assert files.write(a_report(), tmp_path, pages=True) == []
    assert sorted(it.name for it in tmp_path.iterdir()) == [
        "report.html",
        "report.json",
        "trace.har",
    ]


# What an earlier run left


def test_pages_of_an_earlier_run_are_not_left_beside_a_report_without_pages(tmp_path: Path) -> None:
    files.write(a_report(run_id="before"), tmp_path, pages=True)
    assert files.write(a_report(run_id="after"), tmp_path, pages=False) == []
    [left] = tmp_path.iterdir()
    assert '"after"' in left.read_text("utf-8")


def test_a_page_of_an_earlier_run_does_not_stay_for_one_that_was_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(a_report(run_id="before"), tmp_path, pages=True)

    def broken(report: Report) -> str:
        raise RuntimeError("no way")

    monkeypatch.setattr(files, "as_html", broken)
    [problem] = files.write(a_report(run_id="after"), tmp_path, pages=True)
    assert problem.startswith("report.html was not written")
    assert sorted(it.name for it in tmp_path.iterdir()) == ["report.json", "trace.har"]


def test_what_no_run_wrote_is_not_removed(tmp_path: Path) -> None:
    page, trace, elsewhere = (tmp_path / name for name in ("report.html", "trace.har", "mine"))
    page.write_text("<title>another tool's</title>")
    files.write(a_report(), tmp_path / "earlier", pages=True)
    (tmp_path / "earlier" / "trace.har").rename(elsewhere)
    trace.symlink_to(elsewhere)
    assert files.write(a_report(), tmp_path, pages=False) == []
    assert page.exists()
    assert trace.is_symlink()
    assert elsewhere.exists()


def test_an_earlier_page_that_can_not_be_removed_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.write(a_report(), tmp_path, pages=True)

    def refuses(path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuses)
    assert files.write(a_report(), tmp_path, pages=False) == [
        f"{name} of an earlier run is still there: Permission denied ({tmp_path})"
        for name in ("report.html", "trace.har")
    ]
