"""Runs as they look while they run: on a terminal, in a pipeline, and under pytest's options."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from golden import golden
from inner import ALONE, only
from progress_tools import TOKEN, Booting, on_terminal, rest_of, settings, shown, timeless

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._report import lines, live
from pytest_hydrasmoke._report.screen import Terminal
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = Path(__file__).parent.parent / "suites" / "progress"
BOOT = Scenario(row_after=0, statuses=((0, "queued"), (2, "booting"), (3, "running")))
LEAN = (*only(), "-p", "no:cacheprovider", "--hydra-smoke", "--no-header")
QUICK = ("-p", "nothing_lasts")


@pytest.fixture(autouse=True)
def _environment(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(("HYDRA_SMOKE_", "PYTEST_ADDOPTS", "PYTEST_XDIST", "GITHUB_")):
            monkeypatch.delenv(name)
    for name in ("OPS_BEARER_TOKEN", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(*ALONE)
    shutil.copytree(SUITE, pytester.path, dirs_exist_ok=True)
    # Where `-p nothing_lasts` is found, whatever PYTHONSAFEPATH says.
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=os.pathsep)
    # In this process; what runs in one of its own loads a plugin that does the same.
    for name in ("BRIEF", "FIRST"):
        monkeypatch.setattr(lines, name, float("inf"))


@pytest.fixture
def asked() -> threading.Event:
    """Set once the router has told the status of an instance."""
    return threading.Event()


@pytest.fixture
def may_boot() -> threading.Event:
    """While a test clears it, no instance goes on booting."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def router(
    asked: threading.Event, may_boot: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeRouter]:
    """A router whose instances take a few looks to boot."""
    clock = VirtualClock()
    made = FakeRouter(BOOT, TOKEN, clock)
    made.app.add_middleware(Booting, clock=clock, asked=asked, may_boot=may_boot)
    with made as router:
        for name, value in settings(router).items():
            monkeypatch.setenv(name, value)
        yield router


def told(rows: list[str]) -> list[str]:
    """Return the lines of progress, without how long anything took."""
    found = [re.search(r"hydra-smoke: ((?:gw\d: )?run-\d: .*)", row) for row in rows]
    return [re.sub(r",? [\d.]+ s\b", "", row[1]) for row in found if row is not None]


@pytest.mark.kill  # Before its end, the first is the run that Ctrl-C ends.
@pytest.mark.parametrize(("name", "width", "options"), [("80", 80, ()), ("s-60", 60, ("-s", "-v"))])
def test_on_a_terminal_a_line_is_below_pytests_own(
    name: str, width: int, options: tuple[str, ...], router: FakeRouter
) -> None:
    with on_terminal(width, *LEAN, *QUICK, *options, "test_waits.py") as (ours, process):
        said = rest_of(ours)
        assert process.wait() == 0
    assert TOKEN not in said
    rows = shown(said)
    assert told(rows) == ["run-0: ready after"]
    golden(f"run-terminal-{name}", timeless("\n".join(rows)))


def test_ctrl_c_while_it_boots_is_answered_below_pytests_line(
    asked: threading.Event, may_boot: threading.Event, router: FakeRouter
) -> None:
    may_boot.clear()
    arguments = (*LEAN, *QUICK, "--hydra-smoke-report=never", "test_waits.py")
    with on_terminal(80, *arguments) as (ours, process):
        assert asked.wait(60)
        os.write(ours, b"\x03")
        said = rest_of(ours)
        assert process.wait() == 130
    assert TOKEN not in said
    assert [instance.deleted for instance in router.instances] == [True]
    place = re.compile(r"/[^:]*:\d+(?=: KeyboardInterrupt)")
    rows = [place.sub("a_file.py:1", row) for row in shown(said)]
    golden("run-terminal-ctrl-c", timeless("\n".join(rows)))


LOG = ("log_cli=true", "--log-cli-level=INFO", "--log-cli-format=%(message)s")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("default", (), marks=pytest.mark.kill),
        ("s", ("-s",)),
        ("log-cli", ("-o", *LOG)),
    ],
)
def test_in_a_pipeline_it_is_the_same(
    name: str, options: tuple[str, ...], pytester: pytest.Pytester, router: FakeRouter
) -> None:
    # Where descriptors are captured, in a process of its own.
    if options:
        result = pytester.runpytest_inprocess(*LEAN, *options, "test_waits.py")
    else:
        result = pytester.runpytest_subprocess(*LEAN, *QUICK, "test_waits.py")
    assert result.ret == 0
    golden(f"run-pipeline-{name}", timeless("\n".join(result.outlines)))
    assert told(result.outlines) == ([] if name == "log-cli" else ["run-0: ready after"])


def test_workers_are_heard_by_their_main_process(
    pytester: pytest.Pytester, router: FakeRouter
) -> None:
    pytester.makeconftest("import nothing_lasts")
    result = pytester.runpytest_inprocess("-p", "xdist", *LEAN, "-n1", "test_waits.py")
    assert result.ret == 0
    assert told(result.outlines) == ["gw0: run-0: ready after"]


def test_a_phase_that_lasts_is_told_while_it_lasts(
    may_boot: threading.Event,
    pytester: pytest.Pytester,
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_line = Terminal.write_line

    def heard(terminal: Terminal, text: str) -> None:
        write_line(terminal, text)
        if " booting" in text:
            may_boot.set()

    may_boot.clear()
    monkeypatch.setattr(Terminal, "write_line", heard)
    for name in ("BRIEF", "FIRST"):
        monkeypatch.setattr(lines, name, 0.0)
    monkeypatch.setattr(live, "TICK", 0.01)
    result = pytester.runpytest_inprocess(*LEAN, "test_waits.py")
    assert result.ret == 0
    assert "run-0: still booting, status 'queued'" in told(result.outlines)


def test_where_nobody_is_to_be_told_nothing_is_said(
    pytester: pytest.Pytester, router: FakeRouter
) -> None:
    result = pytester.runpytest_inprocess(*LEAN[:-1], "-p", "no:terminal", "test_waits.py")
    assert (result.ret, told(result.outlines)) == (0, [])
    assert [instance.deleted for instance in router.instances] == [True]
