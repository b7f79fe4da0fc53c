"""What takes long, in parts: `heavy.py [PART ...] [ARGUMENT ...]`, as `tox -e heavy` runs it.

Without a name all parts run, one after another. What begins with `-`, and all after it, goes to the
last command of the one part that is named. It ends with 1 if a part has failed; a part in which
nothing was tested has failed, too: pytest says so of no tests, and `heavy_runs.py` of tests that
were all skipped.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRATCH = "{scratch}"
"""Stands for a folder of the part's own, which stays where the part has failed."""
COVERAGE = ("-m", "coverage")
WORKERS = ("-n", "4", "--dist", "worksteal")

Call = Callable[[Sequence[str], dict[str, str]], int]


@dataclass(frozen=True)
class Part:
    """One part: what it is, what Python is given to do, and what it needs beside the tests."""

    what: str
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Groups of dependencies in pyproject.toml, without the tests' own that they include."""
    imports: tuple[str, ...] = ()
    """Folders that a script imports of."""


def marked(what: str, marker: str, *more: str, **needs: tuple[str, ...]) -> Part:
    """Return a part of the tests that a marker leaves out of the normal ones."""
    return Part(what, (("-m", "pytest", "-m", marker, *more),), **needs)


PARTS = {
    "kill": marked("runs killed, signalled, frozen in time and swept in full", "kill", "-s"),
    "fire": marked("every fault on every call, many at once, an hour of chats", "fire", "-s"),
    "routers": marked("every wrong router and every right one", "routers", *WORKERS),
    "fuzz": marked("more of what chance thinks of", "fuzz and not readers", "-s"),
    "leaks": marked(
        "every careless test and every hostile reply into every sink",
        *("leaks", "-s"),
        needs=("markdown-it-py", "pytest-html", "pytest-reportlog"),
    ),
    "reference": marked("what the tests compare with, itself", "reference"),
    "readers": marked(
        "SDKs read the fake's streams, the client those of agent frameworks",
        "readers",
        groups=("readers",),
    ),
    "fidelity": marked(
        "the fake beside a FastAPI application, and under schemathesis",
        *("fidelity", "-s"),
        needs=("schemathesis>=4",),
    ),
    "examples": marked(
        "every pipeline's commands, and recipes with the packages that they use",
        "examples or not examples",
        *("tests/examples", "tests/recipes", "tests/plugin/test_other_reports.py"),
        needs=("deepeval", "pydantic-evals", "pytest-json-ctrf"),
    ),
    "pages": marked("the commands on every page of the documentation", "pages", *WORKERS),
    "rows": marked("every row of the benchmark, in small", "rows"),
    "coverage": Part(
        "branch coverage of the package by the normal tests, 100%",
        (
            (*COVERAGE, "erase"),
            (*COVERAGE, "run", "-m", "pytest", "-n", "8", "--dist", "worksteal"),
            (*COVERAGE, "combine", "--quiet"),
            (*COVERAGE, "report"),
        ),
    ),
    "elsewhere": Part(
        "what macOS can run: what needs no more than Python, and the README's run",
        (
            (
                *("-m", "pytest", "-n", "2", "--dist", "worksteal"),
                *("tests/sse", "tests/runtimes", "tests/api", "tests/core", "tests/fake"),
                *("--ignore", "tests/fake/test_alone.py"),
            ),
            (
                # In one word: as a word of its own, pytest would look for its settings in there.
                *("-m", "pytest", "--hydra-smoke-fake", f"--hydra-smoke-output={SCRATCH}"),
                *("--pyargs", "pytest_hydrasmoke.checks"),
            ),
        ),
    ),
    "soak": Part(
        "two minutes of chats in real time",
        (("tests/fire/fire_soak.py",),),
        imports=("tests/shared", "tests/fire"),
    ),
    "mutation": Part(
        "small changes to the code: tests notice",
        (("tests/mutation/mutation_run.py", SCRATCH),),
        needs=("mutmut>=3.8",),
    ),
    "picture": Part(
        "the pictures of a report, a history and a terminal",
        (
            ("tests/report/picture.py",),
            ("tests/history/history_picture.py",),
            ("docs/pictures.py",),
        ),
        groups=("docs",),
        imports=("tests/shared", "tests/report", "tests/history"),
    ),
    "release": Part(
        "a release in a scratch folder: built, checked, installed, its tests run",
        (("tests/release/release_check.py", SCRATCH),),
        groups=("release",),
    ),
}


def wanted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the parts that are to run, and the arguments; raises `SystemExit` in words."""
    at = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    names, arguments = list(words[:at]), list(words[at:])
    for name in names:
        if name not in PARTS:
            near = difflib.get_close_matches(name, PARTS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise SystemExit(f"there is no part '{name}'{hint}: give some of {', '.join(PARTS)}")
    if arguments and len(names) != 1:
        raise SystemExit(f"{arguments[0]} is for one part: name it before its arguments")
    return names or list(PARTS), arguments


def run(name: str, arguments: Sequence[str], call: Call) -> bool:
    """Run a part; returns whether all of it went well."""
    part = PARTS[name]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    listed = [it for group in part.groups for it in groups[group] if isinstance(it, str)]
    needs = [*part.needs, *listed]
    install = [("-m", "pip", "install", "--quiet", *needs)] if needs else []
    scratch = tempfile.mkdtemp(prefix=f"heavy-{name}-")
    path = [*(str(ROOT / it) for it in part.imports), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    *first, last = part.commands
    for command in (*install, *first, (*last, *arguments)):
        given = [word.replace(SCRATCH, scratch) for word in command]
        print(f"heavy {name}: python {' '.join(given)}", flush=True)
        if call([sys.executable, *given], env):
            return False
    shutil.rmtree(scratch)
    return True


def main(words: Sequence[str], call: Call) -> int:
    """Run what is wanted; returns the exit code."""
    names, arguments = wanted(words)
    failed = [name for name in names if not run(name, arguments, call)]
    good = [name for name in names if name not in failed]
    print(f"heavy: passed: {', '.join(good) or 'none'}; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _call(command: Sequence[str], env: dict[str, str]) -> int:
    return subprocess.call(command, env=env, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], _call))
