"""Activation: what the options request, whether it is possible, and what to register."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.pytest_internals import (
    hide_frames_of_asyncio,
    session_of,
    worker_input,
)
from pytest_hydrasmoke._options import FAKE, LIVE, SETTINGS, flag, variable

from .bundled_checks import BundledChecks

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.evidence import Forms
    from pytest_hydrasmoke._run.recordings import Recordings
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig
    from pytest_hydrasmoke._settings.sources import Loaded
    from pytest_hydrasmoke.fake import FakeRouter, Scenario

    from .fixtures import Active
    from .stalled_output import StalledOutput

# Calls of pytest that execute no test: they must work without any settings, and change nothing.
_INFO_ONLY = (
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "collectonly",
    "setupplan",
    "cacheshow",
)


def switch_on(config: pytest.Config, *, live: bool, fake: bool) -> Active | None:
    """Register the plugins of the run; return None where pytest only prints information.

    Raises `pytest.UsageError` with everything that is wrong.
    """
    info = [name for name in _INFO_ONLY if config.getoption(name, default=None)]
    if config.getoption("hydra_smoke_plan") and info in ([], ["collectonly"]):
        _plan(config, live=live, fake=fake)
        return None
    if info:
        _collect(config, unasked=True)
        return None
    worker = worker_input(config)
    active: Active | None
    if worker is None:
        active = _main_process(config, live=live, fake=fake)
    else:
        active = _worker_or_none(config, worker)
    if active is not None:
        # They have no recording: only a real router can answer them.
        unasked = active.config.bundled_checks and active.replaying is None
        _collect(config, unasked=unasked)
    return active


def _collect(config: pytest.Config, *, unasked: bool) -> None:
    config.pluginmanager.register(BundledChecks(config, unasked=unasked), "hydra-smoke-checks")


def _load(
    config: pytest.Config, *, live: bool, fake: bool, **how: Collection[str] | None
) -> Loaded:
    """Read the settings; raises `ConfigError` and `pytest.UsageError`."""
    from pytest_hydrasmoke._settings import sources

    if live and fake:
        raise pytest.UsageError(f"{LIVE} and {FAKE} are both given: keep the one you mean")
    if config.getoption("hydra_smoke_token") is not None:
        raise pytest.UsageError(
            f"{flag('token')} would show the token to everybody on this machine: "
            f"set {variable('token')} in the environment, or give {flag('token_file')}"
        )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    here = config.invocation_params.dir
    named = config.args if config.args_source is config.ArgsSource.ARGS else ()
    places = [here / argument.partition("::")[0] for argument in named]
    places = [Path(os.path.abspath(place)) for place in places if place.exists()]
    return sources.load(options, here, fake=fake, places=places, **how)


def _plan(config: pytest.Config, *, live: bool, fake: bool) -> None:
    """Make the run print what its tests need, and nothing else: no router is called."""
    from pytest_hydrasmoke._base.errors import HydraSmokeError
    from pytest_hydrasmoke._settings.model import SPEC

    from .plan import Planner
    from .replay import spec_of

    own: dict[str, Any] = {}
    try:
        loaded = _load(config, live=live, fake=fake, required=None)
        recordings = None if loaded.scenario is None else loaded.scenario.recordings
        if recordings is not None:
            own = spec_of(recordings, given=loaded.sources)
    except HydraSmokeError as error:
        raise pytest.UsageError(str(error)) from None
    settings = loaded.config.model_copy(update=own)
    unset = [name for name in SPEC if getattr(settings, name) is None]
    settings = settings.model_copy(update=dict.fromkeys(unset, "(not set)"))
    replaying = recordings is not None
    planner = Planner(config, settings, loaded.warnings, replaying=replaying)
    config.pluginmanager.register(planner, "hydra-smoke-plan")
    _collect(config, unasked=settings.bundled_checks and not replaying)


def _say_early(words: str) -> None:
    # pytest has no terminal yet: write where its errors go.
    sys.stderr.write(f"hydra-smoke: {words}\n")
    sys.stderr.flush()


def _keep_quiet(words: str) -> None:
    pass


def _main_process(config: pytest.Config, *, live: bool, fake: bool) -> Active:
    from pytest_hydrasmoke._base.errors import HydraSmokeError
    from pytest_hydrasmoke._base.token import scrubbing
    from pytest_hydrasmoke._run.preflight import check_unused, learn
    from pytest_hydrasmoke._run.reaching import Reaching
    from pytest_hydrasmoke._run.recordings import Recordings

    from .replay import AT_ONCE, comes_at_once, serve_stage, spec_of

    router: FakeRouter | None = None
    recordings: Recordings | None = None
    scrub = scrubbing(None)
    try:
        loaded = _load(config, live=live, fake=fake)
        settings = loaded.config
        if fake:
            router = _serve(loaded.scenario)
            settings = settings.model_copy(update=_address_of(router))
            if router.scenario.recordings is not None:
                own: dict[str, Any] = {"url": serve_stage(config, router)}
                own |= spec_of(router.scenario.recordings, given=loaded.sources)
                if comes_at_once(router.scenario):
                    own["usage_settle"] = min(settings.usage_settle, AT_ONCE)
                settings = settings.model_copy(update=own)
        scrub = scrubbing(settings.token)
        # Without the terminal plugin this option does not exist.
        verbosity: int = getattr(config.option, "verbose", -2)
        if verbosity < 0:
            # Without a header they must show now: the summary comes after what is paid for.
            for warning in loaded.warnings:
                _say_early(scrub(f"WARNING: {warning}"))
        quiet = verbosity < -1
        with Reaching(settings.url, _keep_quiet if quiet else _say_early) as reaching:
            if not fake and settings.instance is None:
                check_unused(settings, named="run_id" in loaded.sources, observer=reaching)
            if settings.record is not None:
                recordings = Recordings(settings.record)
                recordings.begin()
            # An attached run deletes nothing, and so has nothing to prove.
            forms = learn(settings, observer=reaching) if settings.instance is None else None
        return _take_part(
            config,
            settings,
            forms,
            loaded=loaded,
            router=router,
            recordings=recordings,
            fake=fake,
            replay=router is not None and router.scenario.recordings is not None,
            at_once=router is not None and comes_at_once(router.scenario),
        )
    except HydraSmokeError as error:
        # The router's own words may contain it too.
        problem = scrub(str(error))
    if router is not None:
        router.__exit__(None, None, None)
    if recordings is not None:
        recordings.end()
    raise pytest.UsageError(problem)


def _worker_or_none(config: pytest.Config, worker: dict[str, Any]) -> Active | None:
    from pytest_hydrasmoke._base.errors import HydraSmokeError

    try:
        return _worker(config, worker)
    except HydraSmokeError as error:
        # An error raised here would be an internal error of xdist, with all its frames.
        config.pluginmanager.register(_Unable(f"{worker['workerid']}: {error}"))
        return None


class _Unable:
    """Ends the run with a message before its first test: a worker can't take part."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        session.shouldfail = self._problem


