"""The parts of what takes long: which run, what they are given, and that each can fail."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import heavy_runs
import pytest
from heavy import PARTS, ROOT, main

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TOX = (ROOT / "tox.ini").read_text("utf-8")


class Calls:
    """Takes note of the commands, and lets those fail that have a word in them."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.made: list[str] = []
        self.paths: list[str] = []

    def __call__(self, command: Sequence[str], env: dict[str, str]) -> int:
        assert command[0] == sys.executable
        self.made.append(" ".join(command[1:]))
        self.paths.append(env["PYTHONPATH"])
        return 3 if self.failing and self.failing in self.made[-1] else 0


def test_every_part_runs_and_fails_with_any_of_its_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = Calls()
    assert main([], calls) == 0
    assert capsys.readouterr().out.endswith(f"passed: {', '.join(PARTS)}; failed: none\n")
    for name, part in PARTS.items():
        assert part.commands
        for command in part.commands:
            scratch = re.escape(" ".join(command)).replace(re.escape("{scratch}"), r"\S+")
            assert [it for it in calls.made if re.fullmatch(scratch, it)]
        # With its last one, and the next part runs.
        other = "kill" if name != "kill" else "fire"
        failing = Calls(" ".join(part.commands[-1]).partition("{")[0].strip())
        assert main([name, other], failing) == 1
        assert failing.made[-1] == " ".join(PARTS[other].commands[-1])
    capsys.readouterr()
    for name, word, number in (("coverage", "coverage run", 2), ("readers", "pip install", 1)):
        calls = Calls(word)
        assert main([name], calls) == 1
        assert len(calls.made) == number
        assert capsys.readouterr().out.endswith(f"heavy: passed: none; failed: {name}\n")
    assert "openai" in calls.made[0]


def test_arguments_are_for_the_last_command_of_one_part() -> None:
    calls = Calls()
    assert main(["kill", "-k", "frozen"], calls) == 0
    assert calls.made == ["-m pytest -m kill -s -k frozen"]
    assert main(["mutation", "-x"], calls) == 0
    script, scratch, more = calls.made[-1].split()
    assert (script, more) == ("tests/mutation/mutation_run.py", "-x")
    assert not Path(scratch).exists()
    assert main(["soak"], calls) == 0
    assert calls.paths[-1].startswith(str(ROOT / "tests/shared"))
    # What can't run is told, and nothing runs.
    calls = Calls()
    for words, told in {
        "kil": "there is no part 'kil' (did you mean kill?): give some of kill, fire, ",
        "kill typing": "there is no part 'typing': give some of kill, fire, ",
        "kill fire -x": "-x is for one part: name it before its arguments",
        "-x": "-x is for one part: name it before its arguments",
    }.items():
        with pytest.raises(SystemExit, match=f"^{re.escape(told)}"):
            main(words.split(), calls)
    assert calls.made == []


def test_every_marker_is_left_out_of_the_normal_tests_and_run_by_a_part_or_an_environment() -> None:
    options = PYPROJECT["tool"]["pytest"]["ini_options"]
    markers = {line.partition(":")[0] for line in options["markers"]}
    [default] = [it for it in options["addopts"] if it.startswith("not (")]
    assert {*re.findall(r"\w+", default)} == markers | {"not", "or"}
    ways = [" ".join(command) for part in PARTS.values() for command in part.commands]
    assert markers <= {*re.findall(r"pytest -m \"?(\w+)", "\n".join([*ways, TOX]))}
    # Every file and group that a part names is there.
    for name, part in PARTS.items():
        words = [word for command in part.commands for word in command]
        places = [it for it in (*words, *part.imports) if it.startswith(("tests/", "docs/"))]
        assert [it for it in places if not (ROOT / it).exists()] == [], name
        assert set(part.groups) <= PYPROJECT["dependency-groups"].keys()
    assert "python tests/shared/heavy.py {posargs}" in TOX


# A run that skips all of what it was asked for is red.

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


@pytest.mark.parametrize(
    ("expression", "runs", "code"),
    [
        *(("infra", 1, 0), ("infra or not infra", 0, 1), (DEFAULT, 0, 0), ("kill", 0, 5)),
        # Workers count for the main process.
        pytest.param("infra", 0, 1, marks=pytest.mark.kill),
    ],
)
def test_what_was_asked_for_must_run(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    expression: str,
    runs: int,
    code: int,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(heavy_runs.__file__).parent))
    markers = "".join(f"    {line}\n" for line in MARKERS)
    pytester.makeini(f'[pytest]\naddopts = -m "{DEFAULT}"\nmarkers =\n{markers}')
    pytester.makeconftest('pytest_plugins = ["heavy_runs"]')
    pytester.makepyfile(TESTS.format(runs=runs))
    if (expression, runs) == ("infra", 0):
        result = pytester.runpytest_subprocess("-p", "xdist", "-n", "2", "-m", expression)
    else:
        result = pytester.runpytest_inprocess("-m", expression)
    assert result.ret == code
    assert (TOLD in result.stdout.str()) == (code == 1)


def test_an_expression_asks_for_what_it_names() -> None:
    for expression, asked in {
        "": set[str](),
        DEFAULT: set[str](),
        "kill or not kill": {"kill"},
        "(fuzz or not fuzz) and not infra": {"fuzz", "infra"},
    }.items():
        assert heavy_runs.asked_for(expression, MARKERS) == asked
