"""What `docs/write/runtimes.md` shows: a reply in which nobody found a text."""

from __future__ import annotations

import json
import re

import pytest
from inner import only
from shown import ROOT, check

PAGE = ROOT / "docs" / "write" / "runtimes.md"
SUITE = """
def test_it_answers(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    assert turn.text
"""


def test_a_failed_assertion_names_the_events_as_the_page_shows_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_agent=SUITE)
    frames = re.search(r"```none\n(event: speech\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert frames is not None
    turn = {
        "run": 1,
        "instance": "shared",
        "spec": {},
        "message": "Are you ready?",
        "llm_events": None,
        "end": "closed",
        "chunks": [[0, f"{frames[1]}\n"]],
    }
    head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2020-01-31"}
    recording = {**head, "of": "test_agent.py::test_it_answers", "turns": [turn]}
    (pytester.path / "recordings").mkdir()
    (pytester.path / "recordings" / "one.json").write_text(json.dumps(recording), "utf-8")
    options = ("--hydra-smoke-fake", "--hydra-smoke-scenario=recordings/")
    result = pytester.runpytest_inprocess(*only(), *options, "test_agent.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = re.search(r"^>       assert turn.text\n(.*?)\n\n", result.stdout.str(), re.M | re.S)
    assert said is not None
    check(PAGE, "no-text", said[1])
