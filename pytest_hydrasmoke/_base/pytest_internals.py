"""What this package knows of the inside of pytest, pluggy and xdist, each name in one function.

None of it is promised to plugins. Where a release moves one, a test of this module says which.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def failure_words(report: pytest.TestReport) -> str:
    """Return what a failed test's report says went wrong, in a line or a few."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(report.longrepr if crash is None else crash.message)


def begin_failure_words(report: pytest.TestReport, words: str) -> None:
    """Have those words, and so a test's line in pytest's summary, begin with these."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and words not in crash.message.partition("\n")[0]:
        crash.message = f"{words}: {crash.message}"


def add_section(report: pytest.TestReport, title: str, text: str) -> None:
    """Put a section into a failed test's report: below its traceback, which all reports show.

    A failure that is told without one has it among what was captured, which is for the terminal.
    """
    add = getattr(report.longrepr, "addsection", None)
    if add is None:
        report.sections.append((title, text))
    else:
        add(title, text)


def worker_input(config: pytest.Config) -> dict[str, Any] | None:
    """Return what xdist's main process gave this worker; None where this is no worker."""
    return getattr(config, "workerinput", None)


def worker_output(owner: object) -> dict[str, Any]:
    """Return what a worker sends at its end: to fill in there, of its node to read elsewhere."""
    output: dict[str, Any] = getattr(owner, "workeroutput", {})
    return output


def session_of(config: pytest.Config) -> pytest.Session | None:
    """Return the session, from its beginning on."""
    session: pytest.Session | None = config.pluginmanager.get_plugin("session")
    return session


def junit_writers(config: pytest.Config) -> Iterator[Any]:
    """Yield what writes the JUnit file that this process is to write, if any.

    pytest gives plugins no way to it but a fixture, and no fixture lives that long. It is known by
    the method that the fixture `record_testsuite_property` gives to tests.
    """
    for plugin in config.pluginmanager.get_plugins():
        if callable(getattr(plugin, "add_global_property", None)):
            yield plugin


def suite_properties(writer: Any) -> list[tuple[str, str]]:
    """Return the properties of the suite that such a writer has by now."""
    # One that keeps them elsewhere is another plugin's.
    properties: list[tuple[str, str]] = getattr(writer, "global_properties", [])
    return properties


def fixture_definitions(item: pytest.Item, name: str) -> Sequence[pytest.FixtureDef[object]]:
    """Return the fixtures of a name that a collected test may be given: the last one it is."""
    info = getattr(item, "_fixtureinfo", None)
    return () if info is None else info.name2fixturedefs.get(name, ())


def collect_here(config: pytest.Config) -> None:
    """Have no xdist workers, whatever was asked for: to be called as pytest is configured."""
    config.option.dist = "no"


def hide_frames_of_asyncio(hide: Callable[[Any], bool]) -> None:
    """Have pytest-asyncio's frames in a set-up left out where a module's own are, as `hide` says.

    Those of pytest itself are; of a plugin around it, a module says so by this name.
    """
    plugin = sys.modules.get("pytest_asyncio.plugin")
    if plugin is not None:
        vars(plugin).setdefault("__tracebackhide__", hide)


def clean_trace(config: pytest.Config, clean: Callable[[str], str]) -> None:
    """Clean what `--debug` writes: arguments and results of hooks, fixtures' values among them.

    pluggy tells nobody where it writes them: should that have another name one day, nothing more
    is written.
    """
    tracer = config.trace.root
    write: Callable[[str], object] | None = getattr(tracer, "_writer", None)
    tracer.setwriter(None if write is None else lambda text: write(clean(text)))


def live_log_level(config: pytest.Config) -> int | None:
    """Return from which level on logs are on the terminal already (`log_cli`), or None."""
    handler = getattr(config.pluginmanager.get_plugin("logging-plugin"), "log_cli_handler", None)
    return handler.level if isinstance(handler, logging.StreamHandler) else None
