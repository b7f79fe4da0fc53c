"""P12: what it costs to record a suite, and to replay it; how large recordings are.

Each run is a process of pytest. A live run's router is in this one, so that the CPU time is the
run's alone; it is behind TLS, as every router is that is not on the run's own machine. The plain
fake and what is replayed are served by the run itself. What recording costs
is less than two equal runs differ by: so it is measured within one, in which half of the tests are
recorded.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tracemalloc
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_fake import CA, SPEC, over_tls
from bench_measure import rounds
from bench_result import Bar, Result
from bench_streams import COMPLETION_CHUNK, CONTENT_BLOCK

from pytest_hydrasmoke import InstanceSpec, SmokeClient
from pytest_hydrasmoke._run.recording import Turn, as_text
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
import pytest

@pytest.mark.parametrize("number", range({turns}))
def test_turn(smoke_instance, number):
    assert smoke_instance.chat(f"Question {{number}}").text
"""
HALF = """
import pytest

LIVE = pytest.mark.hydra_smoke_live  # It has no recording.

@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[LIVE] if n % 4 in (1, 2) else []) for n in range({turns})]
)
def test_turn(smoke_instance, number):
    assert smoke_instance.chat(f"Question {{number}}").text
"""
TIMED = """
import json
import time

import pytest

began = []

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol():
    began.append(time.process_time())
    return (yield)

def pytest_sessionfinish():
    began.append(time.process_time())
    with open("began.json", "w") as file:
        json.dump(began, file)
"""
PATIENCE = 120.0
"""Seconds: a run may take so long and is timed again all the same."""
PACES = {100: 32, 2_000: 100}
"""Events a second of a turn whose events come one at a time, and how many tests have such turns.

The slower one is a fast model's; the other shows how much depends on the pace.
"""
FRAMES = {
    "OpenAI": (f"data: {COMPLETION_CHUNK}\n\n", 1.3),
    "Anthropic": (f"event: content_block_delta\ndata: {CONTENT_BLOCK}\n\n", 1.3),
    "bare text": ("data: TEXT\n\n", 2.2),
}
"""An event of each kind, and how many times its bytes a recording of many may take."""


