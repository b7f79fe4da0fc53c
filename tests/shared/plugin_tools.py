"""What the tests of the plugin share: a project to run pytest in, and routers to run it against."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from gates import body_of, serving
from inner import only

import pytest_hydrasmoke
from pytest_hydrasmoke.fake import FakeRouter, Scenario

# An inner run in this process forgets every module that it was the first to import, and imports it
# again in the next: half of what such a run costs, and the classes of errors would differ. The
# checks are collected, not imported; the command's module runs.
for _module in pkgutil.walk_packages(pytest_hydrasmoke.__path__, "pytest_hydrasmoke."):
    if not _module.name.startswith(("pytest_hydrasmoke.checks.", "pytest_hydrasmoke.__main__")):
        importlib.import_module(_module.name)

ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
SUITES = Path(__file__).parent.parent / "suites"
CHECKS = "pytest_hydrasmoke/checks"
FILES = {"test_chat.py": 5, "test_deletion.py": 1, "test_instance.py": 10, "test_refusals.py": 27}
"""How many bundled checks there are in which file."""
ALL = sum(FILES.values())
# No eight characters of it are anything else's.
TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
QUICK = Scenario(row_after=0, statuses=((0, "running"),), llm_events_lag=0)
SLOW_ROW = Scenario(row_after=1.0, statuses=((0, "running"),))
SOMEBODY = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"
FIRST = ("poll", "poll", None, "status", "status")
"""The routes of what a live run asks first: is its id fresh, and how is it told "no"?"""

alone_or_workers = pytest.mark.parametrize(
    "workers",
    [
        pytest.param((), id="alone"),
        pytest.param(("-p", "xdist", "-n1"), id="workers", marks=pytest.mark.kill),
    ],
)


def shows_token(text: str) -> bool:
    """Return whether a text holds any part of the token that is long enough to be one."""
    return any(TOKEN[at : at + 8] in text for at in range(len(TOKEN) - 7))


class Ran(pytest.RunResult):
    """A run that is over, whose outcomes, and exit code, are as they were asked for.

    The outcomes that are not named are none, but for those that are deselected, and warnings.
    """

    def __init__(self, run: pytest.RunResult, ret: int | None = None, **outcomes: int) -> None:
        super().__init__(run.ret, run.outlines, run.errlines, run.duration)
        assert not shows_token(self.stdout.str() + self.stderr.str())
        if outcomes:
            self.assert_outcomes(**outcomes)
        assert ret is None or self.ret == ret

    def says(self, *lines: str) -> Ran:
        """See that these lines are in the output, in this order."""
        self.stdout.fnmatch_lines(lines)
        return self

    def is_refused(self, *lines: str) -> None:
        """See that nothing was run, for a usage error of these lines."""
        assert self.ret == pytest.ExitCode.USAGE_ERROR
        self.stderr.fnmatch_lines(lines)


class Project:
    """A sample suite in a folder of its own, and the ways to run it.

    A run that needs another plugin than this package's names it: `-p xdist`. Every output is
    searched for the token on its way out.
    """

    def __init__(self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self._env = monkeypatch
        # Long enough for a row without a lag; the default is for what is not known of a router.
        self.set(usage_settle=0.5)

    def suite(self, name: str) -> Project:
        """Copy a folder of `tests/suites` into the project; of itself it has the ini of `bare`."""
        ignore = shutil.ignore_patterns("__pycache__")
        for folder in ("bare", name):
            shutil.copytree(SUITES / folder, self.path, dirs_exist_ok=True, ignore=ignore)
        return self

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # An earlier module's bytecode would run where the size and the second are the same.
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        path.write_text(text, "utf-8")
        return path

    def write_all(self, files: dict[str, str]) -> Project:
        for name, text in files.items():
            self.write(name, text)
        return self

    def table(self, *lines: str) -> None:
        """Write the project's pyproject.toml."""
        self.write("pyproject.toml", "\n".join(["[tool.hydra-smoke]", *lines, ""]))

    def set(self, **settings: object) -> Project:
        """Set environment variables: `url="..."` is HYDRA_SMOKE_URL."""
        for name, value in settings.items():
            self._env.setenv(f"HYDRA_SMOKE_{name.upper()}", str(value))
        return self

    def at(self, router: FakeRouter | str, **settings: object) -> Project:
        """Set what a live run needs, with deadlines short enough for a test."""
        url = router if isinstance(router, str) else router.url
        return self.set(
            **{
                "url": url,
                "token": TOKEN,
                "manifest_id": "made-up",
                "region_id": "nowhere",
                "tier_id": "tier-1",
                "ready_timeout": 5,
                "llm_events_timeout": 5,
                "delete_timeout": 5,
                **settings,
            }
        )

    def left(self, name: str) -> str:
        """Read a file that a run left in its output folder."""
        return (self.path / ".hydrasmoke" / name).read_text("utf-8")

    def report(self) -> dict[str, Any]:
        """Read what a run's `report.json` says."""
        report: dict[str, Any] = json.loads(self.left("report.json"))
        return report

    def runs(self, output: str = ".hydrasmoke") -> list[str]:
        """Return the runs that have left a folder, for a sweep to look at."""
        return sorted(folder.name for folder in (self.path / output).glob("runs/*"))

    def run(self, *arguments: str, **expected: int) -> Ran:
        """Run pytest in this process; what is expected of it is as in `Ran`."""
        return Ran(self.pytester.runpytest_inprocess(*only(), *arguments), **expected)

    def live(self, *arguments: str, **expected: int) -> Ran:
        return self.run("--hydra-smoke", *arguments, **expected)

    def fake(self, *arguments: str, **expected: int) -> Ran:
        return self.run("--hydra-smoke-fake", *arguments, **expected)

    def process(self, *arguments: str, **expected: int) -> Ran:
        """Run pytest in a process of its own."""
        return Ran(self.pytester.runpytest_subprocess(*only(), *arguments), **expected)

    def command(self, *arguments: str, **expected: int) -> Ran:
        """Run `hydra-smoke` in a process of its own, which is to end by itself."""
        command = (sys.executable, "-m", "pytest_hydrasmoke", *arguments)
        return Ran(self.pytester.run(*command, timeout=15), **expected)

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a Python process, and see that it ends."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            rest, _ = process.communicate()
            assert not shows_token(rest)

    @contextlib.contextmanager
    def unread(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a Python process that writes into a pipe without a reader, and see that it ends."""
        reads, writes = os.pipe()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.path,
            stdout=writes,
            stderr=writes,
            # What a buffer still has at the exit is part of the matter.
            env={name: it for name, it in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )
        os.close(writes)
        os.close(reads)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def silent() -> Iterator[tuple[str, Callable[[], socket.socket]]]:
    """Listen like a router, and never answer; gives its URL, and what waits for a request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def asked() -> socket.socket:
            connection, _ = server.accept()
            assert connection.recv(65536)
            return connection

        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked


def until(what: Callable[[], object], patience: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + patience
    while not what():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def problems(result: pytest.RunResult) -> list[str]:
    """Return the list of an error of settings."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = result.stderr.lines
    assert sum("hydra-smoke can't start:" in line for line in lines) == 1
    return [line.strip().removeprefix("- ") for line in lines if line.strip().startswith("- ")]


def story(router: FakeRouter) -> list[str]:
    """Return what happened at a router: provisions and deletions, and each chat by its message."""
    told: list[str] = []
    for request in router.requests:
        if request.route in ("provision", "delete"):
            told.append(request.route)
        elif request.route == "chat" and isinstance(request.body, dict):
            told.append(str(request.body["message"]))
    return told


def turns(report: dict[str, Any]) -> list[str]:
    """Return the messages of all turns that a report has."""
    return sorted(turn["message"] for it in report["instances"] for turn in it["turns"])


def count(router: FakeRouter, route: str) -> int:
    """Count the requests of one route."""
    return sum(request.route == route for request in router.requests)


def nothing_left(router: FakeRouter) -> bool:
    """Return whether every instance is deleted, and there was at least one."""
    return bool(router.instances) and all(instance.deleted for instance in router.instances)


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def tampered(router: FakeRouter, change: Change) -> AbstractContextManager[str]:
    """Serve a router behind a gate that alters requests; gives the URL of the gate.

    `change` is given the ASGI scope and the JSON body, both to be altered in place.
    """

    async def gate(scope: Any, receive: Any, send: Any) -> None:
        raw = await body_of(receive)
        body = json.loads(raw) if raw else {}
        change(scope, body)
        waiting = [{"type": "http.request", "body": json.dumps(body).encode() if raw else b""}]

        async def altered() -> Any:
            return waiting.pop() if waiting else await receive()

        await router.app(scope, altered, send)

    return serving(gate)


def answering(
    router: FakeRouter, route: Any, after: int, **answer: object
) -> AbstractContextManager[str]:
    """Serve a router that answers one request of a route, after so many, about what it asks for."""

    def change(scope: dict[str, Any], body: dict[str, Any]) -> None:
        path = scope["path"]
        asks = "llm_events" if path.endswith("/llm-events") else "status"
        about_one = scope["method"] == "GET" and "/by-key/" not in path
        if about_one and asks == route and count(router, route) == after:
            asked = path.removesuffix("/llm-events").rpartition("/")[2]
            given = {"id": asked, "instance_id": asked, **answer}
            router.fail(route, status=200, body=given)

    return tampered(router, change)
