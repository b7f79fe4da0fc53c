"""The main process: it reads the settings, serves the fake, and checks the router before tests."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError, UnauthorizedError
from pytest_hydrasmoke._base.pytest_internals import ini_names
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._options import FAKE, LIVE, SECRETS, SETTINGS, TABLE, flag, variable
from pytest_hydrasmoke._recordings.store import Recordings
from pytest_hydrasmoke._report import files, github
from pytest_hydrasmoke._report.model import NOT_ENDED, PREFLIGHT, REFUSED, Report
from pytest_hydrasmoke._report.pipeline import pipeline_of
from pytest_hydrasmoke._run.folder import make_output
from pytest_hydrasmoke._run.preflight import WaitingAloud, check_unused, learn
from pytest_hydrasmoke._settings import sources
from pytest_hydrasmoke._settings.sources import Loaded
from pytest_hydrasmoke._settings.variables import where_from

from .deadline import keep_deadline
from .part import take_part
from .process import Process, address_of, serve, stand_before_agent
from .replaying import spec_of
from .report_cleaner import cleaned

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.evidence import Forms
    from pytest_hydrasmoke._base.signals import Interrupts
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig
    from pytest_hydrasmoke.fake import FakeRouter


def begin_run(config: pytest.Config, interrupts: Interrupts, *, live: bool, fake: bool) -> Process:
    """Begin a run; raises `pytest.UsageError` with everything that is wrong."""
    router: FakeRouter | None = None
    recordings: Recordings | None = None
    loaded: Loaded | None = None
    scrub = scrubbing(None)
    beginning: tuple[Report, Path] | None = None
    with ExitStack() as undo:
        try:
            loaded = _load(config, live=live, fake=fake)
            settings = loaded.config
            keep_deadline(settings, interrupts)
            if fake:
                router = serve(loaded.scenario)
                undo.callback(router.__exit__, None, None, None)
                own: dict[str, Any] = address_of(router)
                if router.scenario.recordings is not None:
                    own |= spec_of(router.scenario.recordings, without=loaded.sources)
                settings = settings.model_copy(update=own)
            scrub = scrubbing(settings.token)
            # From here on there is no other run's report in its place.
            beginning = begun, _ = _begun(settings, router), settings.output
            _write(*beginning)
            if settings.record is not None:
                recordings = Recordings(settings.record)
                undo.callback(recordings.end)
            settings, forms = _check_router(config, settings, loaded, recordings, router)
            # A signal waits for the plugins that end what begins here.
            with interrupts.hold():
                process = Process(
                    pytestconfig=config,
                    config=settings,
                    interrupts=interrupts,
                    forms=forms,
                    fake=fake,
                    router=router,
                    table=loaded.file,
                    recordings=recordings,
                    loaded=loaded,
                    begun=begun,
                )
                take_part(process)
                undo.pop_all()
            return process
        except HydraSmokeError as error:
            words = str(error)
            if isinstance(error, UnauthorizedError) and loaded is not None:
                words += f"\n  token:     {where_from(loaded.sources)}, at {loaded.config.url}"
            # The router's own words may contain the token too.
            problem = scrub(words)
            by = REFUSED if isinstance(error, ConfigError) else f"{REFUSED}: {PREFLIGHT}"
            _tell_refusal(by, problem, beginning)
    raise pytest.UsageError(problem)


def _tell_refusal(by: str, problem: str, beginning: tuple[Report, Path] | None) -> None:
    """Write the report of a run that is refused, if it has one, and show it on GitHub."""
    if beginning is not None:
        begun, output = beginning
        refused = {
            "exit_code": int(pytest.ExitCode.USAGE_ERROR),
            "ended": f"{by}: {safe_line(problem, 500)}",
        }
        _write(begun.model_copy(update=refused), output)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        with suppress(OSError):
            github.append_refusal(problem, os.environ)
        with suppress(OSError):  # Nobody may read it any more.
            sys.stderr.write(github.annotation("hydra-smoke was refused", problem) + "\n")


def _load(config: pytest.Config, *, live: bool, fake: bool) -> Loaded:
    """Read the settings; raises `ConfigError` and `pytest.UsageError`."""
    if live and fake:
        raise pytest.UsageError(f"{LIVE} and {FAKE} are both given: keep the one you mean")
    for name in SECRETS:
        if config.getoption(f"hydra_smoke_{name}") is not None:
            file = f", or give {flag('token_file')}" if name == "token" else ""
            raise pytest.UsageError(
                f"{flag(name)} would show the token to everybody on this machine: "
                f"set {variable(name)} in the environment{file}"
            )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    here = config.invocation_params.dir
    # Without arguments and `testpaths`, pytest's only argument is the folder where it is called.
    named = () if config.args_source is config.ArgsSource.INVOCATION_DIR else config.args
    places = [_place(here, argument.partition("::")[0]) for argument in named]
    places = [place for place in places if place.exists()]
    loaded = sources.load(options, here, fake=fake, places=places)
    loaded = replace(loaded, warnings=(*loaded.warnings, *_of_no_effect(config, live=live)))
    # Whatever else is wrong with the value is more important.
    if (problem := _moved_rootdir(config)) is not None:
        raise pytest.UsageError(problem)
    return loaded


def _of_no_effect(config: pytest.Config, *, live: bool) -> Iterator[str]:
    """Yield a warning for what pytest's own configuration has for this plugin, and is not used."""
    used, other = (LIVE, FAKE) if live else (FAKE, LIVE)
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
        if option in ours and place.exists() and not place.is_relative_to(here):
            return (
                f"{option} {value} makes {root} pytest's rootdir, which changes the names of "
                f"tests: write {option}={value}"
            )
    return None


def _place(here: Path, argument: str) -> Path:
    return Path(os.path.abspath(here / argument))


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
    files.begin(report, output)


def _check_router(
    config: pytest.Config,
    settings: HydraSmokeConfig,
    loaded: Loaded,
    recordings: Recordings | None,
    router: FakeRouter | None,
) -> tuple[HydraSmokeConfig, Forms | None]:
    """Check router and agent before the first test; return the settings, and the forms."""
    # Without the terminal plugin this option does not exist.
    verbosity: int = getattr(config.option, "verbose", -2)
    if verbosity < 0:
        # There is no header: in the summary they would come too late to save any money.
        scrub = scrubbing(settings.token)
        for warning in loaded.warnings:
            _say_early(scrub(f"WARNING: {warning}"))
    say = _say_early if verbosity > -2 else _say_nothing
    if router is not None and settings.agent_url is not None:
        settings = stand_before_agent(router, settings, settings.agent_url, say)
    with WaitingAloud(settings.url, say) as waiting:
        if router is None and settings.instance is None:
            check_unused(settings, named="run_id" in loaded.sources, observer=waiting)
        if recordings is not None:
            recordings.begin()
        # An attached run deletes nothing, and so has nothing to prove.
        forms = learn(settings, observer=waiting) if settings.instance is None else None
    return settings, forms


def _say_nothing(words: str) -> None: ...


def _say_early(words: str) -> None:
    # pytest has no terminal yet: write where its errors go.
    sys.stderr.write(f"hydra-smoke: {words}\n")
    sys.stderr.flush()
