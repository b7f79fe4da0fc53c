"""The part that a process takes in a run: the plugins that it registers."""

from __future__ import annotations

import os
from collections.abc import Iterator

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.pytest_internals import hide_frames_of_others
from pytest_hydrasmoke._recordings.tape import Tape
from pytest_hydrasmoke._report.github import Annotations
from pytest_hydrasmoke._run.folder import RECORDED

from .needs import Objections
from .process import Process
from .recorder import Recorder
from .report_cleaner import ReportCleaner
from .run_end import RunEnd


def take_part(process: Process) -> None:
    """Register the plugins of a process."""
    hide_frames_of_others(hide_own_frames)
    for name, plugin in _plugins(process):
        process.pytestconfig.pluginmanager.register(plugin, f"hydra-smoke-{name}")


def _plugins(process: Process) -> Iterator[tuple[str, object]]:
    """Yield the plugins with their names, in the order of their registration."""
    ending = RunEnd(process)
    if not process.elsewhere:
        yield "refusal", Objections(process)
    if process.replaying is not None:
        yield "replaying", process.replaying
    yield "stage", process.stage
    yield "selection", process.selection
    yield "process", process
    yield "outcomes", process.running_test
    yield "ending", ending
    yield "seen", ending.seen
    yield "workers", ending.workers
    yield "views", ending.views
    if process.config.record is not None:
        tape = Tape(None if process.elsewhere else process.ledger.folder / RECORDED)
        recorder = Recorder(process.pytestconfig, process, tape, process.recordings, ending.fail)
        process.stage.recorder = recorder
        yield "recorder", recorder
    if process.worker is None and os.environ.get("GITHUB_ACTIONS") == "true":
        root = process.pytestconfig.rootpath
        yield (
            "annotations",
            Annotations(
                ending.told.is_smoke_test,
                root,
                os.environ,
                replies=process.config.report_replies,
                reason=ending.reason,
            ),
        )
    yield "scrub", ReportCleaner(process.scrub)
    # Registered last, and so the first to end.
    yield "progress", process.progress
