"""What `docs/start/editors.md` gives to an editor: its arguments find a project's tests alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from blocks import blocks
from inner import only
from shown import ROOT

PAGE = ROOT / "docs" / "start" / "editors.md"


@pytest.fixture
def arguments(pytester: pytest.Pytester) -> list[str]:
    folder = pytester.mkdir("tests")
    test = "def test_greeting(smoke_instance):\n    assert smoke_instance.chat('Ready?').text\n"
    (folder / "test_agent.py").write_text(test, "utf-8")
    (block,) = (it for it in blocks(PAGE) if it.language == "json")
    settings: dict[str, Any] = json.loads(block.text)
    return list(settings["python.testing.pytestArgs"])


def test_an_editor_discovers_the_project_s_tests_and_nothing_else(
    pytester: pytest.Pytester, arguments: list[str]
) -> None:
    result = pytester.runpytest_inprocess(*only(), "--collect-only", "-q", *arguments)
    assert result.ret == 0
    assert [it for it in result.outlines if "::" in it] == ["tests/test_agent.py::test_greeting"]


def test_an_editor_runs_one_test_by_its_path(
    pytester: pytest.Pytester, arguments: list[str]
) -> None:
    folder, *switches = arguments
    test = f"{pytester.path / folder / 'test_agent.py'}::test_greeting"
    result = pytester.runpytest_inprocess(*only(), f"--rootdir={pytester.path}", *switches, test)
    result.assert_outcomes(passed=1)
