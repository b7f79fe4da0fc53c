"""The files that a history is written to, where a caller names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.files import as_json

from . import terminal
from .model import History


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
