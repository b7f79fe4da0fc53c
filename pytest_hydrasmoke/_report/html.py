"""How all pages are made: they load nothing and run nothing.

Every text that a template prints goes through `safe_text` and is escaped, whatever its source. A
page has no script, and its policy allows no style but its own sheets.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2

from pytest_hydrasmoke._base.text import safe_line, safe_text

from .axis import WIDTH, duration, stopwatch

MOST_TEXT = 40_000
"""The most characters of a single text; no story keeps a longer one."""
TEMPLATES = Path(__file__).parent / "templates"
SHEET = TEMPLATES / "report.css"


def fill(template: Path, *sheets: Path, **facts: object) -> str:
    """Return the page of a template: it loads nothing, and has its style sheets within it."""
    style = "".join(sheet.read_text("utf-8") for sheet in sheets)
    page = _environment(template.parent).get_template(template.name, globals={"drawing": WIDTH})
    return page.render(style=style, policy=_policy(style), **facts)


@cache
def _environment(folder: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "stopwatch": stopwatch, "line": safe_line}
    return environment


def _harmless(value: object) -> object:
    """Make a value safe to read before it is printed; escaping comes after that."""
    if value is None or hasattr(value, "__html__"):  # The output of a macro is safe already.
        return value
    return safe_text(str(value), MOST_TEXT)


def _policy(style: str) -> str:
    """Return the policy that allows this one style sheet, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
