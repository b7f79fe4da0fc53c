"""G26: a clock that a test freezes, moves or fakes delays no end: 0 hangs, 0 left."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from inner import only
from kill_tools import judge, prepared, router, several_at_once, start, until
from without_trio import path_with_trio

END = 10.0
"""Seconds from a signal until the run must be over: a runner kills then."""

FREEZERS = {
    "freezegun": ("from freezegun import freeze_time", "freeze_time('2030-01-01')"),
    "freezegun moving": (
        "from freezegun import freeze_time",
        "freeze_time('2020-01-01', tick=True)",
    ),
    "freezegun asyncio": (
        "from freezegun import freeze_time",
        "freeze_time('2030-01-01', real_asyncio=True)",
    ),
    "time-machine": ("from time_machine import travel", "travel(0, tick=False)"),
    "time-machine moving": ("from time_machine import travel", "travel(0, tick=True)"),
    "nothing": ("from contextlib import nullcontext", "nullcontext()"),
}
"""What a suite imports, and with what it freezes time."""
FAKETIMES = {"libfaketime +2h": "+2h", "libfaketime": "2020-01-01 00:00:00"}
"""What libfaketime is told, for a whole run."""
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
PLACES = ("test", "session", "set-up")
FLAVOURS = ("blocking", "asyncio", "trio", "pytest-asyncio")
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM}

ROUTER: dict[str, Any] = {
    "row_after": 0.0,
    "statuses": [[0, "queued"], [0.3, "running"]],
    # The deletion takes a second.
    "after_delete": "row",
    "gone_word": "deleting",
    "cleaned_word": "deleted",
    "cleanup_after": 1.0,
    # A turn leaves no row within the tests' time.
    "llm_events_lag": 60.0,
    "event_pause": 0.1,
    "replies": [
        {"match": "hello", "text": "Hello."},
        {"match": "go on", "text": "and on " * 300},
    ],
}

HEAD = """
import asyncio, os, time
import anyio, pytest
{imports}
from pytest_hydrasmoke import ChatTimeoutError, LlmEventsError

{marker}

@pytest.fixture
def anyio_backend():
    return "{backend}"
"""
SESSION = """
@pytest.fixture(scope="session", autouse=True)
def frozen():
    with {freeze}:
        yield
"""
BODY = """
{maybe}def test_it({prefix}smoke_instance_factory):
    with {around_set_up}:
        instance = {wait}{prefix}smoke_instance_factory()
    with {around}:
        turn = {wait}instance.chat("hello")
        with pytest.raises(LlmEventsError):
            {wait}turn.expect_llm_events(timeout=2)
        with pytest.raises(ChatTimeoutError):
            {wait}instance.chat("go on", timeout=1)
        {ending}
        {wait}instance.delete()

{maybe}def test_shared({prefix}smoke_instance):
    with {around}:
        {wait}{prefix}smoke_instance.chat("hello")
"""


@dataclass(frozen=True)
class Case:
    """One run: what freezes time and where, how its test is written, and what ends it."""

    freezer: str
    place: str
    flavour: str
    ending: str

    def __str__(self) -> str:
        return ", ".join((self.freezer, self.place, self.flavour, self.ending))

    def text(self) -> str:
        """Return the test file."""
        imports, freeze = FREEZERS[self.freezer if self.freezer in FREEZERS else "nothing"]
        awaits = self.flavour != "blocking"
        marker = "asyncio" if self.flavour == "pytest-asyncio" else "anyio"
        # Neither a signal nor a wait depends on a clock here.
        asleep = "anyio.sleep_forever()" if awaits else "__import__('signal').pause()"
        ending = f"{'await ' if awaits else ''}{asleep}"
        if self.flavour == "trio":
            # After an interrupt, anyio's runner waits for the test's own end.
            ending = "pass"
        fields = {
            "imports": imports + "\nfrom contextlib import nullcontext",
            "marker": f"pytestmark = pytest.mark.{marker}" if awaits else "",
            "backend": self.flavour,
            "freeze": freeze,
            "maybe": "async " if awaits else "",
            "wait": "await " if awaits else "",
            "prefix": "async_" if awaits else "",
            "around": freeze if self.place == "test" else "nullcontext()",
            "around_set_up": freeze if self.place == "set-up" else "nullcontext()",
            "ending": ending if self.ending in SIGNALS else "pass",
        }
        session = SESSION if self.place == "session" else ""
        return (HEAD + session + BODY).format(**fields)

    def fault(self, folder: Path) -> str:
        """Run it; return what went wrong."""
        options = "-s", *only("asyncio" if self.flavour == "pytest-asyncio" else "anyio")
        more = {"HYDRA_SMOKE_DELETE_TIMEOUT": "20", "PYTHONPATH": path_with_trio()}
        with router(**ROUTER) as at:
            command, _, env = prepared(at, folder, self.text(), *options, **more)
            if self.freezer in FAKETIMES:
                # `faketime` as a program would keep the signals from the run.
                faked = f"LD_PRELOAD={LIBRARIES[0]}", f"FAKETIME={FAKETIMES[self.freezer]}"
                command = ["env", *faked, *command]
            run = start(command, folder, env, str(self))
            if self.ending in SIGNALS:
                if not until(lambda: len(at.requests("chat")) > 1, 30.0):
                    run.send(signal.SIGKILL)
                    return f"{self}: it never came to its second chat"
                run.send(SIGNALS[self.ending])
            began = time.monotonic()
            try:
                code = run.end(END if self.ending in SIGNALS else 40.0)
            except AssertionError as error:
                return str(error)
            took = time.monotonic() - began
            alive = at.alive()
        good = {"INT": 130, "TERM": 143}.get(self.ending, 0)
        wrong = alive or code != good
        return f"{self}: {code} after {took:.1f} s, alive: {alive}\n{run.output}" if wrong else ""


CASES = [
    Case(freezer, place, flavour, ending)
    for freezer in FREEZERS
    for place in PLACES
    for flavour in FLAVOURS
    for ending in ("none", *SIGNALS)
    if freezer != "nothing"
]
OF_PROCESSES = [
    Case(freezer, "process", flavour, ending)
    for freezer in FAKETIMES
    for flavour in FLAVOURS
    for ending in ("none", *SIGNALS)
]


def check(cases: list[Case], folder: Path) -> None:
    """Run all of them; each must end in time, with nothing left."""
    jobs = [(case, folder / str(number)) for number, case in enumerate(cases)]
    judge("G26: runs by a wrong clock", several_at_once(lambda job: job[0].fault(job[1]), jobs))


@pytest.mark.kill
def test_frozen_time_delays_no_end(tmp_path: Path) -> None:
    check(CASES, tmp_path)


@pytest.mark.kill
def test_a_faked_clock_of_the_system_delays_no_end(tmp_path: Path) -> None:
    assert LIBRARIES, "libfaketime is missing: apt-get install faketime"
    check(OF_PROCESSES, tmp_path)
