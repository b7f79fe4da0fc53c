"""What an output folder tells a sweep: ledgers at risk, and the report of a run without one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.run_keys import run_of
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._transport.target import same_router

from . import folder as run_folder
from . import ledger as ledgers
from . import locks
from .folder import LEDGER, folder_of
from .swept_run import spans

MOST_RUNS = 5
"""How many runs are named."""
_NOTHING_LEFT = frozenset({"deleted", "attached", "unused"})
"""Outcomes of instances that cost nothing any longer, or are not the run's."""


def at_risk(output: Path, run_id: str | None, here: str) -> Iterator[str]:
    """Yield a line for each run of which a ledger still has open keys, the first few runs only.

    With a run id, of that run only; without one, of all runs that are not alive.
    """
    try:
        found = run_folder.all_found(output)
    except ConfigError as error:
        yield error.message
        return
    folders = [
        folder
        for folder, flaw in found.items()
        if flaw is None and (folder.name == run_id if run_id else not _lives(folder))
    ]
    lines = [line for folder in folders if (line := _line(folder, here)) is not None]
    yield from lines[:MOST_RUNS]
    if len(lines) > MOST_RUNS:
        yield f"and {len(lines) - MOST_RUNS} more runs"


def _lives(folder: Path) -> bool:
    try:
        return locks.is_live(folder)
    except OSError:
        return False


def _line(folder: Path, here: str) -> str | None:
    try:
        reading = ledgers.read(folder)
    except OSError:
        return f"run {folder.name}: its ledger can't be read"
    entries = reading.open
    words = [_keys(entries)] if entries else []
    elsewhere = [entry.url for entry in entries if not same_router(entry.url, here)]
    if elsewhere:
        words.append(f"some at {safe_line(elsewhere[0])}")
    if reading.problems:
        words.append("not all of its ledger can be read")
    return f"run {folder.name}: {'; '.join(words)}" if words else None


def _keys(entries: Sequence[KnownInstance]) -> str:
    keys = spans(str(entry.key) for entry in entries)
    ids = [safe_line(entry.id) for entry in entries if entry.id is not None]
    counted = f"{len(entries)} {'key' if len(entries) == 1 else 'keys'} ({safe_line(keys)})"
    if not ids:
        return f"{counted}, no instance known"
    return f"{counted}, {'instance' if len(ids) == 1 else 'instances'} {first_few(ids)}"


# What the report tells


def _report_of(output: Path, run_id: str) -> Report | None:
    try:
        report = Report.model_validate_json((output / "report.json").read_bytes())
    except (OSError, ValueError):
        return None
    return report if report.run_id == run_id else None


def refusal(output: Path, run_id: str) -> str | None:
    """Return why a run has not begun, if its report says so, and it has no ledger.

    Only the router's reasons count: one of the run's own may be what another run has left.
    """
    report = _report_of(output, run_id)
    if report is None or not report.was_refused:
        return None
    return None if os.path.lexists(folder_of(output, run_id) / LEDGER) else report.ended


def settled_keys(output: Path, run_id: str, url: str) -> list[str] | None:
    """Return a run's keys if its report shows that nothing is left of it; None if it does not."""
    report = _report_of(output, run_id)
    if report is None or not same_router(report.url, url) or not report.came_to_its_end:
        return None
    # A boot may go on after its deletion, and a report does not tell for how long.
    well = all(
        one.outcome in _NOTHING_LEFT and (one.id is None or "ready" in one.phases)
        for one in report.instances
    )
    keys = (one.idempotency_key for one in report.instances)
    return [key for key in keys if key is not None and run_of(key) == run_id] if well else None
