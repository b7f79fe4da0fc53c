"""What a release is made of, as far as it can be seen without making one (`tox -e release`)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from release_check import HEADINGS, PROJECT, audited, differences, draft_problems, pythons

FRAGMENTS = sorted(
    path for path in (PROJECT / "changelog.d").glob("*.md") if path.name != "README.md"
)
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))

DRAFT = """
### Added

- One thing,
  on two lines.

### Fixed

- Another thing.
"""


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_a_sentence_of_its_kind(fragment: Path) -> None:
    assert re.fullmatch(
        r"(\+[a-z0-9-]+|\d+(\.\d+)?)\.(feature|change|fix|removal)\.md", fragment.name
    )
    text = fragment.read_text("utf-8")
    assert text.rstrip().endswith(".")
    assert "\n\n" not in text.rstrip()


def test_no_fragment_says_what_another_says() -> None:
    texts = [path.read_text("utf-8").split() for path in FRAGMENTS]
    assert len({tuple(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_taken_by_its_hash(workflow: Path) -> None:
    used = re.findall(r"uses: (.+)", workflow.read_text("utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_sdist_has_what_is_tracked_and_nothing_else() -> None:
    packed = ["it-1.0/PKG-INFO", "it-1.0/a.py", "it-1.0/tests/test_a.py"]
    assert list(differences(packed, ["a.py", "tests/test_a.py"])) == []
    assert list(differences(packed, ["a.py", "docs/a.md"])) == [
        "it has the stray file tests/test_a.py",
        "it lacks docs/a.md",
    ]


def test_a_changelog_has_its_headings_in_order_and_tells_everything_once() -> None:
    assert list(draft_problems(DRAFT)) == []
    assert list(draft_problems(DRAFT + "- Another thing.\n- No sentence\n")) == [
        "it tells twice: Another thing.",
        "it tells twice: Another thing.",
        "no sentence: No sentence",
    ]
    assert list(draft_problems("### Fixed\n\n- A.\n\n### Added\n\n- B.\n")) == [
        f"its headings are ['Fixed', 'Added'], and are to be some of {HEADINGS}, in this order"
    ]
    # As it is right after a release.
    assert list(draft_problems("No significant changes.\n")) == []


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
