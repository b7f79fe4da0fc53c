"""G6: however workers die, and however tests are given to them, a run has one instance."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fire_workers_tools import Outcome, Project, Router, router

pytestmark = pytest.mark.fire


@pytest.fixture(scope="module")
def at() -> Iterator[Router]:
    with router() as served:
        yield served


# Workers that die


RUNS, WORKERS, TESTS, CRASHES = 20, 4, 16, 3
"""How many runs there are, and what each is made of."""
SEED = random.randrange(1_000_000)
LONGEST = 1.2
"""Seconds: by then a doomed test has its instance, whoever had to provision it."""


def doomed(chance: random.Random) -> dict[str, float]:
    """Choose tests, one of the first among them, and when each of them kills its worker."""
    first = chance.randrange(WORKERS)
    others = chance.sample(range(WORKERS, TESTS), CRASHES - 1)
    return {str(number): chance.uniform(0, LONGEST) for number in (first, *others)}


def faults(outcome: Outcome) -> list[str]:
    """Return what is not as it should be after a run with crashes."""
    counted = f"{CRASHES} failed, {TESTS - CRASHES} passed"
    told = "provisioned 1, deleted 1, kept 0, leaked 0"
    wrong = {
        f"exit code {outcome.code}": outcome.code != 1,
        f"not {counted}": counted not in outcome.output,
        f"not {told}": told not in outcome.output,
        f"{len(outcome.instances)} instances": len(outcome.instances) != 1,
        f"alive: {outcome.alive}": bool(outcome.alive),
        f"ledgers: {outcome.ledgers}": bool(outcome.ledgers),
    }
    return [words for words, is_so in wrong.items() if is_so]


def test_a_run_has_one_instance_however_its_workers_die(at: Router, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    told: list[str] = []
    outcomes: list[Outcome] = []
    crashes = 0
    for number in range(RUNS):
        fate = doomed(chance)
        outcome = Project(at, tmp_path / f"run-{number}").run(
            f"crash-{number}",
            f"-n{WORKERS}",
            "test_doomed.py",
            DOOMED=json.dumps(fate),
            TESTS=str(TESTS),
        )
        outcomes.append(outcome)
        crashes += outcome.output.count("replacing crashed worker")
        wrong = faults(outcome)
        if wrong:
            told.append(f"run {number}, {fate}: {'; '.join(wrong)}\n{outcome.output}")
    provisioned = [len(outcome.instances) for outcome in outcomes]
    left = sum(len(outcome.alive) for outcome in outcomes)
    print(
        f"G6: {RUNS} runs under -n {WORKERS} (seed {SEED}), {crashes} workers crashed, "
        f"{sum(provisioned)} instances provisioned, {sum(n > 1 for n in provisioned)} runs with "
        f"more than one, {left} left"
    )
    assert not told, "\n\n".join(told)
    assert crashes == RUNS * CRASHES


# Ways to give tests to workers, and to stop early

EIGHT = "8 passed"
WAYS: dict[str, tuple[tuple[str, ...], int, str]] = {
    "load": (("-n4", "--dist=load", "test_many.py"), 0, EIGHT),
    "loadscope": (("-n4", "--dist=loadscope", "test_many.py", "test_doomed.py"), 0, "16 passed"),
    "loadfile": (("-n2", "--dist=loadfile", "test_many.py", "test_doomed.py"), 0, "16 passed"),
    "loadgroup": (("-n4", "--dist=loadgroup", "test_groups.py"), 0, "6 passed"),
    "worksteal": (("-n4", "--dist=worksteal", "test_many.py"), 0, EIGHT),
    "each": (("-n2", "--dist=each", "test_many.py"), 0, "16 passed"),
    "without workers": (("-n0", "test_many.py"), 0, EIGHT),
    "without cache": (("-n2", "-p", "no:cacheprovider", "test_many.py"), 0, EIGHT),
    "tx": (("--dist=load", "--tx=2*popen", "test_many.py"), 0, EIGHT),
    # Where xdist stops early, it exits with 2.
    "stopped at the first failure": (("-n2", "-x", "test_flaky.py"), 2, "1 failed"),
    "stopped at a number": (("-n2", "--maxfail=1", "test_flaky.py"), 2, "1 failed"),
    "stepwise": (("-n2", "--sw", "test_flaky.py"), 2, "1 failed"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_has_one_instance_whichever_worker_has_which_test(
    at: Router, tmp_path: Path, way: str
) -> None:
    arguments, code, words = WAYS[way]
    outcome = Project(at, tmp_path / "run").run(f"way-{way.replace(' ', '_')}", *arguments)
    assert (outcome.code, words in outcome.output) == (code, True), outcome.output
    assert outcome.says("provisioned 1, deleted 1, kept 0, leaked 0"), outcome.output
    assert len(outcome.instances) == 1
    assert outcome.alive == outcome.ledgers == []


@pytest.mark.parametrize("option", ["--lf", "--ff", "--sw"])
def test_a_run_that_goes_on_where_another_failed_has_one_of_its_own(
    at: Router, tmp_path: Path, option: str
) -> None:
    project = Project(at, tmp_path / "run")
    name = option.strip("-")
    first = project.run(f"first-{name}", "-n2", *(["--sw"] * (name == "sw")), "test_flaky.py")
    assert first.says("1 failed"), first.output
    second = project.run(f"second-{name}", "-n2", option, "test_flaky.py")
    assert second.code == 0, second.output
    assert second.says("1 passed" if name == "lf" else "6 passed"), second.output
    for outcome in (first, second):
        assert len(outcome.instances) == 1
        assert outcome.alive == outcome.ledgers == []


def test_what_is_run_again_after_a_crash_or_a_failure_has_the_same_instance(
    at: Router, tmp_path: Path
) -> None:
    project = Project(at, tmp_path / "run")
    outcome = project.run("again", "-n2", "--reruns=2", "test_flaky.py", CRASHES="1")
    assert outcome.says("replacing crashed worker", "6 passed"), outcome.output
    assert outcome.code == 0, outcome.output
    assert len(outcome.instances) == 1
    assert outcome.alive == outcome.ledgers == []
