"""Write a history to the files that a caller names, and to no report."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.files import as_json, replace

from .model import History
from .reading import NoReportError, run_of_file, says_report
from .views import markdown

STANDARD_OUTPUT = Path("-")


def refuse_reports(views: Mapping[str, Path], read: Sequence[Path]) -> None:
    """Raise `ConfigError` where an output file is also an input, or is named twice."""
    written = [os.path.realpath(path) for path in views.values()]
    inputs = [os.path.realpath(path) for path in read]
    for path, real in zip(views.values(), written, strict=True):
        if written.count(real) > 1:
            raise ConfigError(
                f"{safe_line(str(path))} is named twice: one view would overwrite another",
                next_step="name a file of its own for each of --html, --json and --markdown",
            )
        # A new file of such a name would be taken for a report the next time.
        would_be = says_report(Path(real).name) and any(map(Path(real).is_relative_to, inputs))
        if real in inputs or would_be or _is_report(path):
            raise ConfigError(
                f"{safe_line(str(path))} is, or would be, one of the reports that are read",
                next_step="name another file, in another folder or without report in its name",
            )


def _is_report(path: Path) -> bool:
    try:
        run_of_file(path)
    except NoReportError as error:
        return error.ours is True
    except OSError:
        return False
    return True


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
    # The target of a link is written, and not the link.
    real = Path(os.path.realpath(path))
    umask = os.umask(0o077)
    os.umask(umask)
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o666 & ~umask
    replace(real, text)
    # Others may read it, like other new files here.
    real.chmod(mode)
