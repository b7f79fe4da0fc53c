"""The run in the reports of others: pytest's JUnit file, pytest-html's page, Allure's results.

A JUnit file has properties `hydra_smoke.*`, which are pairs of strings: the run's on its suite, an
instance's on a test. Times are seconds. What these plugins do not take from pytest's reports, which
are cleaned, is cleaned here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from pytest_hydrasmoke._base.pytest_internals import (
    case_attributes,
    junit_writers,
    suite_properties,
)
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import Turn
from pytest_hydrasmoke._journal.events import MOST_PROVIDERS
from pytest_hydrasmoke._journal.story import PHASES, TOKENS, WAITS, Story

from .model import InstanceReport, Report
from .parts import TurnReport

Property = tuple[str, str]
Clean = Callable[[str], str]

PREFIX = "hydra_smoke."

# JUnit


def run_properties(report: Report) -> Iterator[Property]:
    """Yield the suite's properties: the run, its instances from 0, and tests with several runs."""
    run = {
        "run_id": report.run_id,
        "router": "fake" if report.fake else "live",
        "url": safe_line(report.url),
        "trace_id": report.trace_id,
        "trace_url": report.trace_url,
        "seconds": _seconds(report.seconds),
        **report.counts,
        "not_run": report.not_run or None,
        "ended": report.ended,
    }
    yield from _named(PREFIX, run)
    for breach in report.breaches:
        value = f"{breach.value:.0f}" if breach.phase == TOKENS else _seconds(breach.value)
        times = {"limit": f"{breach.limit:g}", "value": value}
        yield from _named(f"{PREFIX}breaches.{breach.phase}.", times)
    for number, it in enumerate(report.instances):
        facts = {
            "id": it.id,
            "idempotency_key": it.idempotency_key,
            "outcome": it.outcome,
            "failed": str(it.failed).lower(),
            "chats": it.chats,
            "retries": it.retries,
            **_times(it.phases, it.waits),
            **_said(it.tokens.input_tokens, it.tokens.output_tokens, it.turns),
        }
        yield from _named(f"{PREFIX}instances.{number}.", facts)
    for number, test in enumerate(test for test in report.tests if test.runs is not None):
        facts = {"id": test.id, "runs": test.runs, "passed": test.passed}
        yield from _named(f"{PREFIX}tests.{number}.", facts)


def case_properties(key: str | None, story: Story, *, replies: bool) -> Iterator[Property]:
    """Yield the properties of a test that used an instance, as far as known by then."""
    chats = story.chats
    facts = {
        "id": story.id,
        "idempotency_key": key,
        "chats": chats.times,
        "retries": story.requests.retries,
        **_times(story.phases, chats.waits),
        **_said(*chats.tokens, [told.turn for told in chats.turns] if replies else ()),
    }
    yield from _named(f"{PREFIX}instance.", facts)


def repeat_properties(runs: int, passed: int) -> Iterator[Property]:
    """Yield the properties of a test whose body was run several times."""
    yield from _named(PREFIX, {"runs": runs, "passed": passed})


def _times(phases: Mapping[str, float], waits: Mapping[str, float]) -> dict[str, str]:
    kinds = (("phases", PHASES, phases), ("waits", WAITS, waits))
    return {
        f"{kind}.{name}": _seconds(took[name])
        for kind, names, took in kinds
        for name in names
        if name in took
    }


def _said(read: int, written: int, turns: Iterable[Turn | TurnReport]) -> dict[str, object]:
    """Return what chats reported: tokens, the tools called, and why the model stopped."""
    chats = list(turns)
    tools = dict.fromkeys(call.name for turn in chats for call in turn.tool_calls)
    reasons = dict.fromkeys(turn.finish_reason for turn in chats if turn.finish_reason)
    return {
        "input_tokens": read or None,
        "output_tokens": written or None,
        "tools": ", ".join(list(tools)[:MOST_PROVIDERS]) or None,
        "finish_reasons": ", ".join(list(reasons)[:MOST_PROVIDERS]) or None,
    }


