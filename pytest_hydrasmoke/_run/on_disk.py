"""What an output folder tells a sweep that can't ask the router: which ledgers are at risk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._transport.target import same_router

from . import folder as run_folder
from . import ledger as ledgers
from . import locks
from .swept_run import spans

MOST_RUNS = 5
"""How many runs are named."""


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
