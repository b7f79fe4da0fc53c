"""Every block of the README and of the documentation is carried out, against the fake."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from blocks import PAGES, Block, aimed, blocks, run_shell, stand_ins, write_files
from inner import only
from shown import ROOT, check
from sizes import sampled
from stub_agent import StubAgent, served

from pytest_hydrasmoke._settings.sources import load
from pytest_hydrasmoke.fake import FakeRouter, Scenario

FIRST = ("README.md", "CONTRIBUTING.md")
"""What a newcomer reads: the commands of other pages take seconds, and are for `-m pages`."""
TOKEN = "a-made-up-token-of-the-pages"


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def having(*languages: str) -> list[Path]:
    """Return the pages with blocks in one of these languages."""
    return [page for page in PAGES if any(it.language in languages for it in blocks(page))]


@pytest.fixture
def router() -> Iterator[FakeRouter]:
    with FakeRouter(Scenario(row_after=0, statuses=((0, "running"),)), TOKEN) as served:
        yield served


@pytest.fixture
def settings(router: FakeRouter) -> dict[str, str]:
    """What the reader of a how-to has set before."""
    made_up = {"manifest_id": "hermes-basic", "region_id": "eu-central", "tier_id": "basic"}
    given = {"url": router.url, "token": TOKEN, **made_up}
    return {f"HYDRA_SMOKE_{name.upper()}": value for name, value in given.items()}


def summary(output: str) -> str:
    """Return a run's summary by this plugin; of another command, all it says."""
    ends = re.search(r"^=+ hydra-smoke =+$.*?(?=^=)", output, re.MULTILINE | re.DOTALL)
    return ends[0] if ends else output


def modules(page: Path) -> list[Block]:
    return [it for it in blocks(page) if it.language == "python" and it.mark is None]


@pytest.mark.parametrize("page", [it for it in PAGES if modules(it)], ids=ids)
def test_python_blocks_pass_on_the_fake(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, page: Path
) -> None:
    # Long enough for the fake's rows.
    monkeypatch.setenv("HYDRA_SMOKE_USAGE_SETTLE", "0.5")
    write_files(page, pytester.path)
    found = modules(page)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(**{f"test_block_{it.line}": it.text for it in found})
    # A run of tests that need no switch, with one, would have executed no smoke test.
    switched = any(re.search(r"\bsmoke_(?!fake\b)", it.text) for it in found)
    result = pytester.runpytest_inprocess(
        *only("pytest_asyncio.plugin", "anyio.pytest_plugin"),
        *(["--hydra-smoke-fake"] if switched else []),
        "-p",
        "no:cacheprovider",
        *(f"test_block_{it.line}.py" for it in found),
    )
    assert result.ret == 0
    # Each block holds one test at least, and none of them is skipped.
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= len(found)
    assert set(outcomes) == {"passed"}


WITH_COMMANDS = having("console")
NEWCOMERS = [page for page in WITH_COMMANDS if page.name in FIRST]


@pytest.mark.parametrize("page", sampled("pages", WITH_COMMANDS, NEWCOMERS, name=ids))
def test_commands_do_what_they_are_for(
    page: Path, router: FakeRouter, settings: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    write_files(page, folder)
    found = list(blocks(page))
    consoles = [it for it in found if it.language == "console"]
    assert all(it.commands for it in consoles), "a console block holds commands, each after a `$`"
    with served(StubAgent()) as agent:
        scripts = [aimed(it.commands, router.url, TOKEN, agent.url) for it in consoles]
        outputs = run_shell(scripts, folder, stand_ins(tmp_path / "bin"), settings)
    for console, output in zip(consoles, outputs, strict=True):
        following = found[found.index(console) + 1 :]
        if following and following[0].mark == "shown":
            check(page, following[0].name, summary(output))
    assert all(it.deleted for it in router.instances)


@pytest.mark.parametrize("page", having("toml"), ids=ids)
def test_tables_hold_settings_that_there_are(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", TOKEN)
    for block in blocks(page):
        table = tomllib.loads(block.text) if block.language == "toml" else {}
        if "tool" in table:
            (tmp_path / "pyproject.toml").write_text(block.text, "utf-8")
            load({}, tmp_path, fake=False, required=())


def test_an_output_says_where_it_is_from() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.language != "text" or block.mark == "shown", f"{page}:{block.line}"


def test_the_readme_names_what_a_newcomer_runs() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert 'uvx --with "$OLDPWD" pytest --hydra-smoke-fake' in readme
    assert ".venv/bin/pytest --hydra-smoke-fake" in readme
    assert ".venv/bin/tox -e py" in readme
