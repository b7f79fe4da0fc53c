"""A call that was never awaited fails its run, whatever becomes of Python's warning of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from plugin_tools import ASYNCIO, Project

from pytest_hydrasmoke._plugin.unawaited import Unawaited

SUITE = """
async def own(): ...
async def test_one(async_smoke_instance):
    turn = await async_smoke_instance.chat("hi")
    turn.expect_llm_events(at_least=99)
    own()
"""


@pytest.mark.parametrize(
    "arguments",
    [("-Wignore",), ("-Werror",), ("-p", "no:warnings"), ("-p", "xdist", "-n1", "-Wignore")],
    ids=" ".join,
)
def test_it_fails_the_run(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("test_it.py", SUITE)
    options = (*ASYNCIO, "-oasyncio_mode=auto", *arguments)
    project.fake(*options, "test_it.py", ret=pytest.ExitCode.TESTS_FAILED).says(
        "AsyncChatTurn.expect_llm_events: called without await, so nothing was done",
        "FAILED hydra-smoke::missing await::test_it.py::test_one*",
    )


async def own() -> None: ...


def test_another_s_is_told_where_python_tells_it(pytestconfig: pytest.Config) -> None:
    seen = Unawaited(pytestconfig)
    seen.pytest_configure()
    try:
        with pytest.warns(RuntimeWarning, match="'own' was never awaited") as told:
            own()
    finally:
        seen.pytest_unconfigure()
    assert [Path(it.filename) for it in told] == [Path(__file__)]


def test_one_that_goes_between_tests_is_of_none(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    seen = Unawaited(pytestconfig)
    monkeypatch.setattr(seen, "_tell", found.append)
    hook = seen.pytest_sessionfinish()
    next(hook)
    assert found == [""]


def test_python_may_have_no_such_function(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(warnings, "_warn_unawaited_coroutine")
    seen = Unawaited(pytestconfig)
    seen.pytest_configure()
    seen.pytest_unconfigure()
    assert not hasattr(warnings, "_warn_unawaited_coroutine")
