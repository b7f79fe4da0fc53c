"""The template environment of all pages: templates escape, and the policy allows no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2

from pytest_hydrasmoke._base.text import safe_line, safe_text

from .axis import clock

MOST_TEXT = 40_000
"""The most characters of a single text; no record keeps a longer one."""
TEMPLATES = Path(__file__).parent / "templates"


Filters = Mapping[str, Callable[..., object]]


def environment(folder: Path, filters: Filters) -> jinja2.Environment:
    """Return the environment of a folder's templates, with `filters` beside the common ones."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared: Filters = {"clock": clock, "line": safe_line}
    environment.filters.update({**shared, **filters})
    return environment


def _harmless(value: object) -> object:
    """Make a value safe to read before it is printed; escaping comes after that."""
    if value is None or hasattr(value, "__html__"):  # The output of a macro is safe already.
        return value
    return safe_text(str(value), MOST_TEXT)


def policy(style: str) -> str:
    """Return the policy that allows this one style sheet, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
