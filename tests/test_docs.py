"""Every Python block of the README and of the documentation runs, against the fake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_BLOCKS = [page for page in PAGES if BLOCK.search(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.name)
def test_python_blocks_pass_on_the_fake(pytester: pytest.Pytester, page: Path) -> None:
    blocks = BLOCK.findall(page.read_text("utf-8"))
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(**{f"test_block_{n}": block for n, block in enumerate(blocks)})
    result = pytester.runpytest_inprocess("--hydra-smoke-fake", "-p", "no:cacheprovider", ".")
    assert result.ret == 0
    # Each block holds one test at least, and none of them is skipped.
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= len(blocks)
    assert set(outcomes) == {"passed"}


def test_the_readme_names_what_a_newcomer_runs() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert ".venv/bin/pytest --hydra-smoke-fake" in readme
    assert ".venv/bin/tox -e py" in readme
