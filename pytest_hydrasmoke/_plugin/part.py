"""The part that a process takes in a run: what it knows, and the plugins that it registers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.errors import hide_own_frames
from pytest_hydrasmoke._base.pytest_internals import hide_frames_of_asyncio
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.account import ToCome
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._journal.stories import Tail
from pytest_hydrasmoke._recordings.store import Recordings
from pytest_hydrasmoke._recordings.tape import Tape
from pytest_hydrasmoke._report.github import Annotations
from pytest_hydrasmoke._report.live import Progress
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._run.folder import RECORDED
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.locks import MAIN
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .fixtures import Active
from .needs import limit
from .recorder import Recorder
from .refusal import Refusal
from .replay import Replaying
from .report_cleaner import ReportCleaner
from .session_end import SessionEnd
from .unread_tables import other_tables

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.evidence import Forms
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a process knows of the run in which it takes part."""

    settings: HydraSmokeConfig
    forms: Forms | None
    """The router's own forms; None in a run that deletes nothing."""
    fake: bool
    """Whether the bundled fake is the router."""
    router: FakeRouter | None = None
    """The fake, in a process that serves one."""
    recordings: Recordings | None = None
    """The folder that the main process records into, which it holds."""
    loaded: Loaded | None = None
    """Where the settings came from, in the main process."""
    begun: Report | None = None
    """The run's report as it was at its start, in the main process."""
    table: Path | None = None
    """The file whose table of settings was read."""
    reports_as: str | None = None
    """The name of a worker, which reports to the main process."""
    alone: bool = False
    """Whether a worker is a run of its own: on another host, or where recordings are replayed."""
    beside: Path | None = None
    """The folder of the main process's run, for such a worker on the same host."""

    @property
    def elsewhere(self) -> bool:
        """Whether it is a worker on another host, where it sees only a part of the tests."""
        return self.alone and self.beside is None

    @property
    def shares_as(self) -> str | None:
        """The name of a worker that shares instances with the others."""
        return None if self.alone else self.reports_as


def serve(scenario: Scenario | None) -> FakeRouter:
    """Serve the bundled fake in this process."""
    from pytest_hydrasmoke.fake import FakeRouter

    # Until `pytest_unconfigure`, which pytest calls however the run ends.
    return FakeRouter(scenario).__enter__()


def address_of(router: FakeRouter) -> dict[str, Any]:
    """Return the settings that make a fake the router of a run."""
    return {"url": router.url, "token": Token(router.token)}


def asking(router: FakeRouter) -> ToCome:
    """Return what asks this process's own fake for LLM events to come."""
    from pytest_hydrasmoke.fake.router import to_come

    return partial(to_come, router)


def take_part(config: pytest.Config, part: Part, interrupts: Interrupts) -> Active:
    """Begin this process's part of the run, and register its plugins."""
    settings, router = part.settings, part.router
    is_replay = router is not None and router.scenario.recordings is not None
    scrub = scrubbing(settings.token)
    ledger = Ledger(
        settings.output,
        settings.run_id,
        fake=part.fake,
        commands=settings.commands,
        clean=scrub,
    )
    ledger.begin(part.shares_as or MAIN)
    name = part.reports_as or MAIN
    # One that is a run of its own here writes beside the others, which are read as they write.
    folder = part.beside or ledger.folder
    journal = Journal(folder, name, settings.run_id, scrub, replies=settings.report_replies)
    hide_frames_of_asyncio(hide_own_frames)
    progress = Progress(config, Tail(folder, name), interrupts, scrub)
    journal.on_entry = progress.saw
    active = Active(
        config,
        settings,
        ledger,
        interrupts,
        journal,
        part.forms,
        worker=part.shares_as,
        replaying=None if router is None or not is_replay else Replaying(config, router),
        to_come=None if router is None else asking(router),
    )
    finish = SessionEnd(
        config,
        active,
        ledger,
        interrupts,
        progress.say,
        loaded=part.loaded,
        begun=part.begun,
        fake=part.router,
        worker=part.reports_as is not None,
        alone=part.alone,
    )
    for name, plugin in _plugins(config, part, ledger, active, finish):
        config.pluginmanager.register(plugin, f"hydra-smoke-{name}")
    # Registered last, and so the first to end.
    config.pluginmanager.register(progress, "hydra-smoke-progress")
    return active


def _plugins(
    config: pytest.Config, part: Part, ledger: Ledger, active: Active, finish: SessionEnd
) -> Iterator[tuple[str, object]]:
    """Yield the plugins with their names, in the order of their registration."""
    settings, replaying = part.settings, active.replaying
    if not part.elsewhere:
        reasons = [other_tables(part.table, config.invocation_params.dir)]
        if settings.instance is None:
            reasons.append(limit(settings, replaying=replaying is not None))
        yield "refusal", Refusal(config, reasons)
    if replaying is not None:
        yield "replaying", replaying
    yield "stage", active.stage
    yield "selection", active.selection
    yield "active", active
    yield "failures", active.failures
    yield "finish", finish
    yield "ending", finish.ending
    yield "workers", finish.workers
    yield "views", finish.views
    if settings.record is not None:
        tape = Tape(None if part.elsewhere else ledger.folder / RECORDED)
        recorder = Recorder(config, active, tape, part.recordings, finish.verdict.fail)
        active.on_turn = recorder.on_turn
        finish.on_closed = recorder.finish
        yield "recorder", recorder
    if part.reports_as is None:
        yield "unawaited", finish.unawaited
    if part.reports_as is None and os.environ.get("GITHUB_ACTIONS") == "true":
        yield "annotations", Annotations(finish.is_smoke_test)
    yield "scrub", ReportCleaner(scrubbing(settings.token))
