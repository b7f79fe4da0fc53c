"""What is told of a run's end, whatever it was: exit code, report, page, JUnit and summary."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from xml.etree import ElementTree

import pytest
from plugin_tools import FIRST, Project, nothing_left, shows_token

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter

THREE = """
import os, pytest
def test_one(smoke_instance): ...
def test_two(smoke_instance): {does}
def test_three(smoke_instance): {last}
def test_plain(): ...
"""
# Tests that look for the report of their run, and hooks that keep it from being written.
SEES = """
import json
from pathlib import Path
def test_one(smoke_instance):
    report = json.loads(Path(".hydrasmoke/report.json").read_text())
    assert (report["run_id"], report["ended"]) == ("today", "did not end")
    Path("began").write_text(report["began"])
"""
SEES_NONE = """
import os
def test_one(smoke_instance): assert not os.path.exists(".hydrasmoke/report.json")
"""
FULL_AT_FIRST = """
import errno
from pytest_hydrasmoke._report import run_files
replace = run_files.replace
def full(path, text): raise OSError(errno.ENOSPC, "No space left on device")
run_files.replace = full
def pytest_sessionstart(): run_files.replace = replace
"""
BREAKS_OFF = """
from pytest_hydrasmoke._report import run_files
replace = run_files.replace
def once(path, text):
    run_files.replace = replace
    raise KeyboardInterrupt
def pytest_sessionstart(): run_files.replace = once
def pytest_sessionfinish(): run_files.replace = replace
"""
# Raised in the main thread, where the first of the deletions is waited for.
BREAKS_CLEAN_UP = """
from pytest_hydrasmoke._run.run import Run
dispose = Run.dispose_now
def once(self, instances):
    Run.dispose_now = dispose
    raise KeyboardInterrupt
Run.dispose_now = once
"""
NOTHING = "hydra-smoke: no smoke test was executed: the run proves nothing*"
ASKS_NOTHING = "hydra-smoke: no smoke test asked the router for anything: the run proves nothing*"
NOT_ALL = "hydra-smoke: not all smoke tests came to their end: the run proves nothing about *"
VERDICTS = {1: "Failed", 2: "Interrupted"}


@dataclass(frozen=True)
class Ending:
    """What a run does, and what is told of its end.

    `code` and `ended` are the report's, and `outcomes` what it says of the tests that began;
    `tests` is what is told of all; `returned` is pytest's exit code, where it is another.
    """

    code: int
    ended: str | None
    tests: str = "3 passed"
    outcomes: str = "passed passed passed"
    does: str = "..."
    last: str = "..."
    text: str = THREE
    hook: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ("test_it.py",)
    settings: Mapping[str, object] = field(default_factory=dict)
    order: str = "trylast=True"
    instances: int = 1
    returned: int | None = None
    summary: bool = True
    interrupts: bool = False
    """Whether a `KeyboardInterrupt` comes out of it."""
    err: str = ""
    """The last line on standard error, of an end that shows no traceback."""
    verdict: str | None = None
    words: tuple[str, ...] = ()

    @property
    def not_run(self) -> int:
        *_, last = self.tests.split(", ")
        return int(last.removesuffix(" not run")) if last.endswith(" not run") else 0

    def write(self, project: Project) -> None:
        project.set(**self.settings).write("test_it.py", self.text.format_map(vars(self)))
        if self.hook:
            hook = f"@pytest.hookimpl({self.order})\ndef {self.hook}\n"
            project.write("conftest.py", f"import os, pytest, signal\n{hook}")
        for name, text in self.files.items():
            project.write(name, text)


def check(project: Project, router: FakeRouter, row: Ending) -> None:
    """Check what reports tell of a run's end, and that nothing is left of it, nor of its token."""
    left = [it for it in project.path.glob("**/*.*") if it.suffix in (".json", ".html", ".xml")]
    assert not [it for it in left if shows_token(it.read_text("utf-8"))]
    report = project.report()
    assert (report["run_id"], report["exit_code"]) == ("today", row.code)
    assert (report["ended"] is None) == (row.ended is None)
    assert fnmatch(report["ended"] or "", row.ended or "")
    assert report["not_run"] == row.not_run
    assert " ".join(it["outcome"] for it in report["tests"]) == row.outcomes
    assert len(router.instances) == row.instances == len(report["instances"])
    assert all(it["outcome"] == "deleted" for it in report["instances"])
    assert nothing_left(router) if row.instances else len(router.requests) <= len(FIRST)
    assert project.runs() == []
    if row.code:
        page = project.left("report.html")
        assert f"<h1>{VERDICTS.get(row.code, f'Ended with exit code {row.code}')}</h1>" in page
        assert not row.tests or f"<dd>{row.tests}</dd>" in page
        assert report["ended"] is None or html.escape(report["ended"][:60]) in page
    if (file := project.path / "junit.xml").exists():
        found = ElementTree.parse(file).iterfind(".//property[@name='hydra_smoke.ended']")
        values = [it.get("value", "")[:60] for it in found]
        # What comes as the run ends comes too late for this file.
        assert values == ([report["ended"][:60]] if row.ended and not row.err else [])
    assert main(["history", ".hydrasmoke", "--fail-on", "failure"]) == int(row.code != 0)


def check_output(row: Ending, result: pytest.RunResult) -> None:
    """Check what is told on the terminal: each of it once, and nothing beside a usage error."""
    assert result.ret == (row.code if row.returned is None else row.returned)
    lines = result.outlines
    told = [line.partition(";")[0] for line in lines if line.startswith("smoke tests: ")]
    assert told == ([f"smoke tests: {row.tests}"] if row.tests and row.summary else [])
    assert any("= hydra-smoke =" in line for line in lines) == row.summary
    every = tuple(it[:-1] for it in (NOTHING, ASKS_NOTHING, NOT_ALL))
    verdicts = [it for it in lines if it.startswith(every)]
    numbers = f"provisioned {row.instances}, deleted {row.instances}, kept 0, leaked 0, unsure 0"
    assert any(line.endswith(numbers) for line in lines) == row.summary
    assert len(verdicts) == (row.verdict is not None)
    result.stdout.fnmatch_lines([*row.words, *verdicts])
    assert not [it for it in result.errlines if it.startswith(every)]
    assert "not written" not in result.stdout.str() + result.stderr.str()
    assert not row.verdict or fnmatch(verdicts[0], row.verdict)
    kind, _, words = (row.ended or "").partition(": ")
    if kind == "usage error":
        result.stderr.fnmatch_lines([f"ERROR: {words}"])
        result.stdout.no_fnmatch_line(f"*{words}*")
