"""The files that a run leaves; one that can't be written is a line, and changes no outcome."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from pytest_hydrasmoke._base.files import replace
from pytest_hydrasmoke._base.text import safe_line

from .model import Report

View = Callable[[Report], str]
PAGE = "report.html"
"""The page for people."""
FORM = rb'\A\s*\{\s*"schema_version": ?\d+,\s*"run_id": ?"'
"""How a `report.json` begins."""
_OURS = {
    "report.json": FORM,
    PAGE: rb"<title>[^<]*: smoke run ",
}
"""What the first thousand bytes of our files contain: no other file is replaced."""
_ESCAPE = re.compile(r"\\(?:ud[89ab]..\\ud[c-f]..|(?P<half>ud[89a-f]..)|.)")
"""An escape in ASCII JSON: whether it is half a character shows only beside its neighbours."""


def as_json(report: BaseModel) -> str:
    """Return data as JSON in ASCII, which holds no control characters for a terminal."""
    return _disarmed(json.dumps(report.model_dump(mode="json"), indent=2)) + "\n"


def _disarmed(text: str) -> str:
    if r"\ud" in text:
        # No strict reader takes half a character.
        text = _ESCAPE.sub(lambda it: r"\ufffd" if it["half"] else it[0], text)
    # In ASCII JSON both occur only in strings, where an escape means the same character.
    return text.replace("\x7f", "\\u007f").replace("#", "\\u0023")


def as_html(report: Report) -> str:
    """Return `report.html`."""
    # Imported here: it takes time to load, which a run without a page saves.
    from . import page

    return page.render(report)


def begin(report: Report, folder: Path) -> None:
    """Write the `report.json` of a run that begins, in the place of an earlier run's files.

    Where it can't be written, the earlier one is removed: it would be taken for this run's.
    """
    unwritten = dict(_unwritten(report, folder, {"report.json": as_json}))
    for name in (*unwritten, PAGE):
        # The report at the run's end has the same problem, and tells it.
        list(_removed(folder / name))


def write(report: Report, folder: Path, *, page: bool) -> list[str]:
    """Write `report.json`, and with `page` the page for people; return a line per problem.

    An earlier run's page that is not replaced is removed: it would be taken for this run's.
    """
    views: dict[str, View] = {"report.json": as_json}
    if page:
        views[PAGE] = as_html
    unwritten = dict(_unwritten(report, folder, views))
    problems = list(unwritten.values())
    if PAGE not in views or PAGE in unwritten:
        problems += _removed(folder / PAGE)
    return problems


def _unwritten(
    report: Report, folder: Path, views: Mapping[str, View]
) -> Iterator[tuple[str, str]]:
    """Write the views; yield the name of each that can't be written, with a line that says why."""
    for name, view in views.items():
        try:
            text = view(report)
            folder.mkdir(parents=True, exist_ok=True)
            if _is_anothers(folder / name):
                raise FileExistsError(errno.EEXIST, "a file of another tool has this name")
            replace(folder / name, text)
        except Exception as error:
            yield name, f"{name} was not written: {_why(error, folder)}"


def _removed(path: Path) -> Iterator[str]:
    """Remove an earlier run's file; yield a line if that fails."""
    try:
        if path.is_file() and not path.is_symlink() and not _is_anothers(path):
            path.unlink(missing_ok=True)
    except OSError as error:
        yield f"{path.name} of an earlier run is still there: {_why(error, path.parent)}"


def _is_anothers(path: Path) -> bool:
    # A link is replaced, not followed: its target stays as it is.
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as file:
        return re.search(_OURS[path.name], file.read(1000)) is None


def _why(error: Exception, folder: Path) -> str:
    if isinstance(error, OSError) and error.strerror:
        return safe_line(f"{error.strerror} ({folder})")
    return safe_line(f"{type(error).__name__}: {error}")
