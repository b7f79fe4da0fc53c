"""What the package does behind nobody's back: no network at import, no code made of text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
