"""The parts of what takes long: which run, what they are given, and that each can fail."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

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


def test_without_a_name_every_part_runs(capsys: pytest.CaptureFixture[str]) -> None:
    calls = Calls()
    assert main([], calls) == 0
    for part in PARTS.values():
        assert part.commands
        for command in part.commands:
            scratch = re.escape(" ".join(command)).replace(re.escape("{scratch}"), r"\S+")
            assert [it for it in calls.made if re.fullmatch(scratch, it)]
    assert capsys.readouterr().out.endswith(f"passed: {', '.join(PARTS)}; failed: none\n")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_fails_with_its_last_command_and_the_next_one_runs(name: str) -> None:
    other = "kill" if name != "kill" else "fire"
    last = " ".join(PARTS[name].commands[-1]).partition("{")[0].strip()
    calls = Calls(last)
    assert main([name, other], calls) == 1
    assert calls.made[-1] == " ".join(PARTS[other].commands[-1])


def test_a_part_ends_with_the_first_command_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    calls = Calls("coverage run")
    assert main(["coverage"], calls) == 1
    assert len(calls.made) == 2
    assert capsys.readouterr().out.endswith("heavy: passed: none; failed: coverage\n")
    calls = Calls("pip install")
    assert main(["readers"], calls) == 1
    assert len(calls.made) == 1
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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["kil"], "there is no part 'kil' (did you mean kill?): give some of kill, fire, "),
        (["kill", "typing"], "there is no part 'typing': give some of kill, fire, "),
        (["kill", "fire", "-x"], "-x is for one part: name it before its arguments"),
        (["-x"], "-x is for one part: name it before its arguments"),
    ],
)
def test_what_can_not_run_is_told_and_nothing_runs(words: list[str], told: str) -> None:
    calls = Calls()
    with pytest.raises(SystemExit, match=f"^{re.escape(told)}"):
        main(words, calls)
    assert calls.made == []


def test_every_marker_is_left_out_of_the_normal_tests_and_run_by_a_part_or_an_environment() -> None:
    options = PYPROJECT["tool"]["pytest"]["ini_options"]
    markers = {line.partition(":")[0] for line in options["markers"]}
    [default] = [it for it in options["addopts"] if it.startswith("not (")]
    assert {*re.findall(r"\w+", default)} == markers | {"not", "or"}
    ways = [" ".join(command) for part in PARTS.values() for command in part.commands]
    assert markers <= {*re.findall(r"pytest -m \"?(\w+)", "\n".join([*ways, TOX]))}


def test_every_file_and_group_that_a_part_names_is_there() -> None:
    for name, part in PARTS.items():
        words = [word for command in part.commands for word in command]
        places = [it for it in (*words, *part.imports) if it.startswith(("tests/", "docs/"))]
        assert [it for it in places if not (ROOT / it).exists()] == [], name
        assert set(part.groups) <= PYPROJECT["dependency-groups"].keys()
    assert "python tests/shared/heavy.py {posargs}" in TOX
