"""Change the code of some modules a little, many times, and see whether the tests notice.

`python tests/mutation/mutation_run.py FOLDER [MODULE ...]` copies the project into FOLDER, lets
mutmut make its mutants there, one module at a time with the tests that are quick for it, and
prints how many were killed. It fails below 90 %, or if a mutant survives that `survivors.toml`
beside it gives no reason for; an entry there that is no survivor any more is told too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
PACKAGE = "pytest_hydrasmoke"
BAR = 0.9
JOBS = int(os.environ.get("HYDRA_MUTATION_JOBS") or os.cpu_count() or 2)
PATIENCE = float(os.environ.get("HYDRA_MUTATION_PATIENCE") or 10)

REPLAY = ["fake/test_replay.py", "fake/test_replay_wire.py"]
WORDS = ["base/test_text.py", "plugin/test_report_cleaner.py", "fuzz/test_words.py"]
LEDGER = [
    *["run/test_ledger.py", "run/test_ledger_lines.py", "run/test_folder.py"],
    *["run/test_swept_run.py", "leaks/test_ledger.py", "fuzz/test_ledger.py"],
]
CALLERS = ["chat", "deletion", "deletion_steps", "lifecycle", "lifecycle_ends", "sightings"]
TESTS = {
    "_sse.decoder": ["sse"],
    "_base.token": ["base/test_masking.py", *WORDS],
    "_base.text": WORDS,
    "_api.calls": ["api", *(f"core/test_{name}.py" for name in CALLERS)],
    "_api.retry": ["api"],
    **{
        f"_runtimes.{name}": ["runtimes"]
        for name in (
            "agents",
            "anthropic",
            "content",
            "frame",
            "generic",
            "meaning",
            "openai",
            "read",
            "ui",
        )
    },
    "_run.ledger": LEDGER,
    "_run.ledger_lines": LEDGER,
    **{f"_recordings.{name}": ["recordings"] for name in ("compare", "format", "masking", "store")},
    "fake.recordings": ["fake/test_recordings.py"],
    "fake.course": REPLAY,
    "fake.replay": REPLAY,
}

# mutmut changes no function with a decorator: without its cache, or as what its property calls, it
# is as any other.
_CACHE = re.compile(r"^@lru_cache\b.*\n", re.MULTILINE)
_PROPERTY = re.compile(r"^( +)@(property|cached_property)\n +def (\w+)\(", re.MULTILINE)
_CALLED = "property_"

# Ids of tests without their parameters: what parameters are called can't be given back to pytest
# on a command line in every case. A mutant that is noticed is noticed: to look for its smallest
# example would take minutes.
CONFTEST = """

from hypothesis import Phase, settings

settings.register_profile(
    "mutants", settings.get_profile("few"), phases=(Phase.explicit, Phase.generate)
)


def pytest_itemcollected(item):
    item._nodeid = item.nodeid.partition("[")[0]


def pytest_sessionstart():
    # Filled by the run before, of no mutant.
    from pytest_hydrasmoke._runtimes import generic

    generic._role_of_word.cache_clear()
"""


@dataclass(frozen=True)
class Mutant:
    """A mutant that no test killed: its function, and the line that it changed."""

    module: str
    function: str
    was: str
    became: str


def prepare(folder: Path, module: str) -> None:
    """Make a copy of the project that mutmut is told about."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    no_caches = shutil.ignore_patterns("__pycache__", ".*")
    for name in (PACKAGE, "tests"):
        shutil.copytree(PROJECT / name, folder / name, ignore=no_caches)
    code = folder / PACKAGE / f"{module.replace('.', '/')}.py"
    code.write_text(undecorated(code.read_text("utf-8")), "utf-8")
    conftest = (PROJECT / "conftest.py").read_text("utf-8")
    (folder / "conftest.py").write_text(conftest + CONFTEST, "utf-8")
    table = {
        "source_paths": [PACKAGE],
        "only_mutate": [code.relative_to(folder).as_posix()],
        "also_copy": ["conftest.py"],
        "pytest_add_cli_args": [
            *["-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants"],
        ],
        "pytest_add_cli_args_test_selection": [f"tests/{test}" for test in TESTS[module]],
        # What only type checkers read.
        "do_not_mutate_patterns": ["cast\\("],
        # A mutant may make a loop endless. Seconds on the clock: too few of them, on a busy
        # machine, are taken for one.
        "timeout_constant": PATIENCE,
        "timeout_multiplier": 3.0,
    }
    settings = (PROJECT / "pyproject.toml").read_text("utf-8")
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())
    flags = "use_git_change_detection = false\ntrack_dependencies = false\n"
    (folder / "pyproject.toml").write_text(f"{settings}\n[tool.mutmut]\n{lines}{flags}", "utf-8")


