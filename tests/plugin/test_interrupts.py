"""Signals before the first test, when nothing is provisioned yet, and at the end of a run."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator

import pytest
from handlers import as_in_a_terminal
from inner import only
from plugin_tools import TOKEN, Project, count, nothing_left, until

from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke.fake import FakeRouter

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
Asked = Callable[[], socket.socket]


@pytest.fixture
def silent() -> Iterator[tuple[str, Asked]]:
    """Listen like a router, and never answer; gives its URL, and what waits for a request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def asked() -> socket.socket:
            connection, _ = server.accept()
            assert connection.recv(65536)
            return connection

        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked


def waiting(project: Project, router: FakeRouter | str) -> None:
    """Have a run wait for its router until the signal comes, however busy the machine is."""
    project.at(router, ready_timeout=120)


def arguments(*more: str) -> list[str]:
    return ["-m", "pytest", *only(), "--hydra-smoke", *more]


def line(number: int) -> str:
    name = signal.Signals(number).name
    return f"hydra-smoke: interrupted by {name} before anything was provisioned\n"


@pytest.mark.parametrize(
    ("number", "options"),
    [
        pytest.param(HUP, (), id="HUP"),
        pytest.param(INT, ("-p", "xdist", "-n2"), id="workers", marks=pytest.mark.kill),
        pytest.param(TERM, ("-qq",), id="quiet"),
        pytest.param(INT, ("-p", "no:terminal"), id="no terminal"),
    ],
)
def test_a_signal_ends_a_run_that_waits_for_its_router(
    project: Project,
    silent: tuple[str, Asked],
    number: int,
    options: tuple[str, ...],
) -> None:
    url, asked = silent
    waiting(project, url)
    with project.started(*arguments(*options)) as process, asked():
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, line(number))
    left = sorted(file.name for file in (project.path / ".hydrasmoke").iterdir())
    assert left == [".gitignore", "report.json"]


def test_more_signals_until_its_process_has_ended_change_nothing(
    project: Project, silent: tuple[str, Asked]
) -> None:
    url, asked = silent
    waiting(project, url)
    with project.started(*arguments()) as process, asked():
        # As an impatient user sends them.
        for _ in range(3):
            process.send_signal(INT)
        assert process.stdout is not None
        said = process.stdout.readline()
        while process.poll() is None:
            process.send_signal(TERM)
        said += process.communicate(timeout=60)[0]
    assert (process.returncode, said) == (128 + INT, line(INT))


def test_where_nobody_reads_its_line_the_exit_code_says_it(
    project: Project, silent: tuple[str, Asked]
) -> None:
    url, asked = silent
    waiting(project, url)
    with project.unread(*arguments()) as process, asked():
        process.send_signal(INT)
        assert process.wait(60) == 128 + INT


def test_a_signal_ends_a_run_that_tries_a_router_again_and_frees_its_recordings(
    project: Project,
) -> None:
    with FakeRouter(token=TOKEN) as router:
        # Held while the second question of a run's beginning is asked, not the first.
        router.fail("poll", times=1000, after=1)
        waiting(project, router)
        with project.started(*arguments("--hydra-smoke-record=recordings")) as process:
            until(lambda: count(router, "poll") > 2, patience=60)
            assert (lock := [*(project.path / "recordings").iterdir()])
            process.send_signal(TERM)
            said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + TERM, line(TERM))
    assert not router.instances
    assert not any(file.exists() for file in lock)


WHILE_IT_BEGINS = """
import signal
from pytest_hydrasmoke._run.ledger import Ledger

begin = Ledger.begin

def begin_and_signal(self, owner):
    begin(self, owner)
    signal.raise_signal(signal.SIGTERM)

Ledger.begin = begin_and_signal
"""


def test_a_signal_while_a_run_begins_leaves_it_no_folder(
    project: Project, router: FakeRouter
) -> None:
    project.at(router).write("conftest.py", WHILE_IT_BEGINS)
    result = project.process("--hydra-smoke")
    assert (result.ret, result.errlines) == (128 + TERM, [line(TERM).strip()])
    assert not result.outlines
    assert not [*(project.path / ".hydrasmoke").glob("runs/*")]
    assert '"ended": "signal: TERM"' in project.path.joinpath(".hydrasmoke/report.json").read_text()


def test_a_signal_while_a_run_without_a_session_begins(
    project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Ledger.begin

    def begin_and_signal(self: Ledger, owner: str) -> None:
        begin(self, owner)
        signal.raise_signal(TERM)

    monkeypatch.setattr(Ledger, "begin", begin_and_signal)
    project.at(router)
    config = project.pytester.parseconfig(*only(), "--hydra-smoke")
    with as_in_a_terminal():
        with pytest.raises(KeyboardInterrupt):
            config._do_configure()
        config._ensure_unconfigure()
    assert not [*(project.path / ".hydrasmoke").glob("runs/*")]


# At the run's end

AT_THE_END = """
import pytest, signal

def {hook}:
    {what}
"""
HOOKS = [
    pytest.param("pytest_hydra_smoke_report(report)", "Exit", id="report"),
    pytest.param("pytest_sessionfinish()", "Exit", id="sessionfinish"),
    pytest.param("pytest_terminal_summary()", "Exit", id="summary"),
    pytest.param("pytest_unconfigure()", "hydra-smoke", id="unconfigure"),
]


@pytest.mark.parametrize(("hook", "who"), HOOKS)
def test_a_signal_at_the_end_of_a_run_shows_no_traceback(
    project: Project, router: FakeRouter, hook: str, who: str
) -> None:
    what = "signal.raise_signal(signal.SIGTERM)"
    project.at(router).write("conftest.py", AT_THE_END.format(hook=hook, what=what))
    project.write("test_it.py", "def test_it(smoke_instance): ...")
    result = project.process("--hydra-smoke", "test_it.py")
    assert result.ret == 128 + TERM
    assert result.errlines[-1] == f"{who}: interrupted by SIGTERM at the run's end"
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    report = project.report()
    assert (report["exit_code"], report["ended"]) == (128 + TERM, "signal: TERM")
    assert nothing_left(router)


@pytest.mark.parametrize("hook", ["pytest_sessionfinish()", "pytest_unconfigure()"])
def test_an_interrupt_without_a_signal_at_the_end_of_a_run_is_pytest_s(
    project: Project, router: FakeRouter, hook: str
) -> None:
    text = AT_THE_END.format(hook=hook, what="raise KeyboardInterrupt")
    project.at(router).write("conftest.py", text)
    project.write("test_it.py", "def test_it(smoke_instance): ...")
    with pytest.raises(KeyboardInterrupt):
        project.live("test_it.py")
    assert project.report()["exit_code"] == pytest.ExitCode.TESTS_FAILED
    assert nothing_left(router)