class Suite:
    """A suite in a folder of its own, and the ways to run it."""

    def __init__(
        self, folder: Path, turns: int, router: FakeRouter, url: str, suite: str = SUITE
    ) -> None:
        self.folder = folder
        self._turns = turns
        (folder / "test_it.py").write_text(suite.format(turns=turns))
        scenario = router.scenario
        (folder / "plain.toml").write_text(
            f'runtime = "{scenario.runtime}"\nrow_after = 0\nstatuses = [[0, "running"]]\n'
            f"llm_events_lag = 0\nreply = {json.dumps(scenario.reply)}\n"
        )
        # What is waited for takes no CPU time.
        settle = {"usage_settle": "0.05"}
        given = {"url": url, "token": router.token, "ca_file": str(CA), **settle, **SPEC}
        own = {f"HYDRA_SMOKE_{name.upper()}": value for name, value in given.items()}
        self._env = {
            **{name: it for name, it in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            **own,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            # Modules are compiled in the first round only, whatever the environment says.
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        self.recordings = folder / "recordings"

    def run(self, *options: str) -> None:
        plugins = ("-p", "hydrasmoke", "-p", "no:cacheprovider")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *plugins, *options, "test_it.py"],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"{self._turns} passed" in done.stdout, done.stdout + done.stderr

    def record(self) -> None:
        # Moved, not deleted: ext4 takes long to make a file where others were deleted just before.
        if self.recordings.exists():
            self.recordings.rename(self.folder / f"earlier-{secrets.token_hex(4)}")
        self.run("--hydra-smoke", "--hydra-smoke-record=recordings")

    def tests(self) -> dict[str, list[float]]:
        """Record half of the tests; return the CPU time of each of both kinds, in seconds.

        As each kind comes second in every other pair, neither always pays for the one before.
        """
        (self.folder / "conftest.py").write_text(TIMED)
        self.record()
        began = json.loads((self.folder / "began.json").read_text())
        taken = [end - start for start, end in itertools.pairwise(began)]
        # The first four load what the others use.
        return {
            "recorded": [*taken[4::4], *taken[7::4]],
            "live": [*taken[5::4], *taken[6::4]],
        }


@contextmanager
def _suite(scenario: Scenario, turns: int, suite: str = SUITE) -> Generator[Suite]:
    """Yield a suite whose live runs use a fake behind TLS."""
    with (
        TemporaryDirectory() as folder,
        FakeRouter(scenario) as router,
        over_tls(router.app) as url,
    ):
        yield Suite(Path(folder), turns, router, url, suite)


def usual(taken: Sequence[float]) -> float:
    """Return the mean of the faster half: the slower one has what else the machine does."""
    return statistics.mean(sorted(taken)[: (len(taken) + 1) // 2])


def children() -> float:
    """Return the CPU time of the processes that have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(
    turns: int = 200,
    events: int = 500,
    long: int = 100_000,
    times: int = 5,
    paces: Mapping[int, int] = PACES,
) -> Result:
    result = Result(["run", "s of CPU", "beside"])
    # An event a word, and the reply's end.
    spoken = Scenario(
        row_after=0,
        statuses=((0, "running"),),
        llm_events_lag=0,
        reply=" ".join([f"word{number}" for number in range(events - 2)]),
    )
    with _suite(spoken, turns) as suite:
        fake = ("--hydra-smoke-fake", "--hydra-smoke-scenario")
        # What is replayed was recorded in the first round, just before.
        ways = {
            "live": partial(suite.run, "--hydra-smoke"),
            "live, recorded": suite.record,
            "on the plain fake": partial(suite.run, *fake, "plain.toml"),
            "replayed": partial(suite.run, *fake, "recordings/"),
        }
        found = rounds(ways, times, timer=children, patience=PATIENCE)
    for name, base in (
        ("live", "live"),
        ("live, recorded", "live"),
        ("on the plain fake", "on the plain fake"),
        ("replayed", "on the plain fake"),
    ):
        result.add(name, found.seconds(name), found.ratio(name, base))
    spread = {
        pace: _spread(replace(spoken, event_pause=1 / pace), tests, times)
        for pace, tests in paces.items()
    }
    for pace, (live, recorded) in spread.items():
        name = f"a test, {pace:,} events a second"
        result.add(name, live, 1.0)
        result.add(f"{name}, recorded", recorded, recorded / live)
    agents = min(paces)
    live, recorded = spread[agents]
    result.bars = [
        Bar("replayed, against the plain fake", found.ratio("replayed", "on the plain fake"), 1.2),
        Bar(f"a test, {agents:,} events a second, recorded, against live", recorded / live, 1.03),
        Bar(f"memory of a stream of {long:,} events, replayed", _memory(long), 64, "MiB"),
        *_sizes(events),
    ]
    return result


def _spread(scenario: Scenario, tests: int, times: int) -> tuple[float, float]:
    """Return the CPU time of a test, live and recorded, in seconds."""
    # Processes differ by more than what is looked for: half of the tests of several.
    with _suite(scenario, tests, HALF) as suite:
        found = [suite.tests() for _ in range(times)]
    live, recorded = (
        usual([seconds for one in found for seconds in one[kind]]) for kind in ("live", "recorded")
    )
    return live, recorded


def _recording(frame: str, events: int) -> tuple[str, int]:
    """Return a recording of a turn, a chunk an event, and the bytes of its stream."""
    parts = [frame.replace("TEXT", f" word{number % 100}") for number in range(events - 1)]
    chunks = [part.encode() for part in [*parts, "data: [DONE]\n\n"]]
    times = range(0, 20 * events, 20)
    turn = Turn(1, None, SPEC, "Tell me all", None, "closed", times, chunks, None)
    return as_text("test_it.py::test_it", [turn], "2026-01-01"), len(turn.stream)


def _sizes(events: int) -> Iterator[Bar]:
    for name, (frame, limit) in FRAMES.items():
        text, size = _recording(frame, events)
        yield Bar(f"size of a recording of {name}", len(text.encode()) / size, limit)


def _memory(events: int) -> float:
    """Return the MiB that it takes to read a folder and to replay its stream, at the most."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "one.json").write_text(_recording(FRAMES["OpenAI"][0], events)[0])
        with FakeRouter():  # What every fake needs is there.
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            with FakeRouter(folder) as fake, SmokeClient(fake.url, token=fake.token) as client:
                instance = client.provision(InstanceSpec(**SPEC), "bench-0").instance_id
                with client.stream_chat(instance, "Tell me all") as stream:
                    assert sum(1 for _ in stream) == events
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    return (peak - before) / (1 << 20)
