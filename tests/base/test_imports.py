"""What importing the package costs and needs, and who may import what."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from hurried import WAITS
from inner import only

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


def test_the_network_libraries_are_known_to_the_network_modules_alone() -> None:
    users = {
        (library, name if name.startswith("fake/") else name.partition("/")[0])
        for name, tree in trees().items()
        for library in {it.partition(".")[0] for it in imported_by(tree)} & {"httpx", "httpcore"}
    }
    # The fake asks a real agent by a client of its own.
    assert users == {
        ("httpcore", "_transport"),
        ("httpx", "_transport"),
        ("httpx", "fake/agent.py"),
    }


def test_the_fake_shares_nothing_with_what_it_tests() -> None:
    for name, tree in trees().items():
        for it in imported_by(tree) if name.startswith("fake/") else ():
            assert not it.startswith(".."), name
            # By whole names a folder within it reaches the others; a clock has no rule in it.
            ours = it.partition(".")[0] == "pytest_hydrasmoke"
            allowed = ("pytest_hydrasmoke.fake.", "pytest_hydrasmoke._base.clock")
            assert not ours or it.startswith(allowed), name


def while_imported(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that a module makes as it is imported itself."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for it in node.orelse:
            yield from while_imported(it)
    elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
        for it in ast.iter_child_nodes(node):
            yield from while_imported(it)


def modules_of(node: ast.Import | ast.ImportFrom, package: list[str]) -> Iterator[str]:
    """Yield each module that an import may load, and the packages that it is in."""
    beginning: list[str] = []
    if isinstance(node, ast.ImportFrom):
        beginning = package[: len(package) + 1 - node.level] if node.level else []
        beginning += node.module.split(".") if node.module else []
    for alias in node.names:
        parts = [*beginning, *alias.name.split(".")]
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def names_of(path: str) -> tuple[str, list[str]]:
    """Return a module's name, and the packages that it is in."""
    *package, name = (HOME.name, *Path(path).with_suffix("").parts)
    return ".".join(package if name == "__init__" else [*package, name]), package


def test_everything_can_be_the_first_to_be_imported() -> None:
    needs: dict[str, set[str]] = {}
    for path, tree in trees().items():
        module, package = names_of(path)
        made = {it for node in while_imported(tree) for it in modules_of(node, package)}
        # What it is in comes first by itself.
        made |= {".".join(package[:end]) for end in range(1, len(package) + 1)}
        needs[module] = made - {module}
    assert len(needs) > 100
    # No module needs what needs it.
    TopologicalSorter(needs).prepare()


def test_no_module_knows_what_knows_it_not_even_by_a_type_hint() -> None:
    known: dict[str, set[str]] = {}
    for path, tree in trees().items():
        module, package = names_of(path)
        nodes = (it for it in ast.walk(tree) if isinstance(it, ast.Import | ast.ImportFrom))
        named = {it for node in nodes for it in modules_of(node, package)}
        # A package is no module that anybody knows by what is in it.
        known[module] = {it for it in named if not module.startswith(f"{it}.")} - {module}
    for package in {it.rpartition(".")[0] for it in known}:
        known.pop(package, None)
    TopologicalSorter(known).prepare()


# Events of `sys.audit`: whatever reaches another machine; and a system as bare as Windows is.
BARE = """
import importlib, os, select, signal, socket, sys
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto",
           "urllib.Request")
seen = []
sys.addaudithook(lambda event, args: event in NETWORK and seen.append((event, args)))
# What is others' may need it.
import asyncio, httpcore, httpx, jinja2, pydantic, pytest, uvicorn
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
    command = [sys.executable, "-c", BARE, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "socket.getaddrinfo\n", "the hook sees it"


def test_no_code_is_made_of_text() -> None:
    words = ("eval(", "exec(", "compile(", "pickle", "marshal", "__import__(")
    # `re.compile` makes a pattern.
    harmless = re.compile(r"re\.compile\(|can't be pickled|in tracebacks, reprs, pickles")
    found = [
        f"{name}: {line.strip()}"
        for name in trees()
        for line in (HOME / name).read_text("utf-8").splitlines()
        if any(word in harmless.sub("", line) for word in words)
    ]
    assert found == []


# A run without the switch; and what it loads at most, whoever is the first to ask for more.
LOADED = """
import sys

def pytest_unconfigure():
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "pytest_hydrasmoke":
            print("LOADED", name, "PYTEST_DONT_REWRITE" in (module.__doc__ or ""))
    import pytest_hydrasmoke.fake
    heavy = {"anyio", "httpcore", "httpx", "pydantic", "starlette", "uvicorn"}
    print("HEAVY", *heavy & {name.partition(".")[0] for name in sys.modules})
    import pytest_hydrasmoke._base.errors, pytest_hydrasmoke.fake.router
    print("NAMED", pytest_hydrasmoke._base.errors.ChatError)
    print("NAMED", pytest_hydrasmoke.fake.router.FakeRouter)
    with pytest_hydrasmoke.fake.FakeRouter(): ...
    print("SERVES", "starlette" in sys.modules, "httpx" in sys.modules)
"""


def test_what_every_run_loads_is_little_and_not_searched_for_assertions(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(LOADED, "utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(): ...", "utf-8")
    command = [sys.executable, "-m", "pytest", *only(), "test_it.py"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    said: dict[str, list[str]] = {}
    for line in told.splitlines():
        what, _, words = line.partition(" ")
        said.setdefault(what, []).append(words)
    modules = ("", "._hookspecs", "._options", ".plugin")
    assert said["LOADED"] == [f"pytest_hydrasmoke{it} True" for it in modules]
    for name in ("__init__.py", "_hookspecs.py", "_options.py", "plugin.py"):
        assert not [node for node in ast.walk(trees()[name]) if isinstance(node, ast.Assert)]
    assert said["HEAVY"] == [""]
    classes = "pytest_hydrasmoke.ChatError", "pytest_hydrasmoke.fake.FakeRouter"
    assert said["NAMED"] == [f"<class '{it}'>" for it in classes]
    assert said["SERVES"] == ["True False"], "a fake without an agent needs no client"


def test_what_runs_in_tests_do_not_wait_for_is_there() -> None:
    """A constant that has moved would cost each of them seconds, and nobody would notice."""
    for path, names in WAITS.items():
        assert {*names} <= vars(importlib.import_module(path)).keys(), path
