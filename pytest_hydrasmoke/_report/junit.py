"""The run in pytest's JUnit file: properties `hydra_smoke.*`, which are pairs of strings.

The run's are on its suite, an instance's on a test. Times are seconds. What the file does not take
from pytest's reports, which are cleaned, is cleaned here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

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

from .model import Report
from .parts import TurnReport

Property = tuple[str, str]
Clean = Callable[[str], str]

PREFIX = "hydra_smoke."


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
