"""Recipes of `docs/write/varying.md` that hand a turn to other libraries."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from inner import only
from shown import ROOT

PAGES = ROOT / "docs" / "write"
PAGE = PAGES / "varying.md"
SAID = {
    "deepeval": "AssertionError: Metrics: Tool Correctness (score: 0.0, threshold: 1.0*",
    "pydantic_evals": "assert 0.5 >= 0.9",
}
"""How each of them says that the agent has looked another order up."""
KEYS = ("OPENAI_API_KEY", "CONFIDENT_API_KEY", "LANGSMITH_API_KEY", "LANGSMITH_TRACING")
AWAY = '''
"""Writes down whom this process asks beyond this machine, and refuses it."""

import sys

HERE = {"127.0.0.1", "localhost", None}


def asks(event, given):
    if event == "socket.getaddrinfo":
        host = given[0]
    elif event == "socket.connect" and isinstance(given[1], tuple):
        host = given[1][0]
    else:
        return
    if host not in HERE:
        with open("asked.txt", "a") as file:
            print(host, file=file)
        raise OSError("there is no network here")


sys.addaudithook(asks)
'''


@pytest.fixture
def offline(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Give the project no key and no network, and the variables that the page exports."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    exported = re.findall(r"^\$ export (\w+)=(\w+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert exported
    for name, value in exported:
        monkeypatch.setenv(name, value)
    project.makepyfile(away=AWAY)
    project.syspathinsert()
    return project


def recipe_of(library: str) -> str:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return (PAGES / "recipes" / f"{library}_tools.py").read_text("utf-8")


def compare(library: str, project: pytest.Pytester, *plugins: str) -> pytest.RunResult:
    """Run a recipe, and beside it one that expects another order."""
    recipe = recipe_of(library)
    assert recipe.count('"id": 17') == 1
    project.makepyfile(test_right=recipe, test_wrong=recipe.replace('"id": 17', '"id": 18'))
    return project.runpytest_subprocess(
        *only("away", *plugins), "--hydra-smoke-fake", "-v", "test_right.py", "test_wrong.py"
    )


def begin_agent(project: pytest.Pytester, line: str) -> None:
    """Put a line before what the page says of its agent."""
    agent = project.path / "agent.toml"
    agent.write_text(f"{line}\n{agent.read_text('utf-8')}", "utf-8")


@pytest.mark.parametrize("runtime", ["ag-ui", "anthropic"])
@pytest.mark.parametrize("library", SAID)
def test_another_library_compares_the_tools(
    offline: pytest.Pytester, library: str, runtime: str
) -> None:
    begin_agent(offline, f'runtime = "{runtime}"')
    run = compare(library, offline)
    run.stdout.fnmatch_lines(["test_right.py::* PASSED*", "test_wrong.py::* FAILED*"])
    run.stdout.fnmatch_lines([f"E*{SAID[library]}"])
    run.assert_outcomes(passed=1, failed=1)
    assert not (offline.path / "asked.txt").exists()


def test_a_question_without_an_answer_is_no_success(offline: pytest.Pytester) -> None:
    begin_agent(offline, "event_pause = 0.1")
    recipe = recipe_of("pydantic_evals")
    # All are asked at once, and the agent is busy with the first.
    offline.makepyfile(test_busy=recipe.replace(", max_concurrency=1", ""))
    run = offline.runpytest_subprocess(*only("away"), "--hydra-smoke-fake", "test_busy.py")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["E*assert not [[]ReportCaseFailure(*", "*ChatBusyError: *"])


def test_deepeval_as_a_plugin_is_told_to_be_silent(
    offline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = compare("deepeval", offline, "deepeval")
    run.assert_outcomes(passed=1, failed=1)
    assert not (offline.path / "asked.txt").exists()
    # The page says what it is for.
    monkeypatch.delenv("DEEPEVAL_TELEMETRY_OPT_OUT")
    compare("deepeval", offline, "deepeval").assert_outcomes(passed=1, failed=1)
    assert (offline.path / "asked.txt").exists()


def test_deepeval_loads_settings_from_a_file(
    offline: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (offline.path / ".env").write_text("HYDRA_SMOKE_RUN_ID=of-a-file\n", "utf-8")
    told = "hydra-smoke settings:*run_id of-a-file (environment)*"
    compare("deepeval", offline, "deepeval").stdout.fnmatch_lines([told])
    monkeypatch.setenv("DEEPEVAL_DISABLE_DOTENV", "1")
    compare("deepeval", offline, "deepeval").stdout.no_fnmatch_line(told)
