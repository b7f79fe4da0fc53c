"""The judges of `docs/write/varying.md`, and the tests that ask them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from gates import serving
from inner import only
from shown import ROOT
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PAGES = ROOT / "docs" / "write"


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve a model that judges by a word of the reply, and puts words around its verdict."""
    prompts: list[str] = []

    async def judge(request: Request) -> Response:
        body = await request.json()
        assert body["model"] == "judge-1"
        assert request.headers["authorization"] == "Bearer made-up"
        prompts.append(body["messages"][0]["content"])
        holds = "sorry" in prompts[-1].splitlines()[-1].lower()
        reason = "It says sorry." if holds else "It does not say sorry."
        verdict = f"```json\n{json.dumps({'holds': holds, 'reason': reason})}\n```"
        if "silent" in prompts[-1]:
            verdict = "I would rather not."
        return JSONResponse({"choices": [{"message": {"content": verdict}}]})

    model = Starlette(routes=[Route("/v1/chat/completions", judge, methods=["POST"])])
    with serving(model) as url:
        monkeypatch.setenv("JUDGE_URL", url)
        monkeypatch.setenv("JUDGE_MODEL", "judge-1")
        monkeypatch.setenv("JUDGE_TOKEN", "made-up")
        yield prompts


def judged_by(recipe: str, project: pytest.Pytester, *, alone: bool = False) -> None:
    """Run the page's tests by a judge: the first of three replies is refused."""
    shutil.copy(PAGES / "recipes" / f"{recipe}.py", project.path / "conftest.py")
    start = project.runpytest_subprocess if alone else project.runpytest_inprocess
    run = start(*only(), "--hydra-smoke-fake", "-rP", "test_apology.py")
    run.assert_outcomes(passed=2)
    run.stdout.fnmatch_lines(
        [
            "2 of 3 runs passed, and 2 of 3 must: true *",
            "  run 1: failed in * s: AssertionError: It does not say sorry.",
            "  run 2: passed in * s",
            "  run 3: passed in * s",
        ]
    )


def test_any_callable_judges(project: pytest.Pytester, prompts: list[str]) -> None:
    judged_by("judge", project)
    assert len(prompts) == 4
    assert "The agent says sorry.\n" in prompts[0]
    assert prompts[0].endswith(': "That is not for me."')


def test_a_judge_without_a_verdict_is_told(project: pytest.Pytester, prompts: list[str]) -> None:
    shutil.copy(PAGES / "recipes" / "judge.py", project.path / "conftest.py")
    project.makepyfile("def test_it(judge): judge('I am here.', 'The agent is silent.')\n")
    run = project.runpytest_inprocess(*only(), "-k", "test_it")
    run.stdout.fnmatch_lines(["E*RuntimeError: the judge gave no verdict: 'I would rather not.'"])


def test_pydantic_evals_judges(project: pytest.Pytester) -> None:
    pytest.importorskip("pydantic_evals")
    judged_by("pydantic_evals_judge", project, alone=True)
