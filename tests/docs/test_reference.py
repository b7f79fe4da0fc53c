"""Nothing public is missing from the reference, and no room from the architecture."""

from __future__ import annotations

import importlib.util
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import diagram
import generated
import pytest
import states
from blocks import PAGES
from described import described
from heavy import PARTS
from shown import ROOT

import pytest_hydrasmoke
from pytest_hydrasmoke import HydraSmokeConfig, _hookspecs, plugin
from pytest_hydrasmoke._journal.states import TRANSITIONS
from pytest_hydrasmoke._settings import config

REFERENCE = {it.name: it.read_text("utf-8") for it in (ROOT / "docs" / "reference").glob("*.md")}
ALL = "\n".join(REFERENCE.values())
ERRORS = {
    name
    for name in pytest_hydrasmoke.__all__
    if isinstance(it := getattr(pytest_hydrasmoke, name), type) and issubclass(it, Exception)
}


def test_every_public_name_has_its_place() -> None:
    page = REFERENCE["api.md"]
    for name in set(pytest_hydrasmoke.__all__) - ERRORS:
        home = getattr(pytest_hydrasmoke, name).__module__
        by_itself = re.search(rf"\.{name}$", page, re.MULTILINE)
        with_its_home = f"automodule:: {home}\n" in page
        assert by_itself or with_its_home or f"`{name}`" in page, name


def test_what_sphinx_generates_is_asked_for() -> None:
    page = REFERENCE["api.md"]
    assert "```{read-off} errors\n" in page
    assert "```{read-off} hooks\n" in page
    told = "\n".join(generated.errors())
    assert [it for it in ERRORS if f":: pytest_hydrasmoke.{it}\n" not in told] == []
    told = "\n".join(generated.hooks())
    hooks = [it for it in vars(_hookspecs) if it.startswith("pytest_")]
    assert [it for it in hooks if f":: {it}(" not in told] == []


@pytest.mark.parametrize("name", generated.LISTS)
def test_lists_are_up_to_date(name: str) -> None:
    # On one page: as text between marks, or by a directive.
    marks = (f"<!-- generated: {name} -->\n", f"```{{read-off}} {name}\n")
    texts = {it: it.read_text("utf-8") for it in PAGES}
    [page] = [it for it, text in texts.items() for mark in marks for _ in range(text.count(mark))]
    now = generated.up_to_date(texts[page])
    if os.environ.get("HYDRA_DOCS_REFRESH"):
        page.write_text(now, "utf-8")
    else:
        assert texts[page] == now


def test_every_check_is_described_and_no_other() -> None:
    files = (ROOT / "pytest_hydrasmoke" / "checks").glob("test_*.py")
    texts = {file.name: file.read_text("utf-8") for file in files}
    there = {name for text in texts.values() for name in re.findall(r"^def (test_\w+)", text, re.M)}
    page = REFERENCE["checks.md"]
    assert set(re.findall(r"`(test_\w+)`", page)) == there
    assert set(re.findall(r"^## `(\w+\.py)`", page, re.M)) == texts.keys()


def test_every_setting_says_what_it_is() -> None:
    names = [name for name, _, words in described(config, "HydraSmokeConfig") if words]
    assert names == [*HydraSmokeConfig.model_fields]


