"""One process of a run: what it knows and owns, and the plugins by which it takes part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._base.errors import hide_frames
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.forks import generation
from pytest_hydrasmoke._base.pytest_internals import BETWEEN
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._journal.journal import Journal, Tail
from pytest_hydrasmoke._report.github import Annotations
from pytest_hydrasmoke._report.live import Progress
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.locks import MAIN
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._settings.config import HydraSmokeConfig

from .fixtures import Fixtures
from .needs import Objections, Selection
from .pytest_stage import PytestStage
from .recorder import Recorder
from .recording_end import RecordingEnd
from .replaying import Replaying
from .report_cleaner import ReportCleaner
from .report_views import Views
from .run_end import RunEnd
from .run_report import RunTold
from .running_test import RunningTest
from .session_outcome import SessionOutcome
from .unended import Unended
from .workers import Workers

if TYPE_CHECKING:
    from pytest_hydrasmoke._recordings.store import RecordingStore
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter


@dataclass(kw_only=True, eq=False, repr=False)
class Process:
    """A process that takes part in a run: one object for all of its plugins."""

    pytestconfig: pytest.Config
    config: HydraSmokeConfig
    interrupts: Interrupts
    absent: Absent
    """How the router answered, before the run, for what does not exist."""
    fake: bool
    """Whether the bundled fake is the router."""
    router: FakeRouter | None = None
    """The fake, in a process that serves one."""
    table: Path | None = None
    """The file whose table of settings was read."""
    # In the main process.
    recordings: RecordingStore | None = None
    """The folder that the run records into, which the main process holds."""
    loaded: Loaded | None = None
    """Where the settings came from."""
    begun: Report | None = None
    """The run's report as it was at its start."""
    # In a worker of xdist.
    worker: str | None = None
    """Its name."""
    alone: bool = False
    """Whether it is a run of its own: on another host, or where recordings are replayed."""
    lag: float | None = None
    """How late rows are at the main process's fake, where that is known."""
    beside: Path | None = None
    """The folder of the main process's run, where it is alone on the same host."""

    def __post_init__(self) -> None:
        self._generation = generation()
        config, router = self.config, self.router
        self.scrub = scrubbing(config.token)
        run_id, replies = config.run_id, config.report_replies
        self.ledger = Ledger(
            config.output, run_id, fake=self.fake, commands=config.commands, clean=self.scrub
        )
        self.ledger.begin(self.shares_as)
        name = self.worker or MAIN
        # One that is a run of its own here writes beside the others, which are read as they write.
        folder = self.beside or self.ledger.folder
        self.journal = Journal(folder, name, run_id, self.scrub, replies=replies)
        self.progress = Progress(self.pytestconfig, Tail(folder, name), self.interrupts, self.scrub)
        self.journal.on_entry = self.progress.saw
        self.replaying: Replaying | None = None
        if router is not None and router.scenario.recordings is not None:
            self.replaying = Replaying(self.pytestconfig, router)
        self.stage = PytestStage(self)
        self.unended = Unended(self.stage)
        self.recorder = None if config.record is None else Recorder(self)
        self.recording_end: RecordingEnd | None = None
        if self.recorder is not None and self.recordings is not None:
            self.recording_end = RecordingEnd(self, self.recorder, self.recordings)
        self.selection = Selection(self.pytestconfig)
        """Whether the run covers all tests."""
        self.running_test = RunningTest(self)
        self.fixtures = Fixtures(self)
        self.session_outcome = SessionOutcome(self)
        self.workers = Workers(self)
        self.told = RunTold(self)
        self.views = Views(self)
        self.run_end = RunEnd(self)

    @property
    def elsewhere(self) -> bool:
        """Whether it is a worker on another host, where it sees only a part of the tests."""
        return self.alone and self.beside is None

    @property
    def is_owner(self) -> bool:
        """Whether it looks after all instances of its run: not a worker that shares it."""
        return self.shares_as == MAIN

    @property
    def shares_as(self) -> str:
        """Its name among those that share instances."""
        return MAIN if self.alone else self.worker or MAIN

    @property
    def forked(self) -> bool:
        """Whether this is a child forked by a test, which takes no part in the run."""
        return generation() != self._generation

    @cached_property
    def run(self) -> Run:
        """What this process owns; created at first use, when all hooks are known."""
        run = Run(
            self.config,
            self.ledger,
            self.interrupts,
            self.reading,
            self.stage,
            absent=self.absent,
            replay=None if self.replaying is None else self.replaying.replay,
            journal=self.journal,
        )
        self.running_test.instances = run.instances
        if self.router is not None:
            from pytest_hydrasmoke.fake.router import to_come

            run.policy.router.to_come = partial(to_come, self.router)
        run.policy.router.lag = self.lag
        return run

    @cached_property
    def reading(self) -> Reading:
        """How events are understood: calls the hooks only if a plugin implements them."""
        hook = self.pytestconfig.hook
        text, end = hook.pytest_hydra_smoke_chat_text, hook.pytest_hydra_smoke_chat_end
        return Reading(
            (lambda event: text(event=event)) if text.get_hookimpls() else None,
            (lambda event: end(event=event)) if end.get_hookimpls() else None,
            self.config.report_replies,
        )

    def end(self) -> None:
        """Let go of all that this process holds, as the last thing in a run."""
        self.fixtures.release()
        if self.is_owner:
            self.journal.discard(self.ledger.folder)
        self.ledger.end()
        self.interrupts.leave()
        if self.router is not None:
            self.router.__exit__(None, None, None)

    def take_part(self) -> None:
        """Register this process's plugins, in this order."""
        annotations = None
        if self.worker is None and os.environ.get("GITHUB_ACTIONS") == "true":
            annotations = Annotations(
                self.told.is_smoke_test,
                self.pytestconfig.rootpath,
                os.environ,
                replies=self.config.report_replies,
                reason=self.views.reason,
            )
        plugins = {
            "refusal": None if self.elsewhere else Objections(self),
            "replaying": self.replaying,
            "stage": self.stage,
            "selection": self.selection,
            "running-test": self.running_test,
            # Around the test: what an interrupt breaks off after it has not cut it short.
            "fixtures": self.fixtures,
            "run-end": self.run_end,
            "session-outcome": self.session_outcome,
            "workers": self.workers,
            "views": self.views,
            "recorder": self.recorder,
            "recording-end": self.recording_end,
            "annotations": annotations,
            "unended": self.unended,
            "scrub": ReportCleaner(self.scrub),
            # Registered last, and so the first to end.
            "progress": self.progress,
        }
        for name, plugin in plugins.items():
            if plugin is not None:
                self.pytestconfig.pluginmanager.register(plugin, f"hydra-smoke-{name}")
        hide_frames(*BETWEEN)
