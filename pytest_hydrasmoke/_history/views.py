"""Write a history to the files that a caller names, and to no report."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import replace
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.run_files import as_json

from .contents import History
from .reports import is_report
from .summary import markdown

STANDARD_OUTPUT = Path("-")


def refuse_reports(views: Mapping[str, Path]) -> None:
    """Raise `ConfigError` where an output file is a report, or is named twice."""
    written = [os.path.realpath(path) for path in views.values()]
    for path in views.values():
        if written.count(os.path.realpath(path)) > 1:
            raise ConfigError(
                f"{_shown(path)} is named twice: one view would overwrite another",
                next_step="name a file of its own for each of --html, --json and --markdown",
            )
        if is_report(path):
            raise ConfigError(
                f"{safe_line(str(path))} is the report of a run", next_step="name another file"
            )


def _shown(path: Path) -> str:
    return "standard output" if path == STANDARD_OUTPUT else safe_line(str(path))


def write(history: History, views: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Write the views that are asked for; raises `ConfigError` for one that can't be written.

    Files are replaced atomically. `say` prints to standard output.
    """
    made: dict[str, Callable[[History], str]] = {
        "html": _page,
        "json": as_json,
        "markdown": markdown,
    }
    for name, path in views.items():
        text = made[name](history)
        if path == STANDARD_OUTPUT:
            say(text.removesuffix("\n"))
            continue
        try:
            _put(path, text)
        except OSError as error:
            raise ConfigError(
                f"{safe_line(str(path))} can't be written: {error.strerror}",
                next_step="name a file that can be, in a folder that is there",
            ) from None


def _page(history: History) -> str:
    # Imported here: it takes time to load.
    from .page import render

    return render(history)


def _put(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        # A pipe or a device can't be replaced.
        path.write_text(text, "utf-8", newline="\n")
        return
    # The target of a link is written, and not the link. Others may read it, like other new files.
    real = Path(os.path.realpath(path))
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else None
    replace(real, text, 0o666)
    if mode is not None:
        real.chmod(mode)
