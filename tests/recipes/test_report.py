"""The recipes of `docs/write/recipes.md`: each is a conftest that does what the page says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gates import body_of, serving
from plugin_tools import QUICK, TOKEN, Project
from starlette.responses import Response

from pytest_hydrasmoke.fake import FakeRouter

RECIPES = Path(__file__).parent.parent.parent / "docs" / "write" / "recipes"
SUITE = "def test_chats(smoke_instance): smoke_instance.chat('Are you ready?')\n"


@pytest.fixture
def received() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """Serve a web server on loopback; gives its URL, and what it was sent."""
    requests: list[tuple[str, str, bytes]] = []

    async def take(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(scope["root_path"])
        requests.append((scope["method"], path, await body_of(receive)))
        await Response()(scope, receive, send)

    with serving(take) as url:
        yield url, requests


class Recipe:
    """A recipe as the conftest of a project, run against a router of its own."""

    def __init__(self, project: Project) -> None:
        self._project, self.path = project, project.path
        self._runs = 0

    def run(
        self, name: str, *options: str, leaks: bool = False, alone: bool = False
    ) -> pytest.RunResult:
        self._runs += 1
        self._project.write("conftest.py", (RECIPES / f"{name}.py").read_text("utf-8"))
        self._project.write("test_agent.py", SUITE)
        with FakeRouter(QUICK, TOKEN) as router:
            if leaks:
                router.fail("delete", status=500, times=999)
            self._project.at(router, run_id=f"nightly-{self._runs}", delete_timeout=0.6)
            run = self._project.process if alone else self._project.run
            result = run("--hydra-smoke", "test_agent.py", *options)
        assert result.ret == (pytest.ExitCode.TESTS_FAILED if leaks else pytest.ExitCode.OK)
        result.stdout.no_fnmatch_line("*pytest_hydra_smoke_report failed*")
        self.instance = str(router.instances[0].id)
        return result


@pytest.fixture
def recipe(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    return Recipe(Project(pytester, monkeypatch))


def test_opentelemetry_makes_a_span_of_each_phase(recipe: Recipe) -> None:
    pytest.importorskip("opentelemetry.sdk")
    out = recipe.run("opentelemetry", leaks=True, alone=True).stdout.str()
    names = [line.split('"')[3] for line in out.splitlines() if line.startswith('    "name": ')]
    phases = ["provision", "row", "ready", "first_event", "turn", "delete"]
    assert sorted(names) == sorted([*phases, "instance", "hydra-smoke run"])
    assert f'"id": "{recipe.instance}"' in out
    assert '"status_code": "ERROR"' in out


def test_prometheus_gets_gauges(
    recipe: Recipe,
    received: tuple[str, list[tuple[str, str, bytes]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("prometheus_client")
    url, requests = received
    monkeypatch.setenv("SMOKE_PUSH_GATEWAY", url)
    recipe.run("prometheus")
    [(method, path, body)] = requests
    assert (method, path) == ("PUT", "/metrics/job/hydra-smoke")
    lines = body.decode().splitlines()
    assert "hydra_smoke_ok 1.0" in lines
    assert 'hydra_smoke_instances{outcome="deleted"} 1.0' in lines
    assert 'hydra_smoke_instances{outcome="leaked"} 0.0' in lines
    assert sum(line.startswith("hydra_smoke_phase_seconds{") for line in lines) == 6


def test_every_recipe_is_on_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in RECIPES.parent.glob("*.md"))
    for file in RECIPES.glob("*.py"):
        assert f"{{literalinclude}} recipes/{file.name}" in pages
