"""What the tests of the ownership rooms share: settings, runs on made-up time, pytest runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inner import only

# A run in this process forgets every module that it was the first to import: what is slow to load,
# or holds the fake's server, is loaded here.
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._run.folder import all_found
from pytest_hydrasmoke._run.ledger import Ledger, read
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.swept_run import SweptRun
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke.fake import FakeRouter

ONLY = (*only("anyio.pytest_plugin"), "-p", "no:cacheprovider")
"""Arguments of pytest with the plugins that every run here has a use for."""
SPEC = {"manifest_id": "owner-basic", "region_id": "owner-region", "tier_id": "owner-tier"}


def run_folders(output: Path) -> list[Path]:
    """Return the folders of all runs that have left one."""
    return [folder for folder, why in all_found(output).items() if why is None]


def config_for(fake: FakeRouter, output: Path, **more: Any) -> HydraSmokeConfig:
    """Return the settings of a live run against a fake router."""
    given = {"run_id": "owner", **SPEC, **more}
    return HydraSmokeConfig(url=fake.url, token=Token(fake.token), output=output, **given)


def run_for(config: HydraSmokeConfig, name: str = "main") -> Run:
    """Begin a run: what it learns first, and its ledger, held as a run holds it."""
    # However short the time for a boot is: on a busy machine, an answer may take a second.
    absent = learn(config.model_copy(update={"ready_timeout": 60.0}))
    ledger = Ledger(config.output, config.run_id)
    ledger.begin(name)
    return Run(config, ledger, absent=absent)


@contextmanager
def running(config: HydraSmokeConfig) -> Iterator[Run]:
    """Begin a run, and end it as pytest's end would."""
    run = run_for(config)
    try:
        yield run
    finally:
        run.close()
        run.ledger.end()


def kill(run: Run) -> None:
    """Let go of what a killed process would let go of, and of nothing else."""
    assert run.ledger._lock is not None
    run.ledger._lock.release()
    run._io.close()


def open_keys(output: Path) -> list[str]:
    """Return the keys of all runs that a sweep would still ask for."""
    found: list[str] = []
    for folder in run_folders(output):
        reading = read(folder)
        SweptRun(folder, reading).begin().end()
        found += [str(known.key) for known in reading.open]
    return found


def age(output: Path, seconds: float) -> None:
    """Let all files of runs be that much older."""
    for folder in run_folders(output):
        for file in (it for it in folder.rglob("*") if it.is_file()):
            then = file.stat().st_mtime - seconds
            os.utime(file, (then, then))


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Return a ledger's lines as they are on the disk."""
    text = (folder / "ledger.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def environment_for(fake: FakeRouter, **more: str) -> Mapping[str, str]:
    """Return the environment of a live run against a fake router."""
    # Its LLM events are there as soon as their turn is over.
    settle = {"usage_settle": "0.5"}
    named = {"url": fake.url, "token": fake.token, **SPEC, **settle, **more}
    return {f"HYDRA_SMOKE_{name.upper()}": value for name, value in named.items()}


def alive(fake: FakeRouter) -> list[str]:
    """Return the keys of the instances that nobody has deleted."""
    return [instance.idempotency_key for instance in fake.instances if not instance.deleted]
