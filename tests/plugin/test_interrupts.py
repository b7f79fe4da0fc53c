"""Signals before the first test of a run, and its deadline, which ends it as one does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
from handlers import as_in_a_terminal
from inner import only
from plugin_tools import QUICK, TOKEN, Project, alone_or_workers, count, nothing_left, silent, until

from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke.fake import FakeRouter, Scenario

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP


def arguments(*more: str) -> list[str]:
    return ["-m", "pytest", *only(), "--hydra-smoke", *more]


def line(number: int) -> str:
    name = signal.Signals(number).name
    return f"hydra-smoke: interrupted by {name} before anything was provisioned\n"


def left(project: Project) -> list[str]:
    return sorted(file.name for file in (project.path / ".hydrasmoke").iterdir())


LEFT = [".gitignore", "report.json"]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("-p", "no:terminal"), id="no terminal"),
        pytest.param(("-p", "xdist", "-n2"), id="workers", marks=pytest.mark.kill),
    ],
)
def test_a_signal_ends_a_run_that_waits_for_its_router_and_more_change_nothing(
    project: Project, options: tuple[str, ...]
) -> None:
    with silent() as (url, asked):
        project.at(url, ready_timeout=120)
        with project.started(*arguments(*options)) as process, asked():
            # As an impatient user sends them.
            for _ in range(3):
                process.send_signal(INT)
            assert process.stdout is not None
            said = process.stdout.readline()
            while process.poll() is None:
                process.send_signal(TERM)
            said += process.communicate(timeout=60)[0]
    assert (process.returncode, said) == (128 + INT, line(INT))
    assert left(project) == LEFT


def test_where_nobody_reads_its_line_the_exit_code_says_it(project: Project) -> None:
    with silent() as (url, asked):
        project.at(url, ready_timeout=120)
        with project.unread(*arguments()) as process, asked():
            process.send_signal(HUP)
            assert process.wait(60) == 128 + HUP


def test_a_signal_ends_a_quiet_run_that_tries_a_router_again_and_frees_its_recordings(
    project: Project,
) -> None:
    with FakeRouter(token=TOKEN) as router:
        # Held while the second question of a run's beginning is asked, not the first.
        router.fail("poll", times=1000, after=1)
        project.at(router, ready_timeout=120)
        options = ("-qq", "--hydra-smoke-record=recordings")
        with project.started(*arguments(*options)) as process:
            until(lambda: count(router, "poll") > 2, patience=60)
            assert (lock := [*(project.path / "recordings").iterdir()])
            process.send_signal(TERM)
            said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + TERM, line(TERM))
    assert not router.instances
    assert not any(file.exists() for file in lock)
    assert left(project) == LEFT


@pytest.mark.parametrize("session", [True, False], ids=["a session", "no session"])
def test_a_signal_while_a_run_begins_leaves_it_no_folder(
    project: Project,
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    session: bool,
) -> None:
    begin = Ledger.begin

    def begin_and_signal(self: Ledger, owner: str) -> None:
        begin(self, owner)
        signal.raise_signal(TERM)

    monkeypatch.setattr(Ledger, "begin", begin_and_signal)
    project.at(router)
    with as_in_a_terminal():
        if session:
            result = project.live()
            assert (result.ret, result.outlines) == (128 + TERM, [])
            assert capfd.readouterr().err == line(TERM)
            assert project.report()["ended"] == "signal: TERM"
        else:
            config = project.pytester.parseconfig(*only(), "--hydra-smoke")
            with pytest.raises(KeyboardInterrupt):
                config._do_configure()
            config._ensure_unconfigure()
    assert project.runs() == []


# At its deadline: in time to delete what there is, whatever its tests do

SLEEPS = """
import signal, time

def test_a(smoke_instance):
    smoke_instance.chat("here")
    {first}
    time.sleep(60)

def test_b(smoke_instance):
    smoke_instance.chat("never")
"""


@alone_or_workers
def test_what_hangs_is_ended_in_time_for_a_deletion(
    project: Project,
    router: FakeRouter,
    workers: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The deletion takes longer than what is left after a signal of somebody else's.
    for name in ("CLEANUP_SECONDS", "ANSWERED_SECONDS"):
        monkeypatch.setattr(signals, name, 0.1)
    router.fail("delete", status=503, times=2)
    project.at(router, deadline=12, delete_timeout=5).write("test_it.py", SLEEPS.format(first=""))
    with as_in_a_terminal():
        result = project.live(*workers, "test_it.py")
    assert result.ret == 128 + TERM
    assert nothing_left(router)
    assert count(router, "chat") == 1
    assert count(router, "delete") > 2
    report = project.report()
    assert report["ended"].startswith("deadline: the run may take 12 s, and was ended 6 s before")
    assert report["not_run"] == 1
    result.says("hydra-smoke: deadline: the run may take 12 s, *")


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        # A test may take the signal for itself.
        (SLEEPS.format(first="signal.signal(signal.SIGTERM, lambda *_: None)"), "running", INT),
        ("def test_a(smoke_instance): ...", "booting", TERM),
    ],
    ids=["a test", "a boot"],
)
def test_nothing_outlasts_it(
    project: Project,
    routing: Callable[[Scenario], FakeRouter],
    text: str,
    status: str,
    code: int,
) -> None:
    router = routing(replace(QUICK, statuses=((0, status),)))
    project.at(router, ready_timeout=60).write("test_it.py", text)
    with as_in_a_terminal():
        assert project.live("--hydra-smoke-deadline=8", "test_it.py").ret == 128 + code
    report = project.report()
    assert [it["outcome"] for it in report["instances"]] == ["deleted"]
    assert report["ended"].startswith("deadline: ")
    assert nothing_left(router)


GOES_ON = """
import time

import pytest

from pytest_hydrasmoke import ConfigError

def test_a(smoke_instance, smoke_instance_factory, smoke_client, smoke_spec):
    smoke_instance.chat("here")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pass
    for work in (
        smoke_instance_factory,
        lambda: smoke_instance.chat("never"),
        lambda: smoke_client.provision(smoke_spec, "never"),
        lambda: smoke_client.stream_chat(smoke_instance.id, "never").__enter__(),
    ):
        with pytest.raises(ConfigError, match="deadline: the run may take 16 s"):
            work()
"""


def test_a_test_that_goes_on_after_it_neither_provisions_nor_chats(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).write("test_it.py", GOES_ON)
    with as_in_a_terminal():
        assert project.live("--hydra-smoke-deadline=16", "test_it.py").ret == 128 + TERM
    assert (count(router, "provision"), count(router, "chat")) == (1, 1)
    assert [it["outcome"] for it in project.report()["tests"]] == ["passed"]
    assert nothing_left(router)


def test_a_router_that_is_down_does_not_outlast_it(
    project: Project, router: FakeRouter, capfd: pytest.CaptureFixture[str]
) -> None:
    router.fail("poll", status=503, times=10_000)
    project.at(router, ready_timeout=60)
    with as_in_a_terminal():
        assert project.live("--hydra-smoke-deadline=4").ret == 128 + TERM
    said = capfd.readouterr().err
    assert said.startswith("hydra-smoke: deadline: the run may take 4 s, ")
