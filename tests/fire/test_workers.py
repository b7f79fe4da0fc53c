"""However workers die, and however tests are given to them, a run has one instance."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

pytestmark = pytest.mark.fire

Run = Callable[..., str | None]
WHOLE = "provisioned 1, deleted 1, kept 0, leaked 0, unsure 0"
# Some tests kill their worker, wherever they then are: set-up, chat, or the end. `DOOMED` has their
# numbers, and the seconds after which each does so.
DOOMED = """
import os
import signal
import threading
import time
import pytest

DOOMED = {doomed}

@pytest.fixture
def doom(number):
    if number in DOOMED:
        threading.Timer(DOOMED[number], os.kill, (os.getpid(), signal.SIGKILL)).start()

@pytest.mark.parametrize("number", range({tests}))
def test_turn(doom, smoke_instance, number):
    smoke_instance.chat(str(number)).expect_llm_events()
    if number in DOOMED:
        time.sleep(600)
"""
# A failure, and the end of a worker, each of which happens once; then tests that pass.
FLAKY = """
import os
from pathlib import Path
import pytest

def test_fails_once(smoke_instance):
    smoke_instance.chat("fails").expect_llm_events()
    mark = Path("failed")
    if not mark.exists():
        mark.touch()
        raise AssertionError("a failure of the test's own")

def test_crashes_once(smoke_instance):
    mark = Path("crashed")
    if "CRASHES" in os.environ and not mark.exists():
        mark.touch()
        os._exit(7)

@pytest.mark.parametrize("number", range(4))
def test_turn(smoke_instance, number):
    smoke_instance.chat(str(number)).expect_llm_events()
"""


@pytest.fixture
def run(project: Project, routing: Callable[[Scenario], FakeRouter]) -> Run:
    """Give `run(code, words, *arguments)`: run pytest with workers, and tell what is wrong.

    Nothing is where it ends with this code and says these words, and has had one instance, of which
    nothing is left.
    """
    router = routing(Scenario())
    patient = dict.fromkeys(("ready_timeout", "llm_events_timeout", "delete_timeout"), 60)
    project.suite("workers").at(router, usage_settle=5, **patient)
    project.write_all({"test_doomed.py": DOOMED.format(doomed={}, tests=8), "test_flaky.py": FLAKY})

    def run(code: int, words: list[str], *arguments: str) -> str | None:
        before = len(router.instances)
        project.set(run_id=f"run-{before}")
        loaded = ("-p", "xdist", "-p", "rerunfailures")
        result = project.process(*loaded, "--hydra-smoke", *arguments)
        output = result.stdout.str()
        instances = [(it.idempotency_key, it.deleted) for it in router.instances[before:]]
        told = (int(result.ret), instances, project.runs(), [it for it in words if it in output])
        if told == (code, [(f"run-{before}-0", True)], [], words):
            return None
        return f"{told}\n{output}"

    return run


RUNS, WORKERS, TESTS, CRASHES = 20, 4, 16, 3
"""How many runs with workers that die there are, and what each is made of."""
SEED = random.randrange(1_000_000)
LONGEST = 1.2
"""Seconds: by then a doomed test has its instance, whoever had to provision it."""


def test_a_run_has_one_instance_however_its_workers_die(project: Project, run: Run) -> None:
    chance = random.Random(SEED)
    told: list[str] = []
    words = [f"{CRASHES} failed, {TESTS - CRASHES} passed", WHOLE, "replacing crashed worker"]
    for number in range(RUNS):
        # Tests, one of the first among them, and when each of them kills its worker.
        others = chance.sample(range(WORKERS, TESTS), CRASHES - 1)
        doomed = (chance.randrange(WORKERS), *others)
        fate = {it: chance.uniform(0, LONGEST) for it in doomed}
        project.write("test_doomed.py", DOOMED.format(doomed=fate, tests=TESTS))
        wrong = run(1, words, f"-n{WORKERS}", "test_doomed.py")
        told += [] if wrong is None else [f"run {number}, {fate}: {wrong}"]
    print(f"{RUNS} runs under -n {WORKERS} (seed {SEED}), {len(told)} wrong")
    assert not told, "\n\n".join(told)


EIGHT = "8 passed"
WAYS: dict[str, tuple[str, int, str]] = {
    "load": ("-n4 --dist=load test_many.py", 0, EIGHT),
    "loadscope": ("-n4 --dist=loadscope test_many.py test_doomed.py", 0, "16 passed"),
    "loadfile": ("-n2 --dist=loadfile test_many.py test_doomed.py", 0, "16 passed"),
    "loadgroup": ("-n4 --dist=loadgroup test_groups.py", 0, "6 passed"),
    "worksteal": ("-n4 --dist=worksteal test_many.py", 0, EIGHT),
    "each": ("-n2 --dist=each test_many.py", 0, "16 passed"),
    "without workers": ("-n0 test_many.py", 0, EIGHT),
    "without cache": ("-n2 -p no:cacheprovider test_many.py", 0, EIGHT),
    "tx": ("--dist=load --tx=2*popen test_many.py", 0, EIGHT),
    # Where xdist stops early, it exits with 2.
    "stopped at the first failure": ("-n2 -x test_flaky.py", 2, "1 failed"),
    "stopped at a number": ("-n2 --maxfail=1 test_flaky.py", 2, "1 failed"),
    "stepwise": ("-n2 --sw test_flaky.py", 2, "1 failed"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_has_one_instance_whichever_worker_has_which_test(run: Run, way: str) -> None:
    arguments, code, words = WAYS[way]
    assert run(code, [words, WHOLE], *arguments.split()) is None


@pytest.mark.parametrize(
    ("option", "first", "code", "passed"),
    [("--lf", [], 1, "1"), ("--ff", [], 1, "6"), ("--sw", ["--sw"], 2, "6")],
)
def test_a_run_that_goes_on_where_another_failed_has_one_of_its_own(
    run: Run, option: str, first: list[str], code: int, passed: str
) -> None:
    assert run(code, ["1 failed"], "-n2", *first, "test_flaky.py") is None
    assert run(0, [f"{passed} passed"], "-n2", option, "test_flaky.py") is None


def test_what_is_run_again_after_a_crash_or_a_failure_has_the_same_instance(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRASHES", "1")
    words = ["replacing crashed worker", "6 passed"]
    assert run(0, words, "-n2", "--reruns=2", "test_flaky.py") is None
