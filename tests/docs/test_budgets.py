"""What `docs/pipelines/budgets.md` says of budgets: a breach looks as shown."""

from __future__ import annotations

import re

import pytest
from inner import only
from shown import ROOT, check

PAGE = ROOT / "docs" / "pipelines" / "budgets.md"


def test_a_breach_looks_as_the_page_shows_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_BUDGETS", "row=0.001")
    pytester.makepyfile(test_agent="def test_it(smoke_instance): ...\n")
    result = pytester.runpytest_inprocess(
        *only(),
        "--hydra-smoke-fake",
        "--hydra-smoke-run-id=nightly-7",
        "test_agent.py",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    said = re.search(r"^=+ FAILURES =+\n(.*?)^=+ hydra-smoke", result.stdout.str(), re.M | re.S)
    assert said is not None
    check(PAGE, "breach", said[1])
