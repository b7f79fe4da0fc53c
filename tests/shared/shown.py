"""Outputs that the documentation shows: real ones, or the test fails.

In a page, `<!-- shown: NAME -->` stands before a fenced block that holds the output of that name.
With HYDRA_DOCS_REFRESH=1 in the environment, what is there is replaced by what comes out now.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PLAIN_IDS = (
    "3f6c1b2e-8d47-4c0a-9a51-7e2b90d4c618",
    "b81d04a7-52f3-4e9b-8c66-0da95e7714f2",
)
_TRACE = re.compile(r"\b[0-9a-f]{32}\b")
_RUN_ID = re.compile(r"\bsmoke-[0-9a-f]{12}\b")
_URL = re.compile(r"http://127\.0\.0\.1:\d+(/w\d+)?")
_FOLDER = re.compile(r"\bcd \S+ && ")
_RULER = re.compile(r"^([_=-])\1* (.*?) \1+$", re.MULTILINE)


def presentable(text: str) -> str:
    """Take out of an output what is another one each time, and what only this machine has."""
    ids = dict(zip(dict.fromkeys(it[0] for it in _ID.finditer(text)), _PLAIN_IDS, strict=False))
    text = _ID.sub(
        lambda it: ids.get(it[0], _PLAIN_IDS[0]), _URL.sub("https://router.example", text)
    )
    text = _TRACE.sub("4bf92f3577b34da6a3ce929d0e0e4736", text)
    text = _FOLDER.sub("cd /home/me/project && ", text)
    text = _RUN_ID.sub("smoke-5d1c0e9b7a42", text)
    text = _RULER.sub(lambda found: f" {found[2]} ".center(70, found[1]), text)
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def check(page: Path, name: str, output: str) -> None:
    """See that a page shows an output, or make it so."""
    text, new = page.read_text("utf-8"), presentable(output)
    block = re.compile(rf"(?<=<!-- shown: {name} -->\n\n```text\n).*?(?=\n```)", re.DOTALL)
    there = block.search(text)
    assert there is not None, f"{page.name} has no block of the name {name}"
    if os.environ.get("HYDRA_DOCS_REFRESH"):
        page.write_text(text[: there.start()] + new + text[there.end() :], "utf-8")
    else:
        assert timeless(there[0]) == timeless(new), f"{page.name} shows another {name}:\n{new}"


def timeless(text: str) -> str:
    """Take out of an output what depends on how long things took."""
    # How often something was tried is a matter of time as well, and so is which phases took any.
    text = re.sub(r"^\n?(?:instance|\d+ {8,}\w+) .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\d+\.\d+ ?s\b", "0.0 s", text)
    text = re.sub(r"\d+ attempts", "9 attempts", text)
    return re.sub(r"(?<=\S) +", " ", text)


def names(page: Path) -> list[str]:
    """Return the names of a page's blocks, in their order."""
    return re.findall(r"<!-- shown: ([\w-]+) -->", page.read_text("utf-8"))
