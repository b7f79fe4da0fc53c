"""Runs as they look while they run: on a terminal, in a pipeline, and under pytest's options."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from inner import ALONE, only
from live_tools import (
    TOKEN,
    Asked,
    Picture,
    frames,
    golden,
    on_terminal,
    read_until,
    rest_of,
    settings,
    timeless,
    watched,
)

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = Path(__file__).parent.parent / "suites" / "live"
BOOT = Scenario(row_after=0, statuses=((0, "queued"), (2, "booting"), (3, "running")))
LEAN = (*only(), "-p", "no:cacheprovider", "--hydra-smoke", "--no-header")
LIVE = "hydra-smoke: run-0: "


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith(("HYDRA_SMOKE_", "PYTEST_ADDOPTS", "PYTEST_XDIST", "GITHUB_")):
            monkeypatch.delenv(name)
    for name in ("OPS_BEARER_TOKEN", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(*ALONE)


def serve(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRouter]:
    clock = VirtualClock()
    made = FakeRouter(scenario, TOKEN, clock)
    made.app.add_middleware(Asked, clock=clock)
    with made as router:
        for name, value in settings(router).items():
            monkeypatch.setenv(name, value)
        yield router


@pytest.fixture
def router(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRouter]:
    """A router whose instances take a moment to boot, and a suite beside it."""
    shutil.copytree(SUITE, pytester.path, dirs_exist_ok=True)
    yield from serve(BOOT, monkeypatch)


def changes(lines: list[str]) -> list[str]:
    """Return what is told of an instance, without its times."""
    told = [line.removeprefix(LIVE) for line in lines if line.startswith(LIVE)]
    return [re.sub(r" \d+ s\b|, \d+ s left", "", line) for line in told]


STORY = [
    "provision",
    "row",
    "row, status 'queued'",
    "ready, status 'queued'",
    "ready, status 'booting'",
    "ready, status 'running'",
    "ready after",
    "delete, status 'running'",
    "deleted",
]

# On a terminal


def test_on_a_terminal_nothing_of_it_stays(router: FakeRouter) -> None:
    code, said = on_terminal(80, *LEAN, "test_live.py")
    assert code == 0
    shown = frames(said)
    assert shown[0].startswith("hydra-smoke: provision, ")
    assert any(" status 'booting', " in frame for frame in shown)
    assert shown[-1].startswith("hydra-smoke: delete, ")
    golden("run-terminal-80", timeless("\n".join(Picture(80).show(said))))


def test_under_s_prints_are_whole(router: FakeRouter) -> None:
    code, said = on_terminal(60, *LEAN, "-s", "-v", "test_live.py")
    assert code == 0
    assert any(" status 'booting', " in frame for frame in frames(said))
    golden("run-terminal-s-60", timeless("\n".join(Picture(60).show(said))))


def test_ctrl_c_while_it_boots_leaves_nothing_of_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SUITE, pytester.path, dirs_exist_ok=True)
    stuck = Scenario(row_after=0, statuses=((0, "queued"),))
    for router in serve(stuck, monkeypatch):
        with watched(80, *LEAN, "--hydra-smoke-report=never", "test_live.py") as (ours, process):
            said = read_until(ours, lambda text: "hydra-smoke: ready" in text)
            os.write(ours, b"\x03")
            said += rest_of(ours)
            assert process.wait() == 130
        assert [instance.deleted for instance in router.instances] == [True]
    rows = timeless("\n".join(Picture(80).show(said)))
    # A path that is longer than a row goes on in the next one.
    rows = re.sub(r"/[^:]*:\d+(?=: KeyboardInterrupt)", "a_file.py:1", rows)
    golden("run-terminal-ctrl-c", rows)


# In a pipeline


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("default", ()),
        ("s", ("-s",)),
        ("sys", ("--capture=sys",)),
        ("q", ("-q",)),
        ("v", ("-v",)),
        ("log-cli", ("-o", "log_cli=true", "--log-cli-level=INFO", "--log-cli-format=%(message)s")),
    ],
)
def test_in_a_pipeline_each_change_is_a_line(
    name: str, options: tuple[str, ...], pytester: pytest.Pytester, router: FakeRouter
) -> None:
    # Where descriptors are captured, in a process of its own.
    run = pytester.runpytest_inprocess if options else pytester.runpytest_subprocess
    result = run(*LEAN, *options, "test_live.py")
    assert result.ret == 0
    lines = result.outlines
    golden(f"run-pipeline-{name}", timeless("\n".join(lines)))
    if name == "log-cli":
        lines = [f"hydra-smoke: {line}" for line in lines if "run-0: turn" not in line]
    assert changes(lines) == STORY


@pytest.mark.parametrize("options", [("-qq",), ("-p", "no:terminal"), ("-p", "other")])
def test_where_nobody_is_to_be_told_nothing_is_said(
    options: tuple[str, ...], pytester: pytest.Pytester, router: FakeRouter
) -> None:
    pytester.syspathinsert()
    pytester.makepyfile(
        other="""
        import pytest

        class Other(pytest.TerminalReporter):
            pass

        @pytest.hookimpl(trylast=True)
        def pytest_configure(config):
            mine = Other(config)
            config.pluginmanager.unregister(config.pluginmanager.get_plugin("terminalreporter"))
            config.pluginmanager.register(mine, "terminalreporter")
        """
    )
    result = pytester.runpytest_inprocess(*LEAN[:-1], *options, "test_live.py")
    assert result.ret == 0
    assert changes(result.outlines) == []
    assert [instance.deleted for instance in router.instances] == [True]


def test_workers_are_heard_by_their_main_process(
    pytester: pytest.Pytester, router: FakeRouter
) -> None:
    result = pytester.runpytest_inprocess("-p", "xdist", *LEAN, "-n2", "test_live.py")
    assert result.ret == 0
    told = [line.partition(": run-0: ") for line in result.outlines if line.startswith("hydra")]
    by_workers = [words for worker, _, words in told if worker.startswith("hydra-smoke: gw")]
    assert [line.partition(",")[0] for line in by_workers if line.startswith("provision")] == [
        "provision"
    ]
    assert any(line.startswith("ready after ") for line in by_workers)
    # The shared instance is deleted by the main process, once all that workers tell is heard.
    assert told[-2][2].startswith("delete")
    assert changes(result.outlines) == ["delete", "deleted"]
