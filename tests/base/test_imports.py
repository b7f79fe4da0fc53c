"""What importing the package costs and needs, and who may import what."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from inner import ALONE, only

import pytest_hydrasmoke

HOME = Path(pytest_hydrasmoke.__file__).parent


@cache
def trees() -> dict[str, ast.Module]:
    """Parse every module, by its path in the package."""
    return {
        path.relative_to(HOME).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(HOME.rglob("*.py"))
    }


def imported_by(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def in_a_fresh_interpreter(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("library", ["httpx", "httpcore"])
def test_the_network_libraries_are_known_to_the_network_modules_alone(library: str) -> None:
    users = {
        name if name.startswith("fake/") else name.partition("/")[0]
        for name, tree in trees().items()
        if library in {it.partition(".")[0] for it in imported_by(tree)}
    }
    # The fake asks a real agent by a client of its own.
    assert users == {"_transport", *(["fake/agent.py"] if library == "httpx" else [])}


def test_the_fake_shares_nothing_with_what_it_tests() -> None:
    for name, tree in trees().items():
        for it in imported_by(tree) if name.startswith("fake/") else ():
            assert not it.startswith(".."), name
            # By whole names a folder within it reaches the others.
            ours = it.partition(".")[0] == "pytest_hydrasmoke"
            assert not ours or it.startswith("pytest_hydrasmoke.fake."), name


LIGHT = """
import sys, pytest
before = set(sys.modules)
for name in ("pytest_hydrasmoke", "pytest_hydrasmoke.plugin", "pytest_hydrasmoke.fake"):
    __import__(name)
    print(*sorted({it.partition(".")[0] for it in set(sys.modules) - before}))
"""


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = {"anyio", "httpcore", "httpx", "pydantic", "starlette", "uvicorn"}
    for line in in_a_fresh_interpreter(LIGHT).splitlines():
        assert "pytest_hydrasmoke" in line.split()
        assert not heavy & set(line.split())


def test_a_fake_without_an_agent_needs_no_http_client() -> None:
    serves = "from pytest_hydrasmoke.fake import FakeRouter\nwith FakeRouter(): ..."
    code = f"import sys\n{serves}\nprint('httpx' in sys.modules)"
    assert in_a_fresh_interpreter(code) == "False\n"


# Each child is a process that has imported nothing of the package.
FIRST = """
import os, sys
import httpx, pydantic, starlette.applications, uvicorn
for line in sys.argv[1:]:
    if os.fork() == 0:
        exec(line)
        sys.exit()
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, line
"""


def test_everything_can_be_the_first_to_be_imported_and_is_named_alike() -> None:
    lines = [
        f"from pytest_hydrasmoke import {names[0]} as it; print(it.__name__)"
        for names in pytest_hydrasmoke._HOMES.values()
    ]
    lines += [
        "import pytest_hydrasmoke._base.errors as it; print(it.ChatError)",
        "import pytest_hydrasmoke.fake.router as it; print(it.FakeRouter)",
    ]
    assert in_a_fresh_interpreter(FIRST, *lines).splitlines() == [
        *(names[0] for names in pytest_hydrasmoke._HOMES.values()),
        "<class 'pytest_hydrasmoke.ChatError'>",
        "<class 'pytest_hydrasmoke.fake.FakeRouter'>",
    ]


# Events of `sys.audit`: whatever reaches another machine; and a system as bare as Windows is.
BARE = """
import importlib, os, select, signal, socket, sys
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
           "urllib.Request")
seen = []
sys.addaudithook(lambda event, args: event in NETWORK and seen.append((event, args)))
# What is others' may need it.
import asyncio, httpcore, httpx, jinja2, harfile, pydantic, pytest, uvicorn
import uvicorn.protocols.http.h11_impl, anyio._backends._asyncio, starlette.applications
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
for module, names in {
    os: ("fork", "geteuid", "getpgrp", "getuid", "killpg", "setsid", "tcgetpgrp", "umask",
         "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_ACCMODE"),
    select: ("poll", "POLLOUT"),
    signal: ("SIGHUP", "SIGKILL", "SIGALRM", "pthread_kill", "pthread_sigmask", "setitimer"),
}.items():
    for name in names:
        delattr(module, name)
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not seen, seen
socket.getaddrinfo("127.0.0.1", 9)
print(seen[0][0])
"""


def test_no_import_needs_what_windows_does_not_have_or_reaches_another_machine() -> None:
    modules = [
        ".".join((HOME.name, *Path(name).with_suffix("").parts))
        for name in trees()
        if not name.endswith(("__init__.py", "__main__.py"))
    ]
    assert len(modules) > 100
    assert in_a_fresh_interpreter(BARE, *modules) == "socket.getaddrinfo\n", "the hook sees it"


def test_no_code_is_made_of_text() -> None:
    words = ("eval(", "exec(", "compile(", "pickle", "marshal", "__import__(")
    # `re.compile` makes a pattern.
    harmless = re.compile(r"re\.compile\(|can't be pickled|in tracebacks, reprs, pickles")
    found = [
        f"{path.name}: {line.strip()}"
        for path in HOME.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if any(word in harmless.sub("", line) for word in words)
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
