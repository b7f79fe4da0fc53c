"""Each state of a run's end meets signals, a user's hook that raises, and a worker that dies in it.

Whatever happens, all is deleted, and the report has the exit code that the run has.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from handlers import as_in_a_terminal
from inner import only
from plugin_tools import QUICK, Project, count, nothing_left, until
from sizes import sampled

from pytest_hydrasmoke.fake import FakeRouter, Scenario

INT, TERM = signal.SIGINT, signal.SIGTERM
SUITE = """
import os, time
from pathlib import Path

import pytest

WHERE, HOW, MET = os.environ["WHERE"], os.environ["HOW"], Path(os.environ["MET"])

def meet(where):
    worker = "PYTEST_XDIST_WORKER" in os.environ
    others = where not in ("test", "teardown") and worker != (HOW == "dies")
    if where != WHERE or others or MET.exists():
        return
    MET.touch()
    if HOW == "dies":
        os._exit(9)
    if HOW == "raises":
        raise ZeroDivisionError("my own")
    time.sleep(1)

def pytest_sessionfinish():
    meet("session's end")

def pytest_hydra_smoke_report():
    meet("report")

def pytest_terminal_summary():
    meet("summary")

def pytest_unconfigure():
    meet("unconfigure")

@pytest.fixture
def guest(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        yield instance
    meet("teardown")
"""
TESTS = """
from conftest import meet

def test_one(smoke_instance, guest):
    smoke_instance.chat("hello")
    guest.chat("hello")
    meet("test")

def test_two(smoke_instance):
    smoke_instance.chat("and now?")
"""
OF_HOOKS = ("test", "teardown", "session's end", "report", "summary", "unconfigure")
SEEN: dict[str, Callable[[FakeRouter], bool]] = {
    "first delete": lambda it: count(it, "delete") > 0,
    "later deletes": lambda it: count(it, "delete") > 2,
}
SIGNALS = {"INT": (INT,), "INT, INT, TERM": (INT, INT, TERM), "TERM": (TERM,)}


@dataclass(frozen=True)
class Met:
    """What happens, and where in the end of a run."""

    where: str
    how: str
    workers: bool = False

    def __str__(self) -> str:
        return f"{self.how} at {self.where}{', a worker' if self.workers else ''}"


def rows() -> Iterator[Met]:
    for where in (*OF_HOOKS, *SEEN):
        for how in SIGNALS:
            yield from (Met(where, how), Met(where, how, workers=True))
    for where in OF_HOOKS:
        yield from (Met(where, "raises"), Met(where, "raises", workers=True))
    for where in OF_HOOKS[:3]:
        yield Met(where, "dies", workers=True)


@pytest.mark.parametrize(
    "met", sampled("kill", [*rows()], [Met("first delete", "INT, INT, TERM")], name=str)
)
def test_all_is_deleted_and_the_report_is_true(
    project: Project,
    routing: Callable[[Scenario], FakeRouter],
    monkeypatch: pytest.MonkeyPatch,
    met: Met,
) -> None:
    router = routing(QUICK)
    if met.where in SEEN:
        # So a deletion takes a while.
        router.fail("delete", status=503, times=6)
    project.at(router, run_id="run", bundled_checks="false", delete_timeout=10)
    project.write("conftest.py", SUITE)
    project.write("test_it.py", TESTS)
    mark = project.path / "met"
    for name, value in {"WHERE": met.where, "HOW": met.how, "MET": str(mark)}.items():
        monkeypatch.setenv(name, value)
    workers = ("-p", "xdist", "-n1") if met.workers else ()
    arguments = ("-m", "pytest", *only(), "--hydra-smoke", *workers)
    with as_in_a_terminal(), project.started(*arguments) as process:
        signals = SIGNALS.get(met.how, ())
        if signals:
            seen = SEEN.get(met.where, lambda _: mark.exists())
            until(lambda: seen(router), patience=60)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.05)
        said, _ = process.communicate(timeout=60)
    assert mark.exists() or met.where in SEEN, said
    assert nothing_left(router), said
    report = project.report()
    outcomes = [it["outcome"] for it in report["instances"]]
    assert set(outcomes) == {"deleted"}, said
    assert len(outcomes) == len(router.instances)
    assert report["exit_code"] == process.returncode, said
    if signals:
        assert process.returncode == 128 + signals[0], said
