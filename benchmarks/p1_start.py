"""P1: what every run of everybody pays who has the package installed, and does not use it.

Counted are instructions (callgrind), which don't depend on what else the machine does. Each plugin
stands in a folder with what it requires and nothing else; it is compared with the same folder and
`-p no:NAME`, and with every other plugin off in both.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import bench_view
from bench_machine import version
from bench_result import Bar, Result

OURS = bench_view.PACKAGE
PEERS = (
    "anyio",
    "pytest-asyncio",
    "respx",
    "pytest-playwright",
    "schemathesis",
    "pytest-httpserver",
)


@dataclass(frozen=True)
class Place:
    """A folder for one plugin, and the two ways to run pytest in it."""

    folder: Path
    off: dict[bool, list[str]]

    @classmethod
    def of(cls, name: str, folder: Path) -> Place:
        plugins = bench_view.make(folder / "installed", name)
        own = plugins.pop(next(it for it in plugins if it.lower().replace("_", "-") == name))
        others = [plugin for names in plugins.values() for plugin in names]
        (folder / "empty").mkdir()
        return cls(folder, {True: _no(others), False: _no([*others, *own])})

    def run(self, tests: Path, on: bool, prefix: Iterable[str] = (), *, cold: bool = False) -> str:
        """Collect tests; `cold` finds no bytecode and writes none."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(self.folder / "installed"),
            "PYTHONPYCACHEPREFIX": str(self.folder / ("empty" if cold else "bytecode")),
        }
        if cold:
            env["PYTHONDONTWRITEBYTECODE"] = "1"
        # -S: nothing is installed but what the folder has.
        pytest = [sys.executable, "-S", "-m", "pytest", "--collect-only", "-q", *self.off[on]]
        done = subprocess.run(
            [*prefix, *pytest, "-p", "no:cacheprovider"],
            cwd=tests,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def instructions(self, tests: Path, on: bool, *, cold: bool = False) -> int:
        if not cold:
            self.run(tests, on)  # writes the bytecode
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}"]
        told = self.run(tests, on, callgrind, cold=cold)
        found = re.search(r"Collected : (\d+)", told)
        assert found is not None, told
        return int(found[1])


def _no(names: Iterable[str]) -> list[str]:
    return [word for name in names for word in ("-p", f"no:{name}")]


@dataclass(frozen=True)
class Cost:
    """What a plugin adds, in parts of what there was without it."""

    name: str
    start: float
    instructions: int
    """At the start."""
    cold: float | None = None
    test: float | None = None


def start_cost(name: str, place: Place, one: Path) -> Cost:
    on, off = (place.instructions(one, it) for it in (True, False))
    return Cost(name, on / off - 1, on - off)


def whole_cost(name: str, place: Place, one: Path, many: Path) -> Cost:
    on, off = (place.instructions(one, it) for it in (True, False))
    cold_on, cold_off = (place.instructions(one, it, cold=True) for it in (True, False))
    many_on, many_off = (place.instructions(many, it) for it in (True, False))
    test = (many_on - on) / (many_off - off) - 1
    return Cost(name, on / off - 1, on - off, cold_on / cold_off - 1, test)


def _tests(folder: Path, count: int) -> Path:
    folder.mkdir()
    lines = "".join(f"def test_{number}():\n    pass\n\n\n" for number in range(count))
    (folder / "test_trivial.py").write_text(lines, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    return folder


def run(count: int = 2000, peers: Iterable[str] = PEERS) -> Result:
    if shutil.which("valgrind") is None:
        sys.exit("P1 counts instructions with valgrind: install that, or name the other rows")
    names = [OURS, *(name for name in peers if version(name) is not None)]
    result = Result(["plugin", "start", "start, no bytecode", "a test", "instructions at start"])
    with TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        root = Path(folder)
        one, many = _tests(root / "one", 1), _tests(root / "many", count)
        for name in names:
            (root / name).mkdir()
        places = {name: Place.of(name, root / name) for name in names}
        ours = pool.submit(whole_cost, OURS, places[OURS], one, many)
        theirs = [pool.submit(start_cost, name, places[name], one) for name in names[1:]]
        costs = [done.result() for done in (ours, *theirs)]
    for cost in costs:
        parts = (cost.start, cost.cold, cost.test)
        cells = ("" if part is None else f"{part:+.2%}" for part in parts)
        result.add(cost.name, *cells, f"{cost.instructions / 1e6:.1f} M")
    mine, *others = costs
    assert mine.cold is not None
    assert mine.test is not None
    result.bars = [
        Bar("at start", mine.start * 100, 1.5, "%"),
        Bar("at start, without bytecode", mine.cold * 100, 1.5, "%"),
        Bar("a test", mine.test * 100, 0.5, "%"),
    ]
    if others:
        least = min(cost.instructions for cost in others)
        result.bars.append(Bar("against the lightest peer", mine.instructions / least, 1.0))
    return result
