"""What `docs/write/varying.md` shows: a test whose runs have failed."""

from __future__ import annotations

import re

import pytest
from inner import only
from shown import ROOT, check

from pytest_hydrasmoke._base.rates import in_words

PAGE = ROOT / "docs" / "write" / "varying.md"
SUITE = r"""
import re
import pytest

@pytest.mark.hydra_smoke_runs(5, at_least=4)
def test_says_when_it_opens(smoke_instance):
    turn = smoke_instance.chat("When do you open on Monday?")
    found = re.search(r"\b(8|08|eight)\b", turn.text, re.IGNORECASE)
    assert found, turn.text
"""
AGENT = """
[[replies]]
match = "on Monday"
text = ["In the morning.", "We open at 8:00.", "At nine, I think."]
"""


def test_a_failure_lists_its_runs_as_the_page_shows_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody counts LLM events here.
    monkeypatch.setenv("HYDRA_SMOKE_USAGE_SETTLE", "0.05")
    pytester.makepyfile(test_agent=SUITE)
    (pytester.path / "agent.toml").write_text(AGENT, "utf-8")
    options = ("--hydra-smoke-fake", "--hydra-smoke-scenario=agent.toml")
    result = pytester.runpytest_inprocess(*only(), *options, "test_agent.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = re.search(r"^=+ FAILURES =+\n(.*?)^=+ hydra-smoke", result.stdout.str(), re.M | re.S)
    assert said is not None
    told = re.search(r"^>       assert found.*?\n\n", said[1], re.M | re.S)
    assert told is not None
    check(PAGE, "runs", told[0])
    for number in (1, 2, 3):
        result.stdout.fnmatch_lines([f"on smoke-*-0, run {number}: * events in *"])


def test_the_table_of_rates_is_true() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) to (\d+) % \|$", PAGE.read_text("utf-8"), re.M)
    assert len(rows) == 5
    for runs, passed, low, high in rows:
        said = f"true rates between {low} and {high} % fit that"
        assert in_words(int(passed), int(runs)) == said
