"""The files that a history is written to, where a caller names them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.files import as_json

from . import terminal
from .model import History
from .reading import may_be_report, report_files


def refuse_reports(written: Iterable[Path | None], read: Sequence[Path]) -> None:
    """Raise `ConfigError` where a file to write is one that is read, or is named twice."""
    seen: set[object] = set()
    for path in filter(None, written):
        key = _identity(path)
        if key in seen:
            raise ConfigError(
                f"{safe_line(str(path))} is named twice: one view would overwrite another",
                next_step="name a file of its own for each of --html, --json and --markdown",
            )
        seen.add(key)
        # A file that is not there yet would be read the next time.
        if _lies_among(path, read) or key in map(_identity, report_files(read, [])):
            raise ConfigError(
                f"{safe_line(str(path))} is, or would be, one of the reports that are read",
                next_step="name another file, in another folder or not report*.json",
            )


def _identity(path: Path) -> object:
    """Return what is the same for all names of a file."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _lies_among(path: Path, read: Sequence[Path]) -> bool:
    real = Path(os.path.realpath(path))
    return may_be_report(real.name) and any(
        real.is_relative_to(os.path.realpath(it)) for it in read
    )


def write(
    history: History,
    after: int,
    *,
    html: Path | None,
    json: Path | None,
    markdown: Path | None,
) -> None:
    """Write what is asked for; raises `ConfigError` for what can't be written."""
    views: list[tuple[Path | None, Callable[[], str]]] = [
        (html, lambda: _page(history, after)),
        (json, lambda: as_json(history)),
        (markdown, lambda: terminal.markdown(history, after)),
    ]
    for path, view in views:
        if path is None:
            continue
        try:
            # Not by a new file in its place: it may be a pipeline's summary, or standard output.
            path.write_text(view(), "utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(
                f"{safe_line(str(path))} can't be written: {error.strerror}",
                next_step="name a file in a folder that is there",
            ) from None


def _page(history: History, after: int) -> str:
    # What it is made with takes time to load.
    from .page import render

    return render(history, after)
