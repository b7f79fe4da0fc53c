"""What the package does behind nobody's back: no network at import, no code made of text."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from inner import ALONE, only

import pytest_hydrasmoke

HOME = Path(pytest_hydrasmoke.__file__).parent
MODULES = sorted(
    ".".join(("pytest_hydrasmoke", *path.relative_to(HOME).with_suffix("").parts))
    for path in HOME.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py") and path.parent.name != "checks"
)

# Events of `sys.audit`: whatever reaches another machine.
WATCHER = """
import importlib, socket, sys
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
           "urllib.Request")
seen = []
sys.addaudithook(lambda event, args: event in NETWORK and seen.append((event, args)))
for name in sys.argv[1:]:
    importlib.import_module(name)
assert len(sys.argv) > 10, "nothing was imported"
"""
VERDICT = "assert not seen, seen"
PROBE = "socket.getaddrinfo('127.0.0.1', 9)\n"


@pytest.mark.parametrize(("probe", "code"), [("", 0), (PROBE, 1)], ids=["package", "probe"])
def test_no_import_reaches_another_machine(probe: str, code: int) -> None:
    program = WATCHER + probe + VERDICT
    run = subprocess.run([sys.executable, "-c", program, *MODULES], capture_output=True, text=True)
    assert run.returncode == code, run.stderr


@pytest.mark.parametrize("word", ["eval(", "exec(", "compile(", "pickle", "marshal", "__import__("])
def test_no_code_is_made_of_text(word: str) -> None:
    # `re.compile` makes a pattern.
    found = [
        f"{path.name}: {line.strip()}"
        for path in HOME.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if word in re.sub(r"re\.compile\(|can't be pickled|in tracebacks, reprs, pickles", "", line)
    ]
    assert found == []


LOADED = """
import sys

def pytest_unconfigure():
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "pytest_hydrasmoke":
            print("LOADED", name, "PYTEST_DONT_REWRITE" in (module.__doc__ or ""))
"""


def test_what_every_run_loads_is_not_searched_for_assertions(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(LOADED, "utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(): ...", "utf-8")
    command = [sys.executable, "-m", "pytest", *only(), "test_it.py"]
    env = {**os.environ, **dict([ALONE])}
    told = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True).stdout
    loaded = [line.split()[1:] for line in told.splitlines() if line.startswith("LOADED")]
    assert [name for name, _ in loaded] == [
        "pytest_hydrasmoke",
        "pytest_hydrasmoke._hookspecs",
        "pytest_hydrasmoke._options",
        "pytest_hydrasmoke.plugin",
    ]
    assert {skipped for _, skipped in loaded} == {"True"}
    for name, _ in loaded:
        tree = ast.parse(Path(import_module(name).__file__ or "").read_text("utf-8"))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
