"""Access to internals of pytest, pluggy and xdist, each in one function.

None of them is public. If a release moves one, a test of this module fails and names it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pluggy

if TYPE_CHECKING:
    import pytest


def failure_words(report: pytest.TestReport) -> str:
    """Return the failure message in a failed test's report, without its traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(report.longrepr if crash is None else crash.message)


def begin_failure_words(report: pytest.TestReport, words: str) -> None:
    """Put text before the failure message, so that pytest's summary shows it."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and words not in crash.message.partition("\n")[0]:
        crash.message = f"{words}: {crash.message}"


def add_section(report: pytest.TestReport, title: str, text: str) -> None:
    """Add a section to a failed test's report, below its traceback, which all reports show.

    If the failure has no traceback, it goes to the captured output, which only the terminal shows.
    """
    add = getattr(report.longrepr, "addsection", None)
    if add is None:
        report.sections.append((title, text))
    else:
        add(title, text)


def worker_input(owner: object) -> dict[str, Any] | None:
    """Return what xdist's main process sends a worker, of its config or node; None of no worker."""
    return getattr(owner, "workerinput", None)


def worker_output(owner: object) -> dict[str, Any]:
    """Return what a worker sends at its end; `owner` is its config there, its node elsewhere."""
    output: dict[str, Any] = getattr(owner, "workeroutput", {})
    return output


def ini_names(config: pytest.Config) -> list[str]:
    """Return the names of all values in pytest's configuration file, unknown ones too."""
    found: object = vars(config).get("_inicfg") or vars(config).get("inicfg")
    return [str(name) for name in cast("Mapping[object, object]", found or {})]


REFUSED = "hydra_smoke_refused"
"""What a worker of xdist sends where it has refused its tests."""


def refuse(session: pytest.Session, words: str) -> None:
    """End a run whose collected tests can't be run; under xdist, in every worker.

    The main process then sets the exit code.
    """
    if worker_input(session.config) is None:
        import pytest

        raise pytest.UsageError(words)
    # An error raised here would be an internal error of xdist, with all its frames.
    session.shouldfail = words
    session.items.clear()
    worker_output(session.config)[REFUSED] = True


def forget_failure(config: pytest.Config, passed: pytest.TestReport) -> None:
    """Take what is no test out of those that failed last: `--lf` would look for it in vain."""
    last_failed = config.pluginmanager.get_plugin("lfplugin")
    if last_failed is not None:
        last_failed.pytest_runtest_logreport(passed)


def session_of(config: pytest.Config) -> pytest.Session | None:
    """Return the session, once it has begun."""
    session: pytest.Session | None = config.pluginmanager.get_plugin("session")
    return session


def junit_writers(config: pytest.Config) -> Iterator[Any]:
    """Yield the writer of the JUnit file that this process writes, if any.

    pytest offers plugins only a fixture, and no fixture lives that long. The writer is recognised
    by the method that the fixture `record_testsuite_property` returns.
    """
    for plugin in config.pluginmanager.get_plugins():
        if callable(getattr(plugin, "add_global_property", None)):
            yield plugin


def suite_properties(writer: Any) -> list[tuple[str, str]]:
    """Return the suite properties that a writer has so far."""
    # A writer that keeps them elsewhere is another plugin's.
    properties: list[tuple[str, str]] = getattr(writer, "global_properties", [])
    return properties


def case_attributes(writer: Any) -> Iterator[dict[str, str]]:
    """Yield the JUnit attributes of each test that is under way."""
    for case in getattr(writer, "node_reporters", {}).values():
        yield case.attrs


def fixture_definitions(item: pytest.Item, name: str) -> Sequence[pytest.FixtureDef[object]]:
    """Return the fixtures of a name for a collected test; the test uses the last one."""
    info = getattr(item, "_fixtureinfo", None)
    return () if info is None else info.name2fixturedefs.get(name, ())


def visible_fixtures(item: pytest.Item, name: str) -> Sequence[pytest.FixtureDef[object]]:
    """Return the fixtures of a name that a collected test could use."""
    # Before 9, pytest's closure of a test leaves out what an overridden fixture uses.
    manager: Any = getattr(item.session, "_fixturemanager")  # noqa: B009 - not public
    found: Sequence[pytest.FixtureDef[object]] = manager.getfixturedefs(name, item) or ()
    return found


BETWEEN = (
    "pytest_asyncio.plugin",
    pluggy.HookCaller.__module__,
    pluggy.PluginManager.__module__,
)
"""Modules whose frames lie between a test and this package: pytest hides its own."""


def clean_trace(config: pytest.Config, clean: Callable[[str], str]) -> None:
    """Clean the output of `--debug`: arguments and results of hooks, with fixture values.

    pluggy does not expose its writer: if that attribute is renamed, nothing more is written.
    """
    tracer = config.trace.root
    write: Callable[[str], object] | None = getattr(tracer, "_writer", None)
    tracer.setwriter(None if write is None else lambda text: write(clean(text)))


def live_log_level(config: pytest.Config) -> int | None:
    """Return the level from which pytest shows log records live (`log_cli`); None if it doesn't."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    return handler.level if isinstance(handler, logging.StreamHandler) else None
