"""Runs as they look while they run: on a terminal, in a pipeline, and under pytest's options."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator

import pytest
from golden import golden
from inner import only
from plugin_tools import TOKEN, Project, shows_token
from progress_tools import on_terminal, rest_of, shown, timeless
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._report import lines, live
from pytest_hydrasmoke._report.screen import Terminal
from pytest_hydrasmoke.fake import FakeRouter, Scenario

BOOT = Scenario(row_after=0, statuses=((0, "queued"), (2, "booting"), (3, "running")))
LEAN = ("-p", "no:cacheprovider", "--no-header")
QUICK = ("-p", "nothing_lasts")
# A machine on which no phase lasts long enough to be told, however busy it is.
NOTHING_LASTS = """
from pytest_hydrasmoke._report import lines

lines.BRIEF = lines.FIRST = float("inf")
"""
WAITS = """
import sys

def test_waits(smoke_instance):
    print("a print", end=" ")
    smoke_instance.chat("Are you ready?")
    print("and its rest")
    print("a print to stderr", file=sys.stderr)

def test_waits_again(smoke_instance):
    assert smoke_instance.status().status == "running"
"""


class Booting:
    """A router's clock, which goes on by a second with each status that is asked for."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.asked = threading.Event()
        """Set once the router has told the status of an instance."""
        self.may_boot = threading.Event()
        """While a test clears it, no instance goes on booting."""
        self.may_boot.set()

    def before(self, app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def answer(message: Message) -> None:
                if message.get("status") == 200:
                    self.asked.set()
                await send(message)

            if scope["type"] == "http" and re.search(r"/instances/[0-9a-f-]{36}$", scope["path"]):
                if self.may_boot.is_set():
                    self.clock.advance(1)
                await app(scope, receive, answer)
            else:
                await app(scope, receive, send)

        return serve


@pytest.fixture
def booting() -> Booting:
    return Booting()


@pytest.fixture
def router(booting: Booting) -> Iterator[FakeRouter]:
    """A router whose instances take a few looks to boot."""
    made = FakeRouter(BOOT, TOKEN, booting.clock)
    made.app.add_middleware(booting.before)
    with made as router:
        yield router


@pytest.fixture
def here(project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose runs look as anywhere."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    # Where `-p nothing_lasts` is found, whatever PYTHONSAFEPATH says.
    monkeypatch.setenv("PYTHONPATH", str(project.path), prepend=os.pathsep)
    # In this process; what runs in one of its own loads a plugin that does the same.
    for name in ("BRIEF", "FIRST"):
        monkeypatch.setattr(lines, name, float("inf"))
    project.suite("bare").at(router, run_id="run", ready_timeout=60, delete_timeout=20)
    return project.write_all({"nothing_lasts.py": NOTHING_LASTS, "test_waits.py": WAITS})


def told(rows: list[str]) -> list[str]:
    """Return the lines of progress, without how long anything took."""
    found = [re.search(r"hydra-smoke: ((?:gw\d: )?run-\d: .*)", row) for row in rows]
    return [re.sub(r",? [\d.]+ s\b", "", row[1]) for row in found if row is not None]


@pytest.mark.kill  # Before its end, the first is the run that Ctrl-C ends.
@pytest.mark.parametrize(("name", "width", "options"), [("80", 80, ()), ("s-60", 60, ("-s", "-v"))])
def test_on_a_terminal_a_line_is_below_pytests_own(
    name: str, width: int, options: tuple[str, ...], here: Project
) -> None:
    arguments = (*only(), *LEAN, *QUICK, "--hydra-smoke", *options, "test_waits.py")
    with on_terminal(width, *arguments) as (ours, process):
        said = rest_of(ours)
        assert process.wait() == 0
    assert not shows_token(said)
    rows = shown(said)
    assert told(rows) == ["run-0: ready after"]
    golden(f"run-terminal-{name}", timeless("\n".join(rows)))


def test_ctrl_c_while_it_boots_is_answered_below_pytests_line(
    booting: Booting, here: Project, router: FakeRouter
) -> None:
    booting.may_boot.clear()
    here.set(report="never")
    arguments = (*only(), *LEAN, *QUICK, "--hydra-smoke", "test_waits.py")
    with on_terminal(80, *arguments) as (ours, process):
        assert booting.asked.wait(60)
        os.write(ours, b"\x03")
        said = rest_of(ours)
        assert process.wait() == 130
    assert not shows_token(said)
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
def test_in_a_pipeline_it_is_the_same(name: str, options: tuple[str, ...], here: Project) -> None:
    # Where descriptors are captured, in a process of its own.
    if options:
        result = here.live(*LEAN, *options, "test_waits.py")
    else:
        result = here.process(*LEAN, *QUICK, "--hydra-smoke", "test_waits.py")
    assert result.ret == 0
    golden(f"run-pipeline-{name}", timeless("\n".join(result.outlines)))
    assert told(result.outlines) == ([] if name == "log-cli" else ["run-0: ready after"])


def test_workers_are_heard_by_their_main_process(here: Project) -> None:
    here.write("conftest.py", "import nothing_lasts")
    result = here.live("-p", "xdist", *LEAN, "-n1", "test_waits.py", ret=0)
    assert told(result.outlines) == ["gw0: run-0: ready after"]


def test_a_phase_that_lasts_is_told_while_it_lasts(
    booting: Booting, here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_line = Terminal.write_line

    def heard(terminal: Terminal, text: str) -> None:
        write_line(terminal, text)
        if " booting" in text:
            booting.may_boot.set()

    booting.may_boot.clear()
    monkeypatch.setattr(Terminal, "write_line", heard)
    for name in ("BRIEF", "FIRST"):
        monkeypatch.setattr(lines, name, 0.0)
    monkeypatch.setattr(live, "TICK", 0.01)
    result = here.live(*LEAN, "test_waits.py", ret=0)
    assert "run-0: still booting, status 'queued'" in told(result.outlines)


def test_where_nobody_is_to_be_told_nothing_is_said(here: Project, router: FakeRouter) -> None:
    result = here.live("-p", "no:terminal", "test_waits.py")
    assert (result.ret, told(result.outlines)) == (0, [])
    assert [instance.deleted for instance in router.instances] == [True]
