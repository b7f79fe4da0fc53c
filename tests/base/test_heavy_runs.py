"""A run that skips all of what it was asked for is red."""

from __future__ import annotations

from pathlib import Path

import heavy_runs
import pytest
from heavy_runs import asked_for
from inner import ALONE

MARKERS = ["kill: runs that are killed", "infra: real proxies", "fuzz: more of it"]
TOLD = "ERROR: all 4 tests of infra were skipped: nothing was tested"
DEFAULT = "not (kill or infra or fuzz)"
TESTS = """
import pytest

def test_of_the_sample():
    pass

@pytest.mark.infra
@pytest.mark.parametrize("number", range(4))
def test_heavy(number):
    if number >= {runs}:
        pytest.skip("not installed")
"""
INI = f"""
[pytest]
addopts = -m "{DEFAULT}"
markers =
    {"".join(f"{line}{chr(10)}    " for line in MARKERS)}
"""


@pytest.fixture(autouse=True)
def no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*ALONE)


def project(pytester: pytest.Pytester, runs: int) -> None:
    pytester.makeini(INI)
    pytester.makeconftest('pytest_plugins = ["heavy_runs"]')
    pytester.makepyfile(TESTS.format(runs=runs))


@pytest.mark.parametrize(
    ("expression", "runs", "code"),
    [
        ("infra", 1, 0),
        ("infra or not infra", 0, 1),
        (DEFAULT, 0, 0),
        ("kill", 0, 5),
    ],
)
def test_what_was_asked_for_must_run(
    pytester: pytest.Pytester, expression: str, runs: int, code: int
) -> None:
    project(pytester, runs)
    result = pytester.runpytest_inprocess("-m", expression)
    assert result.ret == code
    assert (TOLD in result.stdout.str()) == (code == 1)


@pytest.mark.kill
def test_the_main_process_counts_what_its_workers_ran(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(heavy_runs.__file__).parent))
    project(pytester, 0)
    result = pytester.runpytest_subprocess("-p", "xdist", "-n", "2", "-m", "infra")
    assert result.ret == 1
    assert TOLD in result.stdout.str()


def test_an_expression_asks_for_what_it_names() -> None:
    for expression, asked in {
        "": set[str](),
        DEFAULT: set[str](),
        "kill or not kill": {"kill"},
        "(fuzz or not fuzz) and not infra": {"fuzz", "infra"},
    }.items():
        assert asked_for(expression, MARKERS) == asked