def _named(prefix: str, facts: Mapping[str, object]) -> Iterator[Property]:
    for name, value in facts.items():
        if value is not None:
            yield prefix + name, safe_line(str(value))


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def cases_have_properties(config: pytest.Config) -> bool:
    """Return whether tests may have properties: the JUnit family xunit2 has no place for them."""
    if not config.getoption("xmlpath", None):
        return True
    return bool(config.getini("junit_family") != "xunit2")


def add_properties(config: pytest.Config, report: Report) -> None:
    """Add the run's properties to the JUnit file."""
    for writer in junit_writers(config):
        for name, value in run_properties(report):
            writer.add_global_property(name, value)


def clean_suite(config: pytest.Config, clean: Clean) -> None:
    """Clean the suite properties that tests have added: no report contains them."""
    for writer in junit_writers(config):
        properties = suite_properties(writer)
        properties[:] = [(clean(name), clean(value)) for name, value in properties]


def clean_cases(config: pytest.Config, clean: Clean) -> None:
    """Clean the attributes that tests under way have set: no report contains them."""
    for writer in junit_writers(config):
        for attributes in case_attributes(writer):
            attributes.update({name: clean(value) for name, value in attributes.items()})


# pytest-html


def html_summary(report: Report, page: Path | None, own_page: Path) -> Iterator[str]:
    """Yield pieces of HTML: the run, a link to its `page`, and a line for each instance.

    The link is relative to `own_page`, the file that pytest-html writes.
    """
    router = f"the bundled {report.fake_words}" if report.fake else f"live router {report.url}"
    yield _paragraph(f"hydra-smoke: {router}, run {report.run_id}")
    yield _paragraph(report.counted)
    if report.tests_words is not None:
        yield _paragraph(f"smoke tests: {report.tests_words}")
    if report.ended is not None:
        yield _paragraph(f"ended before its tests were over: {report.ended}")
    if page is not None:
        link = quote(os.path.relpath(page, own_page.parent))
        yield f'<p><a href="{link}">Every request and chat of the run</a></p>'
    if report.instances:
        yield f"<ul>{''.join(map(_line, report.instances))}</ul>"


def _paragraph(words: str) -> str:
    return f"<p>{escape(safe_line(words))}</p>"


def _line(it: InstanceReport) -> str:
    times = [f"{name} {it.phases[name]:.1f} s" for name in PHASES if name in it.phases]
    words = f"{it.outcome}: {it.name}"
    return f"<li>{escape(safe_line(', '.join([words, *times]), 400))}</li>"


# Allure


class _Cleaner:
    def __init__(self, clean: Clean) -> None:
        self._clean = clean

    def report_result(self, result: object) -> None:
        _clean_result(result, self._clean)

    def report_container(self, container: object) -> None:
        _clean_result(container, self._clean)


def clean_allure(clean: Clean) -> Callable[[], object]:
    """Clean all results from now on, if Allure is loaded; return a function that ends it.

    Its plugin takes a test's failure from pytest's reports, but those of fixtures and steps, and
    the first line of each, from the exceptions themselves.
    """
    allure: Any = sys.modules.get("allure_commons")
    if allure is None:
        return lambda: None
    for hook in (_Cleaner.report_result, _Cleaner.report_container):
        # Before the hook that writes them.
        allure.hookimpl(tryfirst=True)(hook)
    cleaner = _Cleaner(clean)
    allure.plugin_manager.register(cleaner)
    return lambda: allure.plugin_manager.unregister(cleaner)


def _clean_result(value: object, clean: Clean) -> object:
    """Clean every string of a result and of its parts, in place."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        items = cast("list[object]", value)
        items[:] = [_clean_result(item, clean) for item in items]
        return items
    if hasattr(value, "__attrs_attrs__"):
        for name, part in vars(value).items():
            setattr(value, name, _clean_result(part, clean))
    return value
