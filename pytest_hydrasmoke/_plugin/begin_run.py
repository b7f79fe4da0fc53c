"""How a process begins its part in a run: the main process, and a worker of xdist.

The main process reads the settings, serves the fake, and checks the router before the first test.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError, UnauthorizedError
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.pytest_internals import ini_names, worker_output
from pytest_hydrasmoke._base.text import aside, safe_line
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._options import FAKE, LIVE, SECRETS, SETTINGS, TABLE, flag, variable
from pytest_hydrasmoke._recordings.store import RecordingStore
from pytest_hydrasmoke._report import github, run_files
from pytest_hydrasmoke._report.model import NOT_ENDED, PREFLIGHT, REFUSED, Report
from pytest_hydrasmoke._report.pipeline import pipeline_of
from pytest_hydrasmoke._run.folder import make_output
from pytest_hydrasmoke._run.preflight import WaitingAloud, check_unused, learn
from pytest_hydrasmoke._settings import sources
from pytest_hydrasmoke._settings.config import SPEC, HydraSmokeConfig
from pytest_hydrasmoke._settings.sources import Loaded
from pytest_hydrasmoke._settings.variables import where_from

from .compose import Parts, take_part
from .context import RunContext
from .fakes import address_of, stand_before_agent
from .report_cleaner import cleaned
from .workers import KEY, received

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.signals import Interrupts
    from pytest_hydrasmoke.fake import FakeRouter


def read_settings(config: pytest.Config, *, fake: bool) -> Loaded:
    """Read the settings; raises `ConfigError` and `pytest.UsageError`."""
    for name in SECRETS:
        if config.getoption(f"hydra_smoke_{name}") is not None:
            file = f", or give {flag('token_file')}" if name == "token" else ""
            raise pytest.UsageError(
                f"{flag(name)} would show the token to everybody on this machine: "
                f"set {variable(name)} in the environment{file}"
            )
    if config.getoption("forked", False):
        raise pytest.UsageError(
            "--forked (pytest-forked) runs each test in a child process, which can't use the "
            "instances of the run: leave it out, or give -n 2 (pytest-xdist) in its place"
        )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    here = config.invocation_params.dir
    # Without arguments and `testpaths`, pytest's only argument is the folder where it is called.
    named = () if config.args_source is config.ArgsSource.INVOCATION_DIR else config.args
    places = [_place(here, argument.partition("::")[0]) for argument in named]
    places = [place for place in places if os.path.exists(place)]
    loaded = sources.load(options, here, fake=fake, places=places)
    loaded = replace(loaded, warnings=(*loaded.warnings, *_of_no_effect(config, fake=fake)))
    # Whatever else is wrong with the value is more important.
    if (problem := _moved_rootdir(config)) is not None:
        raise pytest.UsageError(problem)
    return loaded


def _of_no_effect(config: pytest.Config, *, fake: bool) -> Iterator[str]:
    """Yield a warning for what pytest's own configuration has for this plugin, and is not used."""
    used, other = (FAKE, LIVE) if fake else (LIVE, FAKE)
    if other in config.getini("addopts"):
        yield f"{other} of addopts is left out, as {used} is on the command line"
    for name in ini_names(config):
        setting = name.lower().replace("-", "_").removeprefix("hydra_smoke_")
        if name.lower().replace("-", "_").startswith("hydra_smoke"):
            yield (
                f"{name} in {config.inipath} has no effect: set {variable(setting)}, or "
                f"{setting} in [{TABLE}] of pyproject.toml"
            )


def _moved_rootdir(config: pytest.Config) -> str | None:
    """Return what is wrong where the value of an option has moved pytest's rootdir.

    pytest looks for it before it knows a plugin's options: it takes a value that stands alone, and
    is a path, for one of tests. Tests then have other names than those of their recordings, and the
    project's configuration is not read.
    """
    here, root = config.invocation_params.dir, config.rootpath
    tests = [_place(here, argument.partition("::")[0]) for argument in config.args]
    outside = [place for place in tests if not place.is_relative_to(here)]
    if config.inipath is not None or root == here or outside or not here.is_relative_to(root):
        return None
    ours = {flag(name) for name in SETTINGS}
    for option, value in itertools.pairwise(map(str, config.invocation_params.args)):
        place = _place(here, value)
        if option in ours and os.path.exists(place) and not place.is_relative_to(here):
            return (
                f"{option} {value} makes {root} pytest's rootdir, which changes the names of "
                f"tests: write {option}={value}"
            )
    return None


def _place(here: Path, argument: str) -> Path:
    return Path(os.path.abspath(here / argument))


SPARE = 10.0
"""Seconds for the reports, and for what else ends with the run, beside the deletion."""
AFTERWARDS = 6.0
"""Seconds of these that come after the deletion: xdist gives its workers five."""


def begin_run(config: pytest.Config, interrupts: Interrupts, *, fake: bool) -> Parts:
    """Begin a run; raises `pytest.UsageError` with everything that is wrong."""
    try:
        loaded = read_settings(config, fake=fake)
    except ConfigError as error:
        raise _refused(error) from None
    settings, router, recordings = loaded.config, None, None
    _keep_deadline(settings, interrupts)
    with ExitStack() as undo:
        if fake:
            from pytest_hydrasmoke.fake import FakeRouter

            # Until `Resources.end`, which is called however the run ends.
            router = undo.enter_context(FakeRouter(loaded.scenario))
            settings = settings.model_copy(update=_of_the_fake(router, loaded))
        # From here on there is no other run's report in its place.
        begun = _begun(settings, router)
        _write(begun, settings.output)
        try:
            if settings.record is not None:
                recordings = RecordingStore(settings.record)
                undo.callback(recordings.end)
            settings, absent = _check_router(config, settings, loaded, recordings, router)
            # A signal waits for the plugins that end what begins here.
            with interrupts.hold():
                context = RunContext(
                    pytestconfig=config,
                    config=settings,
                    absent=absent,
                    fake=fake,
                    router=router,
                    table=loaded.file,
                    loaded=loaded,
                    begun=begun,
                )
                parts = take_part(context, interrupts, recordings)
                undo.pop_all()
            return parts
        except HydraSmokeError as error:
            raise _refused(error, loaded, settings, begun) from None


