"""The pages are short: how many words they have, and how long their sentences are.

A sentence with more words than a reader keeps in mind is read twice. Blocks of code and headings
are no sentences; a piece of code in a sentence is one word of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import pytest
from blocks import PAGES
from markdown_it import MarkdownIt
from markdown_it.token import Token
from shown import ROOT

MOST, ON_AVERAGE = 25, 15
ALL_WORDS = 25_000
"""Of all pages at the top and below `docs/`, code and tables included, as `wc -w` counts them."""
MARKDOWN = MarkdownIt("commonmark").enable("table")
# Marks of directives, and the mark of a definition: what is between and behind them is text.
_MARKS = re.compile(r"^ *:{3,}.*$|^:(?:\w+:.*| (?=\S))", re.MULTILINE)
_END = re.compile(r"(?<=[.!?])[)*_\"]*\s+(?=[A-Z`(\"“])")


def sentences(text: str) -> Iterator[str]:
    """Yield what a page says, by sentence: of paragraphs, lists and the cells of tables."""
    before = ""
    for token in MARKDOWN.parse(_MARKS.sub("\n", text)):
        if token.type == "inline" and before != "heading_open":
            yield from filter(None, _END.split(" ".join(_said(token.children or []).split())))
        before = token.type


def _said(tokens: list[Token]) -> str:
    said = {"code_inline": "`code`", "softbreak": " ", "hardbreak": " "}
    return "".join(said.get(it.type, it.content if it.type == "text" else "") for it in tokens)


def words(sentence: str) -> int:
    """Return how many words a sentence has: what holds a letter or a digit."""
    return len(re.findall(r"\S*\w\S*", sentence))


@pytest.mark.parametrize("page", PAGES, ids=lambda it: str(it.relative_to(ROOT)))
def test_a_sentence_is_read_once(page: Path) -> None:
    found = [(words(it), it) for it in sentences(page.read_text("utf-8"))]
    told = [f"{many} words: {it}" for many, it in found if many > MOST]
    assert not told, "\n".join(told)
    # A cell of three words says nothing of how a page reads: without its end it is no sentence.
    lengths = [many for many, it in found if it.endswith((".", "!", "?", ":"))]
    assert not lengths or mean(lengths) <= ON_AVERAGE


def test_all_pages_together_are_read_in_an_evening() -> None:
    assert sum(len(it.read_text("utf-8").split()) for it in PAGES) <= ALL_WORDS


def test_a_sentence_is_known_from_what_stands_beside_it() -> None:
    page = """# A heading is no sentence

One (two `three four`). Five
six? [Seven](elsewhere.md) eight.

:::{note}
A note: it has e.g. eight words in it.
:::

`name`
: What it is. A second one.

| a cell | another. Here |
|---|---|
"""
    assert list(sentences(page)) == [
        "One (two `code`).",
        "Five six?",
        "Seven eight.",
        "A note: it has e.g. eight words in it.",
        "`code`",
        "What it is.",
        "A second one.",
        "a cell",
        "another.",
        "Here",
    ]
    assert words("One (two `code`) - 3.") == 4
