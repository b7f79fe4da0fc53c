"""The second line of defence: pytest's reports show no token, and no workflow commands.

The first one is that nothing puts a token into text (`Token`), and that a server's words are made
safe where they become an error (`safe_text`). But tests produce text of their own: they print, log,
and compare a reply with a text, and the router may have echoed the token. All of that reaches
terminals and files through reports, which are cleaned here before any other plugin sees them: in a
worker before it sends them, and once more in the main process.
"""

from __future__ import annotations

import copy
import dataclasses
import linecache
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, cast

import pytest
from pydantic import BaseModel

from pytest_hydrasmoke._base.pytest_internals import clean_trace
from pytest_hydrasmoke._base.text import cleaner, harmless_in_rows
from pytest_hydrasmoke._base.token import WINDOW
from pytest_hydrasmoke._report import junit

Clean = Callable[[str], str]

_NAMES = frozenset({"nodeid", "location", "keywords"})
"""Fields that stay as they are: reports are matched by them, and no router has a part in them."""
_DEEP = 20
"""How many levels of a nested value are cleaned."""
_NUMBER = 10 ** (WINDOW - 1)
"""The least number that may have a part of a token in its digits."""
_MARGIN = 8
"""Columns that pytest leaves free beside a reason, for its progress."""


def cleaned(value: object, clean: Clean, depth: int = _DEEP) -> Any:
    """Clean every string in a value; return the same object if nothing had to change.

    Lists, tuples, dictionaries, dataclasses and models are copied; what pytest draws on a terminal
    is changed in place, so that it keeps its form. Anything else whose text has to change becomes
    that text: it is written as one.
    """
    if isinstance(value, str):
        return clean(value)
    if depth == 0:
        return _as_text(value, clean)
    if type(value) in (list, tuple):
        items = cast("list[object]", value)
        parts = [cleaned(item, clean, depth - 1) for item in items]
        return value if _same(parts, items) else type(items)(parts)
    if type(value) is dict:
        mapping = cast("dict[object, object]", value)
        pairs = list(mapping.items())
        parts = [cleaned(pair, clean, depth - 1) for pair in pairs]
        return mapping if _same(parts, pairs) else dict(cast("list[tuple[object, object]]", parts))
    if hasattr(value, "toterminal"):
        _clean_attributes(value, list(getattr(value, "__dict__", ())), clean, depth)
        return value
    # Field names come from code, not from a server.
    if isinstance(value, BaseModel):
        names = list(type(value).model_fields)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
    else:
        return _as_text(value, clean)
    fields: list[object] = [getattr(value, name) for name in names]
    parts = [cleaned(field, clean, depth - 1) for field in fields]
    if _same(parts, fields):
        return value
    twin = copy.copy(value)
    for name, part in zip(names, parts, strict=True):
        _set(twin, name, part)
    return twin


def _as_text(value: object, clean: Clean) -> object:
    """Return a value that is no string: as it is, or as cleaned text if its own has to change."""
    if isinstance(value, bool | float | None) or (isinstance(value, int) and value < _NUMBER):
        return value
    try:
        texts = [str(value), repr(value)]
    except Exception:
        return value  # Whoever writes it fails as well.
    same = all(clean(text) is text for text in texts)
    return value if same else clean(texts[0])


def _same(parts: Sequence[object], items: Sequence[object]) -> bool:
    return all(part is item for part, item in zip(parts, items, strict=True))


def _clean_attributes(
    value: object, names: Iterable[str], clean: Clean, depth: int = _DEEP
) -> None:
    """Clean attributes of pytest's own objects in place."""
    for name in names:
        part: object = getattr(value, name)
        shown = cleaned(part, clean, depth - 1)
        if shown is not part:
            _set(value, name, shown)


def _set(value: object, name: str, part: object) -> None:
    object.__setattr__(value, name, part)  # Of a frozen one, too: it is a copy, or pytest's own.


def clean_report(report: pytest.TestReport | pytest.CollectReport, clean: Clean) -> None:
    """Clean what a report shows: its failure, its sections, and what plugins added to it."""
    shows = [name for name in vars(report) if name not in _NAMES and name[0] != "_"]
    _clean_attributes(report, shows, clean)
    drawn: object = report.longrepr
    if drawn is not None and not isinstance(drawn, str | tuple):
        # Drawing it may turn other objects than strings into text.
        text = str(drawn)
        shown = clean(text)
        if shown is not text:
            report.longrepr = shown


def clean_reason(report: pytest.TestReport, width: int) -> None:
    """Clean why a test was skipped or expected to fail, which `-vv` shows in rows."""
    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, harmless_in_rows(reason, width))
    if hasattr(report, "wasxfail"):
        report.wasxfail = harmless_in_rows(report.wasxfail, width)


class ReportCleaner:
    """Cleans reports before any other plugin has them; `scrub` masks the token."""

    def __init__(self, scrub: Clean) -> None:
        self._clean = cleaner(scrub)

    def pytest_configure(self, config: pytest.Config) -> None:
        self._config = config
        clean_trace(config, self._clean)

    # Innermost, since some plugins take what they report from here.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        clean_report(report, self._clean)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, Any]:
        clean_report(report, self._clean)
        junit.clean_cases(self._config, self._clean)
        if self._config.pluginmanager.has_plugin("terminalreporter"):
            clean_reason(report, self._config.get_terminal_writer().fullwidth - _MARGIN)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> Generator[None, object, Any]:
        clean_report(report, self._clean)
        return (yield)

    # pluggy replays its past calls to later plugins, which no wrapper can do.
    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        text = str(warning_message.message)
        shown = self._clean(text)
        if shown is not text:
            # Another kind may take other arguments; the category, which is shown, stays.
            warning_message.message = UserWarning(shown)
        line = warning_message.line
        if line is None:
            line = linecache.getline(warning_message.filename, warning_message.lineno)
        shown = self._clean(line)
        if shown is not line:
            warning_message.line = shown

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_internalerror(self, excrepr: object) -> Generator[None, object, Any]:
        cleaned(excrepr, self._clean)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        reason = excinfo.value
        if isinstance(reason, pytest.exit.Exception):
            reason.msg = self._clean(str(reason.msg))
            reason.args = (reason.msg,)
        # It is drawn at the very end, under `--full-trace` with the arguments of all frames.
        draw = excinfo.getrepr

        def getrepr(*args: Any, **options: Any) -> object:
            return cleaned(draw(*args, **options), self._clean)

        vars(excinfo)["getrepr"] = getrepr

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        junit.clean_suite(session.config, self._clean)