def _worker(config: pytest.Config, worker: dict[str, Any]) -> Active:
    from pytest_hydrasmoke._base.errors import ConfigError
    from pytest_hydrasmoke._base.evidence import Forms
    from pytest_hydrasmoke._base.run_keys import worker_run_id
    from pytest_hydrasmoke._run.locks import has_main_process
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig

    from .workers import KEY

    given: dict[str, Any] = worker[KEY]
    fake, name = given["fake"], worker["workerid"]
    forms = None if given["forms"] is None else Forms.from_plain(given["forms"])
    settings = HydraSmokeConfig.from_plain(given["settings"])
    if has_main_process(settings.output, settings.run_id):
        return _take_part(
            config,
            settings,
            forms,
            fake=fake,
            replay=given["replay"],
            at_once=given["at_once"],
            reports_as=name,
        )
    if given["replay"]:
        raise ConfigError(
            "recordings are replayed on the host of the run's main process alone",
            next_step="run pytest there, with -n as many as you like",
        )
    # A worker on another host can share nothing with the others: it is a run of its own, with its
    # own instance, ledger and deletions.
    here, there = config.invocation_params.dir, Path(given["folder"])
    own: dict[str, Any] = {"run_id": worker_run_id(settings.run_id, name)}
    for place in ("output", "record"):
        path: Path | None = getattr(settings, place)
        if path is not None and path.is_relative_to(there):
            own[place] = here / path.relative_to(there)
    router = _serve(_scenario(given["scenario"])) if fake else None
    if router is not None:
        own |= _address_of(router)
    settings = settings.model_copy(update=own)
    return _take_part(
        config, settings, forms, fake=fake, router=router, reports_as=name, alone=True
    )


