"""Build the parts by which a process takes part in a run, and register them, in this order.

The one module that knows all parts: each takes what it uses, and none knows another.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.errors import hide_frames
from pytest_hydrasmoke._base.pytest_internals import BETWEEN
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._report.github import Annotations
from pytest_hydrasmoke._report.live import Progress
from pytest_hydrasmoke._report.model import Report

from .context import RunContext
from .fixtures import Fixtures
from .needs import Objections, Selection
from .pytest_stage import PytestStage
from .recorder import Recorder
from .recording_end import RecordingEnd
from .refutations import Refutations
from .repeats import RepeatListener, Tally
from .replaying import Replaying, notes
from .report_cleaner import ReportCleaner
from .report_views import Views
from .resources import Resources
from .run_end import RunEnd
from .run_report import Conclusion, RunTold, unseparated
from .running_test import RunningTest
from .session_outcome import SessionOutcome
from .unended import Unended
from .workers import Workers

if TYPE_CHECKING:
    from pytest_hydrasmoke._recordings.store import RecordingStore


class Parts:
    """The parts of one process, as far as pytest's own plugin has to do with them."""

    def __init__(
        self, context: RunContext, *, fixtures: Fixtures, repeats: RepeatListener, replays: bool
    ) -> None:
        self.config = context.config
        self.fixtures = fixtures
        self.repeats = repeats
        self.replays = replays
        """Whether recordings play the router."""


class _Repeats(RepeatListener):
    """Tells the parts of a run of the runs of a test's body."""

    def __init__(self, stage: PytestStage, running_test: RunningTest, unended: Unended) -> None:
        self._stage = stage
        self._running_test = running_test
        self._unended = unended

    def begins(self, tally: Tally) -> None:
        self._stage.begins_repeat(tally.began)
        self.ends(tally)

    def fails(self, test: str, error: BaseException) -> None:
        self._running_test.repeat_failed(error)
        self._unended.forget(test)

    def ends(self, tally: Tally) -> None:
        self._running_test.ran(tally.began, tally.passed, tally.runs)

    def is_over(self) -> None:
        self._stage.repeat = None


def take_part(
    context: RunContext, interrupts: Interrupts, recordings: RecordingStore | None = None
) -> Parts:
    """Take part in a run: the main process may hold a folder that it records into."""
    pytestconfig, router = context.pytestconfig, context.router
    resources = Resources(context, interrupts)
    progress = Progress(pytestconfig, resources.tail, interrupts, context.scrub)
    resources.journal.on_entry = progress.saw
    replaying: Replaying | None = None
    if router is not None and router.scenario.recordings is not None:
        replaying = Replaying(pytestconfig, router)
    refutations = Refutations(
        ledger=resources.ledger, journal=resources.journal, scrub=context.scrub
    )
    stage = PytestStage(context, resources=resources, refutations=refutations, replaying=replaying)
    resources.stage = stage
    resources.replay = None if replaying is None else replaying.replay
    unended = Unended(lambda: stage.owner)
    recorder: Recorder | None = None
    if context.config.record is not None:
        recorder = stage.recorder = Recorder(context, resources=resources, stage=stage)
    selection = Selection(pytestconfig)
    running_test = RunningTest(context, resources=resources, stage=stage, refutations=refutations)
    fixtures = Fixtures(
        context, resources=resources, running_test=running_test, refutations=refutations
    )
    outcome = SessionOutcome(context, resources=resources)
    workers = Workers(
        context,
        resources=resources,
        tape=None if recorder is None else recorder.tape,
        course=None if replaying is None else replaying.course,
    )
    told = RunTold(context, resources=resources, sent=workers.sent)
    views = Views(context, told=told)

    def remarkable(report: Report) -> Iterable[str]:
        if replaying is not None:
            return notes(replaying.course, report.tests, whole=selection.is_whole(report.exit_code))
        continuing = outcome.cases.continuing
        return [] if stage.separates else unseparated(told.story.instances.values(), continuing)

    def finish_recordings(session: pytest.Session) -> None:
        if recorder is not None:
            recorder.finish()
        if recording_end is not None:
            recording_end.write(session)

    run_end = RunEnd(
        context,
        resources=resources,
        told=told,
        views=views,
        conclusion=Conclusion(
            context=context,
            resources=resources,
            told=told,
            cases=outcome.cases,
            ended=outcome.ended,
            unheard=workers.unheard,
            notes=remarkable,
        ),
        workers=workers,
        crashed=outcome.cases.crashed,
        saw_end=outcome.saw_end,
        say=progress.say,
        finish_recordings=finish_recordings,
        release=fixtures.release,
    )
    recording_end: RecordingEnd | None = None
    if recorder is not None and recordings is not None:
        recording_end = RecordingEnd(
            context,
            resources=resources,
            recorder=recorder,
            store=recordings,
            is_whole=selection.is_whole,
            fail=run_end.fail,
        )
    annotations = None
    if context.worker is None and os.environ.get("GITHUB_ACTIONS") == "true":
        annotations = Annotations(
            told.is_smoke_test,
            pytestconfig.rootpath,
            os.environ,
            replies=context.config.report_replies,
            reason=views.reason,
        )
    objections = Objections(context, replaying=replaying is not None, expect=fixtures.expect)
    plugins = {
        "refusal": None if context.elsewhere else objections,
        "replaying": replaying,
        "stage": stage,
        "selection": selection,
        "running-test": running_test,
        # Around the test: what an interrupt breaks off after it has not cut it short.
        "fixtures": fixtures,
        "run-end": run_end,
        "session-outcome": outcome,
        "workers": workers,
        "views": views,
        "recorder": recorder,
        "recording-end": recording_end,
        "annotations": annotations,
        "unended": unended,
        "scrub": ReportCleaner(context.scrub),
        # Registered last, and so the first to end.
        "progress": progress,
    }
    for name, plugin in plugins.items():
        if plugin is not None:
            pytestconfig.pluginmanager.register(plugin, f"hydra-smoke-{name}")
    hide_frames(*BETWEEN)
    return Parts(
        context,
        fixtures=fixtures,
        repeats=_Repeats(stage, running_test, unended),
        replays=replaying is not None,
    )
