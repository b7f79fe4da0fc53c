"""The files that a run leaves; one that can't be written is a line, and changes no outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_hydrasmoke._redact import safe_line
from pytest_hydrasmoke._report import Report


def as_json(report: Report) -> str:
    """Give `report.json`."""
    return report.model_dump_json(indent=2) + "\n"


_PAGES: Mapping[str, Callable[[Report], str]] = {}


def write(report: Report, folder: Path, *, pages: bool) -> list[str]:
    """Write `report.json`, and with `pages` those for a person; gives a line for each problem."""
    views = {"report.json": as_json, **(_PAGES if pages else {})}
    return list(_written(report, folder, views))


def _written(
    report: Report, folder: Path, views: Mapping[str, Callable[[Report], str]]
) -> Iterator[str]:
    for name, view in views.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(view(report), "utf-8")
        except Exception as error:
            yield f"{name} was not written: {safe_line(f'{type(error).__name__}: {error}')}"
