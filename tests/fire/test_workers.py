"""However workers die, and however tests are given to them, a run has one instance."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from fire_tools import TOKEN, router
from inner import ALONE, only

pytestmark = pytest.mark.fire

SUITE = Path(__file__).parent.parent / "suites" / "workers"
WHOLE = "provisioned 1, deleted 1, kept 0, leaked 0"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with router() as served:
        yield served


@dataclass(frozen=True)
class Outcome:
    """How a run ended, by its own word and by the router's."""

    code: int
    output: str
    instances: list[dict[str, str]]
    """What was ever provisioned for the run, or for one of its workers."""
    ledgers: list[str]

    def complaint(self, code: int, *words: str) -> str | None:
        """Return what the run printed unless it has this code and these words, and left nothing."""
        alive = [one for one in self.instances if not one["deleted"]]
        left = len(self.instances) != 1 or alive or self.ledgers
        if self.code == code and all(it in self.output for it in words) and not left:
            return None
        return f"{self.code} {self.instances} {self.ledgers}\n{self.output}"


@pytest.fixture
def project(url: str, tmp_path: Path) -> Project:
    return Project(url, tmp_path)


class Project:
    """A copy of the suite, to be run against a router."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self.folder = folder / "run"
        shutil.copytree(SUITE, self.folder, ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, run_id: str, *arguments: str, **env: str) -> Outcome:
        """Run pytest to its end."""
        # This may itself be a worker; the run to come has workers of its own.
        mine = ("HYDRA", "PYTEST_ADDOPTS", "PYTEST_XDIST")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not any(word in name for word in mine)
        }
        settings = {"URL": self._url, "TOKEN": TOKEN, "RUN_ID": run_id}
        settings |= {"MANIFEST_ID": "fire-basic", "REGION_ID": "fire", "TIER_ID": "fire-tier"}
        named = {f"HYDRA_SMOKE_{name}": value for name, value in settings.items()}
        plugins = only("xdist", "rerunfailures")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "--hydra-smoke", *arguments],
            cwd=self.folder,
            env={**kept, **dict([ALONE]), **named, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        ledgers = sorted(path.name for path in self.folder.glob(".hydrasmoke/runs/*"))
        headers = {"authorization": f"Bearer {TOKEN}"}
        asked = Request(self._url + "/_fake/instances", headers=headers)
        with urlopen(asked, timeout=10) as answer:
            found = json.load(answer)
        ours = [it for it in found if it["idempotency_key"].startswith(f"{run_id}-")]
        return Outcome(done.returncode, done.stdout, ours, ledgers)


RUNS, WORKERS, TESTS, CRASHES = 20, 4, 16, 3
"""How many runs with workers that die there are, and what each is made of."""
SEED = random.randrange(1_000_000)
LONGEST = 1.2
"""Seconds: by then a doomed test has its instance, whoever had to provision it."""


def test_a_run_has_one_instance_however_its_workers_die(url: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    told: list[str] = []
    crashes = 0
    for number in range(RUNS):
        # Tests, one of the first among them, and when each of them kills its worker.
        others = chance.sample(range(WORKERS, TESTS), CRASHES - 1)
        doomed = (chance.randrange(WORKERS), *others)
        fate = json.dumps({str(it): chance.uniform(0, LONGEST) for it in doomed})
        project = Project(url, tmp_path / str(number))
        env = {"DOOMED": fate, "TESTS": str(TESTS)}
        outcome = project.run(f"crash-{number}", f"-n{WORKERS}", "test_doomed.py", **env)
        crashes += outcome.output.count("replacing crashed worker")
        wrong = outcome.complaint(1, f"{CRASHES} failed, {TESTS - CRASHES} passed", WHOLE)
        if wrong is not None:
            told.append(f"run {number}, {fate}: {wrong}")
    print(f"{RUNS} runs under -n {WORKERS} (seed {SEED}), {crashes} crashed, {len(told)} wrong")
    assert not told, "\n\n".join(told)
    assert crashes == RUNS * CRASHES


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
def test_a_run_has_one_instance_whichever_worker_has_which_test(project: Project, way: str) -> None:
    arguments, code, words = WAYS[way]
    outcome = project.run(f"way-{way.replace(' ', '_')}", *arguments)
    assert outcome.complaint(code, words, WHOLE) is None


@pytest.mark.parametrize(
    ("option", "first", "code", "passed"),
    [("--lf", (), 1, "1"), ("--ff", (), 1, "6"), ("--sw", ("--sw",), 2, "6")],
)
def test_a_run_that_goes_on_where_another_failed_has_one_of_its_own(
    project: Project, option: str, first: tuple[str, ...], code: int, passed: str
) -> None:
    outcome = project.run(f"first{option}", "-n2", *first, "test_flaky.py")
    assert outcome.complaint(code, "1 failed") is None
    outcome = project.run(f"second{option}", "-n2", option, "test_flaky.py")
    assert outcome.complaint(0, f"{passed} passed") is None


def test_what_is_run_again_after_a_crash_or_a_failure_has_the_same_instance(
    project: Project,
) -> None:
    outcome = project.run("again", "-n2", "--reruns=2", "test_flaky.py", CRASHES="1")
    assert outcome.complaint(0, "replacing crashed worker", "6 passed") is None
