"""Runs under xdist against a fake router that is a process of its own, which does the counting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from inner import ALONE, only

SUITE = Path(__file__).parent.parent / "suites" / "workers"
TOKEN = "made-up-token-of-the-fire-tests"


@dataclass(frozen=True)
class Router:
    """A fake router that runs as a process of its own."""

    url: str

    def instances(self, run_id: str) -> list[dict[str, Any]]:
        """Return what was ever provisioned for a run, or for one of its workers."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        asked = Request(self.url + "/_fake/instances", headers=headers)
        with urlopen(asked, timeout=10) as answer:
            found = json.load(answer)
        return [one for one in found if one["idempotency_key"].startswith(f"{run_id}-")]


@contextmanager
def router() -> Iterator[Router]:
    """Serve a fake router until the `with` is over."""
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_hydrasmoke", "fake", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HYDRA_SMOKE_TOKEN": TOKEN},
    ) as process:
        try:
            assert process.stdout is not None
            url = next(word for word in process.stdout.readline().split() if "://" in word)
            yield Router(url)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Outcome:
    """How a run ended, by its own word and by the router's."""

    code: int
    output: str
    instances: list[dict[str, Any]]
    ledgers: list[str]

    @property
    def alive(self) -> list[str]:
        return [one["idempotency_key"] for one in self.instances if not one["deleted"]]

    def says(self, *lines: str) -> bool:
        return all(line in self.output for line in lines)


class Project:
    """A copy of the suite, to be run against a router."""

    def __init__(self, at: Router, folder: Path) -> None:
        self._at = at
        self.folder = folder
        shutil.copytree(SUITE, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, run_id: str, *arguments: str, **env: str) -> Outcome:
        """Run pytest to its end."""
        # This may itself be a worker; the run to come has workers of its own.
        mine = ("HYDRA", "PYTEST_ADDOPTS", "PYTEST_XDIST")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not any(word in name for word in mine)
        }
        settings = {
            "URL": self._at.url,
            "TOKEN": TOKEN,
            "RUN_ID": run_id,
            "MANIFEST_ID": "fire-basic",
            "REGION_ID": "fire-region",
            "TIER_ID": "fire-tier",
        }
        named = {f"HYDRA_SMOKE_{name}": value for name, value in settings.items()}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                *only("xdist", "rerunfailures"),
                "--hydra-smoke",
                *arguments,
            ],
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
        return Outcome(done.returncode, done.stdout, self._at.instances(run_id), ledgers)
