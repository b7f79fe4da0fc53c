"""Runs that were killed or live on, and sweeps in the folder that they were called in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from owner_tools import SPEC, alive, config_for, environment_for, kill, open_keys, run_for
from truth_app import TrueRouter

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._journal.events import Became, Claimed, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import sweep as sweep_module
from pytest_hydrasmoke._run import swept_run
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import append
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._run.swept_run import AHEAD
from pytest_hydrasmoke.fake import FakeRouter


class Bench:
    """A router, what runs against it have left, and a folder in which sweeps are called."""

    wait = 0.6
    """Seconds for which sweeps wait for rows, if they are not told otherwise."""

    def __init__(
        self,
        router: FakeRouter | TrueRouter,
        folder: Path,
        patch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        **settings: object,
    ) -> None:
        self.router = router
        if isinstance(router, FakeRouter):
            self.fake = router
        self.folder = folder
        self.output = folder / ".hydrasmoke"
        self.runs = self.output / "runs"
        self.patch = patch
        self._capsys = capsys
        patch.chdir(folder)
        self.aim(router)
        self.set(**settings)

    def set(self, **settings: object) -> None:
        """Give settings by the environment; None takes one away."""
        for name, value in settings.items():
            variable = f"HYDRA_SMOKE_{name.upper()}"
            if value is None:
                self.patch.delenv(variable, raising=False)
            else:
                self.patch.setenv(variable, str(value))

    def few_slots(self) -> int:
        """Let sweeps ask for fewer slots beyond those that are known; gives how many."""
        self.patch.setattr(swept_run, "AHEAD", 8)
        return 8

    def aim(self, router: FakeRouter | TrueRouter) -> None:
        """Let sweeps go to a router."""
        for name, value in environment_for(router).items():  # type: ignore[arg-type]
            self.patch.setenv(name, value)

    def table(self, *lines: str) -> Path:
        """Write a project's file, with these lines in the table of settings."""
        file = self.folder / "pyproject.toml"
        file.write_text("\n".join(["[tool.hydra-smoke]", *lines, ""]), "utf-8")
        return file

    def sweep(self, *arguments: str, wait: float | None = None) -> tuple[int, str]:
        """Return exit code and output of a sweep."""
        self._capsys.readouterr()
        code = main(["sweep", "--wait", str(self.wait if wait is None else wait), *arguments])
        told = self._capsys.readouterr()
        return code, told.out + told.err

    def begun(self, output: Path | None = None, **settings: Any) -> Run:
        """Begin a run, called `owner` if it has no other name."""
        return run_for(config_for(self.router, output or self.output, **settings))  # type: ignore[arg-type]

    @contextmanager
    def living(self, **settings: Any) -> Iterator[Run]:
        """Let a run with one instance live on; in the end it closes as runs do."""
        run = self.begun(**settings)
        run.provision(run.config.spec)
        yield run
        run.close()
        run.ledger.end()

    def killed(self, number: int = 1, output: Path | None = None, **settings: Any) -> list[str]:
        """Let a run provision, and end without any clean-up; gives the ids."""
        run = self.begun(output, **settings)
        ids = [run.provision(run.config.spec).id for _ in range(number)]
        kill(run)
        return ids

    def write(self, key: str, state: State, run_id: str = "owner", **fields: Any) -> Path:
        """Write a line into a run's ledger; gives the run's folder."""
        return self._add(run_id, Entry(0.0, key, Became(state, **fields)))

    def _add(self, run_id: str, entry: Entry) -> Path:
        folder = self.of(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        append(folder, entry, make=isinstance(entry.event, Claimed))
        return folder

    def claim(
        self, key: str, url: str | None = None, *, fake: bool = False, run_id: str | None = None
    ) -> Path:
        """Let a ledger have a claim, of which nothing came; gives the run's folder."""
        claimed = Claimed(SPEC, url=self.router.url if url is None else url, fake=fake)
        return self._add(run_id or key.rpartition("-")[0], Entry(0.0, key, claimed))

    def of(self, run_id: str) -> Path:
        return folder_of(self.output, run_id)

    @property
    def alive(self) -> list[str]:
        """The keys of the instances that nobody has deleted."""
        return alive(self.fake)

    @property
    def open(self) -> list[str]:
        """The keys that a sweep would still ask for."""
        return open_keys(self.output)

    @property
    def polled(self) -> list[str]:
        """The keys that were asked for, without what a sweep asks first."""
        keys = [it.path.rpartition("/")[2] for it in self.fake.requests if it.route == "poll"]
        return [key for key in keys if not key.startswith("unknown-")]

    def all_clear(self, runs: int = 1, output: Path | None = None) -> str:
        """Return the last line of a sweep of all runs after which nothing is left."""
        number = f"{runs} run{'' if runs == 1 else 's'}"
        return f"nothing is left of {number} with a ledger in {(output or self.output) / 'runs'}"


def looked_up(
    run_id: str, bench: Bench, last: int = AHEAD - 1, *, found: bool = False, ledger: bool = False
) -> str:
    """Return the last line of a sweep of a run by its id."""
    folder = bench.of(run_id)
    where = (
        f"but for the keys in {folder / 'ledger.jsonl'}"
        if ledger
        else f"without a ledger in {folder}"
    )
    else_, other = ("else ", "other ") if found else ("", "")
    return (
        f"nothing {else_}was found of run {run_id}: no {other}row under slots 0-{last}, "
        f"nor under the bundled checks' names; {where}, "
        "a row that is still to come is not seen"
    )


def no_longer_young(folder: Path) -> None:
    old = folder.stat().st_mtime - sweep_module.YOUNG - 1
    os.utime(folder, (old, old))
