"""What a release is made of, as far as it can be seen without making one."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from release_check import HOME, LINK, PROJECT, audited, differences, pythons, strays

absolute = runpy.run_path(str(PROJECT / "hatch_build.py"))["absolute"]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))


def test_the_first_section_of_the_changelog_is_that_of_this_version() -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    changelog = (PROJECT / "CHANGELOG.md").read_text("utf-8")
    first = re.findall(r"^## (.+)$", changelog, re.MULTILINE)[0]
    assert re.fullmatch(rf"{re.escape(version)} \((unreleased|\d{{4}}-\d\d-\d\d)\)", first)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_taken_by_its_hash(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text("utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_links_of_the_description_lead_somewhere_from_an_index() -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")
    page = absolute(readme, HOME, "v1.2.3")
    assert list(strays(page, PROJECT)) == []
    assert f"]({HOME}/raw/v1.2.3/docs/images/report.png)" in page
    assert f"]({HOME}/blob/v1.2.3/docs/start/when-red.md)" in page
    assert len(LINK.findall(page)) == len(LINK.findall(readme))
    assert len([*strays(readme, PROJECT)]) > 10
    assert "no such file" in "".join(strays(f"[it]({HOME}/blob/v1.2.3/docs/none.md)", PROJECT))


def test_without_a_home_a_description_has_no_link_to_a_file() -> None:
    page = absolute("![a picture](a.png) [words](docs/a.md) [uv](https://uv.example)", "", "v1")
    assert page == " words [uv](https://uv.example)"


def test_an_sdist_has_what_is_tracked_and_nothing_else() -> None:
    packed = ["it-1.0/PKG-INFO", "it-1.0/a.py", "it-1.0/tests/test_a.py"]
    assert list(differences(packed, ["a.py", "tests/test_a.py"])) == []
    assert list(differences(packed, ["a.py", "docs/a.md"])) == [
        "it has the stray file tests/test_a.py",
        "it lacks docs/a.md",
    ]


def test_what_no_audit_has_looked_at_is_told() -> None:
    packages = [
        {"name": "a", "skip_reason": "a is not known"},
        {"name": "b", "vulns": [{"id": "X-1"}]},
        {"name": "c", "vulns": []},
    ]
    told = (["a is not known"], ["b: [{'id': 'X-1'}]"])
    assert audited(json.dumps({"dependencies": packages})) == told
    assert audited("") == (["the data of known vulnerabilities can't be had here"], [])


def test_a_python_is_found_by_what_the_classifiers_name() -> None:
    found = dict(pythons())
    assert set(found) <= {"3.11", "3.12", "3.13"}
    assert all(Path(python).exists() for python in found.values())