def _of_the_fake(router: FakeRouter, loaded: Loaded) -> dict[str, Any]:
    """Return the settings that a fake has its own of."""
    recordings = router.scenario.recordings
    known: Mapping[str, str] = {} if recordings is None else recordings.spec
    spec = {it: known[it] for it in SPEC if it in known and it not in loaded.sources}
    return {**address_of(router), **spec}


def _refused(
    error: HydraSmokeError,
    loaded: Loaded | None = None,
    settings: HydraSmokeConfig | None = None,
    begun: Report | None = None,
) -> pytest.UsageError:
    """Return a refusal for pytest, once the report, if there is one, and GitHub have it."""
    words = str(error)
    if isinstance(error, UnauthorizedError) and loaded is not None:
        words += f"\n  token:     {where_from(loaded.sources)}, at {loaded.config.url}"
    # The router's own words may contain the token too.
    problem = scrubbing(None if settings is None else settings.token)(words)
    if begun is not None and settings is not None:
        by = REFUSED if isinstance(error, ConfigError) else f"{REFUSED}: {PREFLIGHT}"
        ended = f"{by}: {safe_line(problem, 500)}"
        facts = {"exit_code": int(pytest.ExitCode.USAGE_ERROR), "ended": ended}
        _write(begun.model_copy(update=facts), settings.output)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        with suppress(OSError):
            github.append_refusal(problem, os.environ)
        aside(github.annotation("hydra-smoke was refused", problem))
    return pytest.UsageError(problem)


def _keep_deadline(config: HydraSmokeConfig, interrupts: Interrupts) -> None:
    """Have a run with a deadline end as by a TERM, early enough to delete what there is.

    A runner that kills a job leaves instances behind. No test can hold the end up, since a signal
    interrupts whatever it does.
    """
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


def _begun(settings: HydraSmokeConfig, router: FakeRouter | None) -> Report:
    """Return the report of a run that has done nothing yet, and is red until it has ended."""
    recordings = None if router is None else router.scenario.recordings
    begun = Report(
        run_id=settings.run_id,
        fake=router is not None,
        replaying=None if recordings is None else recordings.in_words,
        agent=None if router is None else settings.agent_url,
        url=settings.url or "",
        began=datetime.now(UTC),
        seconds=0.0,
        trace_id=settings.trace.id,
        trace_url=None if settings.trace_url is None else settings.trace.shown,
        pipeline=pipeline_of(os.environ, settings.group, settings.run_id),
        exit_code=pytest.ExitCode.TESTS_FAILED,
        ended=NOT_ENDED,
        instances=(),
        budgets=settings.budgets,
    )
    report: Report = cleaned(begun, scrubbing(settings.token))
    return report


def _write(report: Report, output: Path) -> None:
    """Write the report before the run begins; no problem with it stops the run."""
    with suppress(OSError):
        make_output(output)
    run_files.begin(report, output)


def _check_router(
    config: pytest.Config,
    settings: HydraSmokeConfig,
    loaded: Loaded,
    recordings: RecordingStore | None,
    router: FakeRouter | None,
) -> tuple[HydraSmokeConfig, Absent]:
    """Check router and agent before the first test; return the settings, and how it says no."""
    # Without the terminal plugin this option does not exist.
    verbosity: int = getattr(config.option, "verbose", -2)
    if verbosity < 0:
        # There is no header: in the summary they would come too late to save any money.
        scrub = scrubbing(settings.token)
        for warning in loaded.warnings:
            _say_early(scrub(f"WARNING: {warning}"))
    say: Callable[[str], None] = _say_early if verbosity > -2 else lambda words: None
    if router is not None and settings.agent_url is not None:
        settings = stand_before_agent(router, settings, settings.agent_url, say)
    with WaitingAloud(settings.url, say) as waiting:
        if router is None and settings.instance is None:
            check_unused(settings, named="run_id" in loaded.sources, observer=waiting)
        if recordings is not None:
            recordings.begin()
        # An attached run deletes nothing, and so has nothing to prove.
        attached = settings.instance is not None
        absent = Absent() if attached else learn(settings, observer=waiting)
    return settings, absent


def _say_early(words: str) -> None:
    # pytest has no terminal yet: write where its errors go.
    aside(f"hydra-smoke: {words}")


class _Unable:
    """Ends the run with a message before its first test: a worker can't take part."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        session.shouldfail = self._problem


def join_run(config: pytest.Config, worker: dict[str, Any], interrupts: Interrupts) -> Parts | None:
    """Take part with what the main process has sent; None where this worker can't."""
    with ExitStack() as undo:
        try:
            context = RunContext(
                pytestconfig=config,
                worker=worker["workerid"],
                **received(config, worker, undo),
            )
            parts = take_part(context, interrupts)
            undo.pop_all()
            return parts
        except HydraSmokeError as error:
            # An error raised here would be an internal error of xdist, with all its frames.
            config.pluginmanager.register(_Unable(f"{worker['workerid']}: {error}"))
            worker_output(config)[KEY] = None  # It leaves nothing.
            interrupts.restore()
            return None
