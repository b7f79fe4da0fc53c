"""Where views of the history are written, and that nothing else is written over."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from handlers import as_in_a_terminal
from history_tools import Output, command
from systems import Unwritable

from pytest_hydrasmoke._cli.main import main


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page of last week, in a folder of its own."""
    page = tmp_path / "home" / "history.html"
    page.parent.mkdir()
    page.write_text("last week's")
    return page


def test_a_view_on_standard_output_is_alone_there(artifacts: Path, capsys: Output) -> None:
    assert main(["history", str(artifacts), "--json", "-", "--fail-on", "failure"]) == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)["live"]["groups"]) == 12
    assert err.startswith("hydra-smoke history, live router: failure: run run-11 (exit code 1)")
    assert "\nFAILED failure: run run-11 (exit code 1)" in err
    assert main(["history", str(artifacts), "--markdown", "-"]) == 0
    start = "## hydra-smoke history, live router: failure\n\n`runs: 12;"
    assert capsys.readouterr().out.startswith(start)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_no_half_of_a_file(
    artifacts: Path, page: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    replace = os.replace

    def signalled(*places: str) -> None:
        signal.raise_signal(number)
        assert page.read_text() == "last week's"
        replace(*places)

    monkeypatch.setattr(os, "replace", signalled)
    with as_in_a_terminal(), pytest.raises(SystemExit) as ended:
        sys.exit(main(["history", str(artifacts), "--html", str(page)]))
    assert ended.value.code == code
    assert page.read_text("utf-8") == "last week's"
    assert list(page.parent.iterdir()) == [page]


def test_what_can_not_be_written_is_a_wrong_setting_and_leaves_the_old_file(
    artifacts: Path, page: Path, capsys: Output
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limits[1]))
    try:
        code, lines = command(capsys, artifacts, "--html", page)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, lines[-2]) == (4, f"{page} can't be written: File too large")
    assert page.read_text() == "last week's"
    assert list(page.parent.iterdir()) == [page]
    nowhere = page.parent / "no" / "where.json"
    code, lines = command(capsys, artifacts, "--json", nowhere)
    assert (code, lines[-2]) == (4, f"{nowhere} can't be written: No such file or directory")
    # A device is written as it is.
    assert command(capsys, artifacts, "--html", "/dev/null")[0] == 0
    code, lines = command(capsys, artifacts, "--html", "/dev/full")
    assert (code, lines[-2]) == (4, "/dev/full can't be written: No space left on device")


def test_a_file_keeps_its_mode_and_its_links(
    artifacts: Path, tmp_path: Path, capsys: Output
) -> None:
    kept, link, new = (tmp_path / f"{it}.html" for it in ("kept", "link", "new"))
    kept.touch()
    kept.chmod(0o640)
    link.symlink_to(kept)
    umask = os.umask(0o022)
    try:
        for path in (link, new):
            assert command(capsys, artifacts, "--html", path)[0] == 0
    finally:
        os.umask(umask)
    assert link.is_symlink()
    assert kept.read_text("utf-8") == new.read_text("utf-8") != ""
    assert [stat.S_IMODE(it.stat().st_mode) for it in (kept, new)] == [0o640, 0o644]


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EPIPE, 0, ""),
        (errno.ENOSPC, 4, "standard output can't be written: No space left on device\n"),
    ],
)
def test_standard_output_that_breaks_changes_no_verdict(
    artifacts: Path,
    page: Path,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
    words: str,
) -> None:
    for fail_on, verdict in (("failure", 1), ("leak", code)):
        page.unlink(missing_ok=True)
        monkeypatch.setattr(sys, "stdout", Unwritable(number))
        arguments = [str(artifacts), "--fail-on", fail_on, "--html", str(page)]
        assert main(["history", *arguments]) == verdict
        assert page.exists()
        assert capsys.readouterr().err == words


def test_a_reader_that_has_gone(artifacts: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pytest_hydrasmoke", "history", str(artifacts)]
    with open(writing, "wb") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_reports_are_never_written_over_and_each_view_has_a_file_of_its_own(
    artifacts: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = artifacts / "artifact-0" / ".hydrasmoke" / "report.json"
    before = one.read_bytes()
    named, link, hard = (tmp_path / it for it in ("named.data", "link.json", "hard.html"))
    named.write_bytes(before)
    link.symlink_to(one)
    hard.hardlink_to(one)
    for path in (named, link, hard, one):
        for option in ("--html", "--json", "--markdown"):
            code, lines = command(capsys, artifacts, named, option, path)
            assert code == 4
            assert lines[-2] == f"{path} is the report of a run"
    assert one.read_bytes() == named.read_bytes() == before
    # Whatever else is there may be replaced, again and again.
    for _ in range(2):
        assert command(capsys, artifacts, "--json", artifacts / "report-of-many.json")[0] == 0
    for first, second in (("-", "-"), ("it", tmp_path / "it")):
        code, lines = command(capsys, artifacts, "--json", first, "--html", second)
        assert code == 4
        named = "standard output" if first == "-" else first
        assert lines[-2].endswith(f"{named} is named twice: one view would overwrite another")
    assert not Path("it").exists()