def _scenario(plain: dict[str, Any]) -> Scenario:
    from pytest_hydrasmoke.fake import Scenario

    return Scenario(**plain)


def _serve(scenario: Scenario | None) -> FakeRouter:
    from pytest_hydrasmoke.fake import FakeRouter

    # Until `pytest_unconfigure`, which pytest calls however the run ends.
    return FakeRouter(scenario).__enter__()


def _address_of(router: FakeRouter) -> dict[str, Any]:
    from pytest_hydrasmoke._base.token import Token

    return {"url": router.url, "token": Token(router.token)}


def _take_part(
    config: pytest.Config,
    settings: HydraSmokeConfig,
    forms: Forms | None,
    *,
    fake: bool,
    replay: bool = False,
    at_once: bool = False,
    loaded: Loaded | None = None,
    router: FakeRouter | None = None,
    recordings: Recordings | None = None,
    reports_as: str | None = None,
    alone: bool = False,
) -> Active:
    from pytest_hydrasmoke._base.errors import hide_own_frames
    from pytest_hydrasmoke._base.signals import Interrupts
    from pytest_hydrasmoke._base.token import scrubbing
    from pytest_hydrasmoke._progress.plugin import Progress
    from pytest_hydrasmoke._report import github
    from pytest_hydrasmoke._run.ledger import Ledger
    from pytest_hydrasmoke._run.locks import MAIN

    from .fixtures import Active
    from .plan import Limit
    from .replay import Replaying
    from .report_cleaner import ReportCleaner
    from .session_end import SessionEnd
    from .stalled_output import StalledOutput

    scrub = scrubbing(settings.token)
    ledger = Ledger(settings.output, settings.run_id, fake=fake)
    shares_as = None if alone else reports_as
    ledger.begin(shares_as or MAIN)
    hide_frames_of_asyncio(hide_own_frames)
    interrupts = Interrupts(on_first=lambda number: _stop(config, number, stalled))
    stalled = StalledOutput(interrupts.wake)
    interrupts.install()
    replies = settings.report_replies
    progress = Progress(config, ledger.folder, interrupts, shares_as, scrub=scrub, replies=replies)
    replaying = Replaying(config, settings) if replay else None
    active = Active(
        config,
        settings,
        ledger,
        interrupts,
        forms,
        worker=shares_as,
        replaying=replaying,
        at_once=at_once,
        on_change=progress.changed,
        run_begins=progress.run_begins,
    )
    finish = SessionEnd(
        config,
        active,
        ledger,
        interrupts,
        stalled,
        progress.say,
        loaded=loaded,
        fake=router,
        worker=reports_as is not None,
    )
    if settings.instance is None and not alone:
        # A worker on another host sees only a part of the tests.
        config.pluginmanager.register(
            Limit(config, settings, replaying=replay), "hydra-smoke-limit"
        )
    if replaying is not None:
        config.pluginmanager.register(replaying, "hydra-smoke-replaying")
    config.pluginmanager.register(active.stage, "hydra-smoke-stage")
    config.pluginmanager.register(active.selection, "hydra-smoke-selection")
    config.pluginmanager.register(active, "hydra-smoke-active")
    config.pluginmanager.register(finish, "hydra-smoke-finish")
    config.pluginmanager.register(finish.workers, "hydra-smoke-workers")
    config.pluginmanager.register(finish.views, "hydra-smoke-views")
    if settings.record is not None:
        from pytest_hydrasmoke._run.recordings import Recordings

        from .recorder import Recorder

        # A worker of the run that holds the folder takes turns with the others.
        recordings = recordings or Recordings(settings.record)
        recorder = Recorder(config, active, ledger, recordings, finish.fail)
        active.tape = recorder.tape
        finish.on_closed = recorder.is_over
        config.pluginmanager.register(recorder, "hydra-smoke-recorder")
    annotations = None if reports_as else github.annotating(os.environ)
    if annotations is not None:
        config.pluginmanager.register(annotations, "hydra-smoke-annotations")
    config.pluginmanager.register(ReportCleaner(scrub), "hydra-smoke-scrub")
    # Registered last, and so the first to end.
    config.pluginmanager.register(progress, "hydra-smoke-progress")
    return active


def _stop(config: pytest.Config, number: int, stalled: StalledOutput) -> None:
    stalled.watch()
    # A test that swallows the interrupt is at least the last one.
    session = session_of(config)
    if session is not None:
        session.shouldstop = f"signal {number}"
