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
    project: Project, silent: tuple[str, Asked], options: tuple[str, ...]
) -> None:
    url, asked = silent
    waiting(project, url)
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


def test_where_nobody_reads_its_line_the_exit_code_says_it(
    project: Project, silent: tuple[str, Asked]
) -> None:
    url, asked = silent
    waiting(project, url)
    with project.unread(*arguments()) as process, asked():
        process.send_signal(HUP)
        assert process.wait(60) == 128 + HUP


def test_a_signal_ends_a_quiet_run_that_tries_a_router_again_and_frees_its_recordings(
    project: Project,
) -> None:
    with FakeRouter(token=TOKEN) as router:
        # Held while the second question of a run's beginning is asked, not the first.
        router.fail("poll", times=1000, after=1)
        waiting(project, router)
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


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run gets a signal while it begins, in this process, as if it were one of a terminal."""
    begin = Ledger.begin

    def begin_and_signal(self: Ledger, owner: str) -> None:
        begin(self, owner)
        signal.raise_signal(TERM)

    monkeypatch.setattr(Ledger, "begin", begin_and_signal)
    with as_in_a_terminal():
        yield


@pytest.mark.usefixtures("signalled")
def test_a_signal_while_a_run_begins_leaves_it_no_folder(
    project: Project, router: FakeRouter, capfd: pytest.CaptureFixture[str]
) -> None:
    result = project.at(router).live()
    assert (result.ret, result.outlines) == (128 + TERM, [])
    assert capfd.readouterr().err == line(TERM)
    assert not [*(project.path / ".hydrasmoke").glob("runs/*")]
    assert '"ended": "signal: TERM"' in project.left("report.json")


@pytest.mark.usefixtures("signalled")
def test_a_signal_while_a_run_without_a_session_begins(
    project: Project, router: FakeRouter
) -> None:
    project.at(router)
    config = project.pytester.parseconfig(*only(), "--hydra-smoke")
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
    project: Project,
    router: FakeRouter,
    hook: str,
    who: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    what = "signal.raise_signal(signal.SIGTERM)"
    project.at(router).write("conftest.py", AT_THE_END.format(hook=hook, what=what))
    project.write("test_it.py", "def test_it(smoke_instance): ...")
    with as_in_a_terminal():
        result = project.live("test_it.py")
    assert result.ret == 128 + TERM
    said = capfd.readouterr().err
    assert said.splitlines()[-1] == f"{who}: interrupted by SIGTERM at the run's end"
    assert "Traceback" not in said + result.stdout.str()
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
