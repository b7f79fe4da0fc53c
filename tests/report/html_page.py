"""The page for a person, as a strict HTML parser sees it."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import html5lib

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report.html import page as html


class Page:
    """A page as a strict HTML parser sees it."""

    def __init__(self, report: Report) -> None:
        self.source = html.render(report)
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.root: Element = parser.parse(self.source)
        assert parser.errors == []

    def all(self, tag: str, kind: str | None = None) -> list[Element]:
        # What belongs to a drawing has its namespace before its name.
        found = [it for it in self.root.iter() if it.tag.rpartition("}")[2] == tag]
        return [it for it in found if kind is None or kind in it.get("class", "").split()]

    @property
    def text(self) -> str:
        return self.text_of(self.root.find("body"))

    @staticmethod
    def text_of(element: Element | None) -> str:
        assert element is not None
        return re.sub(r"\s+", " ", "".join(element.itertext())).strip()

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        return [self.text_of(it) for it in self.all(tag, kind)]
