"""The files that a run leaves; one that can't be written is a line, and changes no outcome."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_hydrasmoke._redact import safe_line
from pytest_hydrasmoke._report import Report

View = Callable[[Report], str]


def as_json(report: Report) -> str:
    """Give `report.json`."""
    return report.model_dump_json(indent=2) + "\n"


_PAGES: Mapping[str, View] = {}


def write(report: Report, folder: Path, *, pages: bool) -> list[str]:
    """Write `report.json`, and with `pages` those for a person; gives a line for each problem."""
    views = {"report.json": as_json, **(_PAGES if pages else {})}
    return list(_written(report, folder, views))


def _written(report: Report, folder: Path, views: Mapping[str, View]) -> Iterator[str]:
    for name, view in views.items():
        try:
            text = view(report)
            folder.mkdir(parents=True, exist_ok=True)
            replace(folder / name, text)
        except Exception as error:
            yield f"{name} was not written: {safe_line(f'{type(error).__name__}: {error}')}"


def replace(path: Path, text: str) -> None:
    """Write a file so that nobody ever finds half of it; for the owner's eyes alone (0600).

    Raises `OSError`, and leaves what was there before.
    """
    # In the same folder: a file can only be renamed within its file system.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