def undecorated(code: str) -> str:
    """Return code without the decorators that keep mutmut from a function."""
    called = rf"\1\3 = \2(lambda self: self.{_CALLED}\3())\n\n\1def {_CALLED}\3("
    return _PROPERTY.sub(called, _CACHE.sub("", code))


def mutmut(folder: Path, *arguments: str) -> str:
    """Run a command of mutmut's; raises `CalledProcessError`, whose output was shown."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-3000:], done.stderr[-3000:])
        done.check_returncode()
    return done.stdout


def verdicts(folder: Path) -> dict[str, str]:
    """Return what became of each mutant."""
    found = re.findall(r"^ +(\S+): (.+)$", mutmut(folder, "results", "--all", "true"), re.MULTILINE)
    return dict(found)


def mutant(folder: Path, module: str, name: str) -> Mutant:
    """Say what a mutant is: names alone change their meaning with every edit."""
    shown = mutmut(folder, "show", name)
    was = [line[1:].strip() for line in re.findall(r"^-(?!--).*$", shown, re.MULTILINE)]
    became = [line[1:].strip() for line in re.findall(r"^\+(?!\+\+).*$", shown, re.MULTILINE)]
    mangled = name.removeprefix(f"{PACKAGE}.{module}.").rpartition("__mutmut_")[0]
    function = mangled.removeprefix("x_").replace("xǁ", "").replace("ǁ", ".").replace(_CALLED, "")
    return Mutant(module, function, " ".join(was), " ".join(became))


def explained() -> dict[Mutant, str]:
    """Read the survivors that there is a reason for."""
    entries = tomllib.loads((HERE / "survivors.toml").read_text("utf-8")).get("survivor", [])
    return {
        Mutant(entry["module"], entry["function"], entry["was"], entry["became"]): entry["reason"]
        for entry in entries
    }


def run(folder: Path, module: str) -> tuple[Counter[str], list[Mutant]]:
    """Try all mutants of a module; give the verdicts, and those that survived."""
    prepare(folder, module)
    mutmut(folder, "run", "--max-children", str(JOBS))
    found = verdicts(folder)
    alive = [name for name, verdict in found.items() if verdict in ("survived", "no tests")]
    return Counter(found.values()), [mutant(folder, module, name) for name in alive]


def killed(counts: Mapping[str, int]) -> int:
    """Count the mutants that a test failed for; one that hangs or dies is noticed, too."""
    return sum(counts.get(kind, 0) for kind in ("killed", "timeout", "segfault", "suspicious"))


def tell(unexplained: Iterable[Mutant], stale: Iterable[Mutant]) -> None:
    for one in unexplained:
        print("\n[[survivor]]")
        for field in ("module", "function", "was", "became"):
            print(f"{field} = {json.dumps(getattr(one, field), ensure_ascii=False)}")
        print('reason = ""')
    for one in stale:
        print(f"no survivor any more: {one}")


def main(arguments: list[str]) -> int:
    """Run it all; give the exit code."""
    folder, modules = Path(arguments[0]), arguments[1:] or list(TESTS)
    known = explained()
    total: Counter[str] = Counter()
    survivors: list[Mutant] = []
    start = time.monotonic()
    for module in modules:
        began = time.monotonic()
        counts, alive = run(folder / module, module)
        total += counts
        survivors += alive
        share = killed(counts) / sum(counts.values())
        seconds = time.monotonic() - began
        print(f"{module}: {share:.1%} killed, {dict(counts)}, {seconds:.0f} s", flush=True)
    share = killed(total) / sum(total.values())
    minutes = (time.monotonic() - start) / 60
    print(f"all: {share:.1%} of {sum(total.values())} killed, {dict(total)}, {minutes:.0f} min")
    unexplained = [one for one in survivors if one not in known]
    tell(unexplained, [one for one in known if one.module in modules and one not in survivors])
    return int(share < BAR or bool(unexplained))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
