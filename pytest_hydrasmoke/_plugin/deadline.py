"""The deadline of a run: it ends as by a TERM, early enough to delete what there is.

A runner that kills a job leaves instances behind. So a run that is told how long it may take ends
before that: no test can hold it up, since a signal interrupts whatever it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hydrasmoke._base import clock

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.signals import Interrupts
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig

SPARE = 10.0
"""Seconds for the reports, and for what else ends with the run, beside the deletion."""
AFTERWARDS = 6.0
"""Seconds of these that come after the deletion: xdist gives its workers five."""


def keep_deadline(config: HydraSmokeConfig, interrupts: Interrupts) -> None:
    """Have the run of a main process end some time before its deadline, if it has one."""
    seconds = config.deadline
    if seconds is None:
        return
    kept = min(config.delete_timeout + SPARE, seconds / 2)
    ends = clock.now() + seconds - kept
    why = f"deadline: the run may take {seconds:g} s, and was ended {kept:g} s before that"
    interrupts.end_run_at(
        ends,
        f"{why} to delete what there is: raise it, or see what took so long",
        clean_by=ends + kept - max(kept / 4, min(AFTERWARDS, kept / 2)),
    )
