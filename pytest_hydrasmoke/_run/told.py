"""What the report of a run, in its output folder, tells a sweep that finds no ledger."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_hydrasmoke._base.run_keys import run_of
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._transport.target import same_router

from .folder import LEDGER, folder_of

_NOTHING_LEFT = frozenset({"deleted", "attached", "unused"})
"""Outcomes of instances that cost nothing any longer, or are not the run's."""


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
