"""Write a history to the files that a caller names."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.files import as_json, replace

from . import terminal
from .model import History
from .reading import run_of_file
from .report_files import Kind, NoReportError, says_report

STANDARD_OUTPUT = Path("-")
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def refuse_reports(written: Iterable[Path | None], read: Sequence[Path]) -> None:
    """Raise `ConfigError` where an output file is also an input, or is named twice."""
    seen: set[object] = set()
    for path in filter(None, written):
        key = _identity(path)
        if key in seen:
            raise ConfigError(
                f"{safe_line(str(path))} is named twice: one view would overwrite another",
                next_step="name a file of its own for each of --html, --json and --markdown",
            )
        seen.add(key)
        # A new file of such a name would be taken for a report the next time.
        if _lies_among(path, read) or _is_report(path, read):
            raise ConfigError(
                f"{safe_line(str(path))} is, or would be, one of the reports that are read",
                next_step="name another file, in another folder or without report in its name",
            )


def _identity(path: Path) -> object:
    """Return an identity that is equal for all names of a file."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def _lies_among(path: Path, read: Sequence[Path]) -> bool:
    real = Path(os.path.realpath(path))
    return says_report(real.name) and any(
        real.is_relative_to(os.path.realpath(root)) for root in read
    )


def _is_report(path: Path, read: Sequence[Path]) -> bool:
    if _identity(path) in map(_identity, read):
        return True
    try:
        run_of_file(path)
    except NoReportError as error:
        return error.kind is Kind.OURS
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Views:
    """The output file of each view of a history, if any."""

    html: Path | None
    json: Path | None
    markdown: Path | None


def write(history: History, after: int, views: Views, say: Callable[[str], None]) -> None:
    """Write the requested files; raises `ConfigError` for one that can't be written.

    Files are replaced atomically. `say` prints to standard output.
    """
    made: list[tuple[Path | None, Callable[[], str]]] = [
        (views.html, lambda: _page(history, after)),
        (views.json, lambda: as_json(history)),
        (views.markdown, lambda: terminal.markdown(history, after)),
    ]
    for path, view in made:
        if path == STANDARD_OUTPUT:
            say(view().removesuffix("\n"))
        elif path is not None:
            try:
                _put(path, view())
            except OSError as error:
                raise ConfigError(
                    f"{safe_line(str(path))} can't be written: {error.strerror}",
                    next_step="name a file that can be, in a folder that is there",
                ) from None


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
    with _signals_waiting():
        replace(real, text)
        # Others may read it, like other new files here.
        real.chmod(mode)


@contextmanager
def _signals_waiting() -> Generator[None]:
    """Defer signals that would otherwise leave a temporary file behind."""
    came: list[int] = []
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    old = {one: signal.signal(one, lambda number, frame: came.append(number)) for one in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _page(history: History, after: int) -> str:
    # Imported here: it takes time to load.
    from .page import render

    return render(history, after)
