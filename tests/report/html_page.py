"""Pages as a strict HTML parser sees them."""

from __future__ import annotations

import base64
import hashlib
import re
from xml.etree.ElementTree import Element

import html5lib


class Page:
    """A page as a strict HTML parser sees it: nothing is loaded or run, no link is dead."""

    def __init__(self, source: str, *links: str) -> None:
        self.source = source
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.root: Element = parser.parse(self.source)
        assert parser.errors == []
        for element in self.root.iter():
            assert element.tag not in ("script", "iframe", "object", "embed", "form", "img")
            for name, value in element.attrib.items():
                assert not name.startswith("on")
                assert name != "style", "the page's own policy would not have it"
                if name in ("src", "href"):
                    assert value.startswith("#") or value in ("data:,", *links)
        assert "url(" not in self.source
        assert "@import" not in self.source
        names = [it.get("id") for it in self.root.iter() if it.get("id")]
        assert len(names) == len(set(names))
        labels = {it.get("aria-labelledby") for it in self.root.iter()} - {None}
        leads = {it.get("href", "")[1:] for it in self.all("a") if it.get("href") not in links}
        assert labels | leads <= set(names)
        [policy] = [it for it in self.all("meta") if it.get("http-equiv")]
        [style] = self.all("style")
        digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
        assert policy.get("http-equiv") == "Content-Security-Policy"
        assert policy.get("content") == (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )

    def all(self, tag: str, kind: str | None = None) -> list[Element]:
        # What belongs to a drawing has its namespace before its name.
        found = [it for it in self.root.iter() if it.tag.rpartition("}")[2] == tag]
        return [it for it in found if kind is None or kind in it.get("class", "").split()]

    @property
    def text(self) -> str:
        return self.text_of(self.root.find("body"))

    @property
    def spaced(self) -> str:
        """Its text, with a blank between any two elements."""
        return " ".join(self.lines.split())

    @property
    def lines(self) -> str:
        """Its text as its source has it in lines, with a blank between any two elements."""
        text = " ".join(self.all("body")[0].itertext())
        return "\n".join(" ".join(it.split()) for it in text.splitlines() if it.strip())

    @staticmethod
    def text_of(element: Element | None) -> str:
        assert element is not None
        return re.sub(r"\s+", " ", "".join(element.itertext())).strip()

    def texts(self, tag: str, kind: str | None = None) -> list[str]:
        return [self.text_of(it) for it in self.all(tag, kind)]
