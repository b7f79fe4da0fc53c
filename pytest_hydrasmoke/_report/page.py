"""`report.html`: one file for people; SVG attributes do the drawing, as the policy has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pytest_hydrasmoke._journal.story import TOKENS

from .axis import duration
from .html import SHEET, TEMPLATES, fill
from .model import FAKE_ENDED, LEAKED, UNPROVED, Report
from .sections import Section

OPEN = 3
"""How many instances are unfolded even if nothing is wrong."""
_VERDICTS = {0: "Passed", 1: "Failed", 2: "Interrupted", 129: "Hung up", 130: "Interrupted"}


class Trouble(NamedTuple):
    """A reason why the run is red: a line, and the place of the details."""

    kind: str
    headline: str
    where: str
    anchor: str | None


def render(report: Report) -> str:
    """Return `report.html`."""
    sections = [Section(number, instance) for number, instance in enumerate(report.instances, 1)]
    code = report.exit_code
    return fill(
        TEMPLATES / "report.html.j2",
        SHEET,
        report=report,
        verdict=_VERDICTS.get(code, f"Ended with exit code {code}"),
        sections=sections,
        troubles=list(_troubles(report, sections)),
        opened=len(sections) <= OPEN,
        ended=FAKE_ENDED if report.fake else None,
    )


def _troubles(report: Report, sections: list[Section]) -> Iterator[Trouble]:
    """Yield what went wrong, the most important first."""
    for section in sections:
        if section.instance.outcome == "leaked":
            words = UNPROVED if report.fake else LEAKED
            yield Trouble("leak", words, section.instance.name, section.anchor)
        if (conflict := section.instance.conflict) is not None:
            headline = conflict.partition("\n")[0]
            yield Trouble("conflict", headline, section.instance.name, section.anchor)
    for section in sections:
        for failure, anchor, _ in section.failures:
            if not failure.cured:
                where = failure.test or failure.phase or section.instance.name
                yield Trouble("failure", failure.headline, where, anchor)
    for test in report.other_failures:
        headline = (test.failure or test.outcome).partition("\n")[0]
        yield Trouble("failure", headline, test.id, None)
    for why, number in report.reasons.items():
        yield Trouble("not run", why, f"{number} tests" if number > 1 else "1 test", None)
    if report.unsure is not None:
        first = next(it.anchor for it in sections if it.instance.outcome == "unsure")
        yield Trouble("unsure", report.unsure, "", first)
    for breach in report.breaches:
        places = (it.anchor for it in sections if it.instance.name == breach.instance)
        words = breach.words
        if breach.phase != TOKENS:
            value, limit = duration(breach.value), duration(breach.limit)
            words = f"{breach.phase} took {value}, the limit is {limit}"
        yield Trouble("budget", words, breach.place, next(places, None))
    if report.is_unfinished:
        words = "not all smoke tests came to their end"
        words += f": interrupted in {report.interrupted_in}" if report.interrupted_in else ""
        yield Trouble("unfinished", words, report.tests_words or "", None)