@pytest.mark.parametrize("command", ["check", "sweep", "fake", "history"])
def test_every_command_and_its_options_are_described(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from pytest_hydrasmoke._cli.main import main

    with pytest.raises(SystemExit):
        main([command, "--help"])
    page = REFERENCE["command-line.md"]
    assert f"`hydra-smoke {command}" in page
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert [it for it in options if it not in page] == []


def test_every_folder_has_a_row() -> None:
    assert set(diagram.graph()) == set(diagram.allowed())


def test_a_module_imports_what_its_folder_may() -> None:
    told = [words for file in sorted(diagram.HOME.rglob("*.py")) for words in strays(file)]
    assert not told, "\n".join(told)


def strays(file: Path) -> Iterator[str]:
    """Yield what a module imports and its folder may not."""
    folder = diagram.folder_of(file)
    if folder == "__init__" or file.parent.name == "fake":
        return
    may, belongs = diagram.allowed()[folder]
    everywhere = frozenset() if folder in ("_sse", "checks") else diagram.EVERYWHERE
    for needed in diagram.imports(file) - may - everywhere - {folder}:
        there = diagram.allowed()[needed][1]
        yield (
            f"{file.name} imports of {needed}, which {folder} may not: {folder} has {belongs}; "
            f"{needed} has {there}. Move what needs it to {needed} or above, or hand it in."
        )


def test_no_folder_needs_itself() -> None:
    assert diagram.floors(diagram.graph())  # It raises of a circle.


def test_the_picture_is_made_from_the_imports() -> None:
    # Known of old: the plugin switches things on, and the fake needs but a clock.
    needs = diagram.drawn()
    assert "_plugin" in needs["plugin"]
    assert needs["fake"] == {"_base"}
    drawing = ET.fromstring(diagram.svg())
    boxes = [it for it in drawing if it.tag.endswith("rect")]
    assert len(boxes) == len(needs)


def test_the_picture_of_states_has_a_dot_for_each_step() -> None:
    drawing = ET.fromstring(states.svg())
    dots = [it[0].text for it in drawing if it.tag.endswith("circle")]
    steps = [f"{before} → {after}" for before, those in TRANSITIONS.items() for after in those]
    assert sorted(map(str, dots)) == sorted(steps)


def test_every_environment_and_part_is_described_and_no_other_is_named() -> None:
    tox = (ROOT / "tox.ini").read_text("utf-8")
    there = {"py", "pytest84", *re.findall(r"^\[testenv:([\w-]+)\]", tox, re.M)}
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = "\n".join(re.findall(r"^\| (`.*?) \|", contributing, re.M))
    assert set(re.findall(r"`(\w+)`", rows)) == there | PARTS.keys()
    for text in (page.read_text("utf-8") for page in PAGES):
        assert set(re.findall(r"tox -e ([a-z]\w*)", text)) <= there
        assert set(re.findall(r"tox -e heavy -- (\w+)", text)) <= PARTS.keys()


LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for file, anchor in LINK.findall(page.read_text("utf-8")):
            there = page.parent / file if file else page
            assert there.exists(), f"{page}: {file}"
            assert not anchor or anchor in anchors(there), f"{page}: {file}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the documentation make them."""
    titles = re.findall(r"^##? (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in titles}


def test_options_and_variables_on_a_page_exist() -> None:
    options = Options()
    plugin.pytest_addoption(options)
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in re.findall(r"\bHYDRA_SMOKE_([A-Z_]+[A-Z])\b", text):
            assert name.lower() in HydraSmokeConfig.model_fields, f"{page}: {name}"
        assert set(re.findall(r"--hydra-smoke(?:-[a-z]+)*", text)) <= options.names, page


class Options:
    """Stands in for pytest's parser: it writes down which options a plugin adds."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def getgroup(self, name: str, description: str) -> Options:
        return self

    def addoption(self, *names: str, **how: object) -> None:
        self.names.update(names)


def test_modules_that_the_architecture_names_exist() -> None:
    page = (ROOT / "docs" / "reference" / "architecture.md").read_text("utf-8")
    for name in re.findall(r"`((?:\w+/)+[\w-]*(?:\.\w+)*)`", page):
        assert is_in_the_package(name), name


def is_in_the_package(name: str) -> bool:
    """Return whether a folder, `folder/module.py` or `folder/module.Name.attribute` is there."""
    if (diagram.HOME / name).exists() or (ROOT / name).exists():
        return True
    folder, _, rest = name.rpartition("/")
    module, *attributes = rest.split(".")
    home = ".".join((diagram.HOME.name, *folder.split("/"), module))
    if importlib.util.find_spec(home) is None:
        return False
    found: object = importlib.import_module(home)
    return all((found := getattr(found, it, None)) is not None for it in attributes)
