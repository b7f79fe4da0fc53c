"""`report.html`: one file for people; SVG attributes do the drawing, as the policy has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise
from math import inf
from statistics import median
from typing import NamedTuple

from pytest_hydrasmoke._journal.story import PHASES, TOKENS

from .axis import Axis, duration
from .html import SHEET, TEMPLATES, fill
from .model import FAKE_ENDED, LEAKED, UNPROVED, InstanceReport, Report
from .parts import (
    SOON,
    ExchangeReport,
    FailureReport,
    SpanReport,
    StatusReport,
    ThoughtReport,
    ToolCallReport,
    TurnReport,
)

FOLDED = 4
"""So many equal answers in a row, or more, are folded into one entry that contains them all."""


class Step(NamedTuple):
    """A part of a transcript: `text` of the reply, a `tool` call, or a `thought`."""

    kind: str
    it: str | ToolCallReport | ThoughtReport


class Bar(NamedTuple):
    """A span of time in a lane; `broke` where it ends in a failure."""

    at: float
    seconds: float
    broke: bool = False


class Lane(NamedTuple):
    """A phase, with each of its spans."""

    phase: str
    bars: tuple[Bar, ...]
    longest: float


class Call(NamedTuple):
    """The results of a call, over all its requests."""

    call: str
    method: str
    path: str
    sent: int
    bad: int
    median: float
    slowest: float


class FailureEntry(NamedTuple):
    """A failure, with the name of its place on the page."""

    failure: FailureReport
    anchor: str
    words: str
    """Its message, without the command that the page shows for the instance."""


class Row(NamedTuple):
    """Something that happened, and the template that draws it."""

    kind: str
    at: float
    it: object


@dataclass(frozen=True)
class Chat:
    """A chat turn as a transcript, with the arrival of its events."""

    turn: TurnReport
    broke_at: float | None
    """When it failed, in seconds since it began."""

    @cached_property
    def axis(self) -> Axis:
        return Axis(max(self.turn.seconds or 0.0, self.broke_at or 0.0))

    @property
    def steps(self) -> Iterator[Step]:
        """What the agent said and did, in order: text is split where something came in between."""
        text, said = self.turn.text or "", 0
        beside: list[ToolCallReport | ThoughtReport]
        beside = [*self.turn.tool_calls, *self.turn.thoughts]
        for part in sorted(beside, key=lambda part: (part.position, part.at)):
            if piece := text[said : part.position]:
                yield Step("text", piece)
            said = part.position
            yield Step("tool" if isinstance(part, ToolCallReport) else "thought", part)
        if (rest := text[said:]) or not beside:
            yield Step("text", rest)

    @property
    def silence(self) -> Bar:
        """How long it was silent before it failed, in the instance's seconds."""
        last = self.turn.seconds or 0.0
        return Bar(self.turn.at + last, (self.broke_at or 0.0) - last, broke=True)

    @property
    def silent_in(self) -> str | None:
        """The phase in which that silence falls; None if there was none."""
        if self.broke_at is None or self.silence.seconds < SOON:
            return None
        return "turn" if self.turn.events else "first_event"

    @property
    def gap(self) -> tuple[float, float] | None:
        """The longest time without an event after the first: from, to."""
        ends = [*self.turn.arrivals, *([] if self.broke_at is None else [self.broke_at])]
        return max(pairwise(ends), key=lambda it: it[1] - it[0], default=None)


@dataclass(frozen=True)
class Section:
    """One instance, as the page shows it."""

    number: int
    """From 1."""
    instance: InstanceReport

    @property
    def anchor(self) -> str:
        """The name of its place on the page."""
        return f"i{self.number}"

    @property
    def in_trouble(self) -> bool:
        """Whether it makes the run red, so that a reader of a failed run looks for it."""
        it = self.instance
        odd = it.outcome in ("leaked", "unsure") or it.conflict is not None
        return odd or it.failed or self.uncured > 0

    @property
    def uncured(self) -> int:
        """Count the failures that no rerun has cured."""
        return sum(not failure.cured for failure in self.instance.failures)

    @cached_property
    def axis(self) -> Axis:
        it, ends = self.instance, [0.0]
        for timed in (it.spans, it.exchanges, it.turns):
            ends += [one.at + (one.seconds or 0.0) for one in timed]
        for moments in (it.statuses, it.usage, it.failures):
            ends += [moment.at for moment in moments]
        return Axis(max(ends))

    @cached_property
    def chats(self) -> list[Chat]:
        """Its turns, each with the time of its failure."""
        turns = self.instance.turns
        ends = [*(turn.at for turn in turns[1:]), inf]
        return [Chat(it, self._broke_at(it, end)) for it, end in zip(turns, ends, strict=False)]

    def _broke_at(self, turn: TurnReport, until: float) -> float | None:
        broke = (
            failure.at - turn.at
            for failure in self.instance.failures
            if failure.phase in ("first_event", "turn") and turn.at <= failure.at < until
        )
        return None if turn.error is None else next(broke, None)

    @property
    def lanes(self) -> Iterator[Lane]:
        """The phases that it went through, in their order."""
        for phase in PHASES:
            spans = [span for span in self.instance.spans if span.phase == phase]
            silent = [chat for chat in self.chats if chat.silent_in == phase]
            bars = [Bar(span.at, span.seconds, self._broke(span)) for span in spans]
            bars += [chat.silence for chat in silent]
            if bars:
                times = [*(span.seconds for span in spans), *(it.axis.seconds for it in silent)]
                yield Lane(phase, tuple(bars), max(times))

    def _broke(self, span: SpanReport) -> bool:
        end = span.at + span.seconds
        failures = self.instance.failures
        return any(it.phase == span.phase and abs(it.at - end) < SOON for it in failures)

    @property
    def statuses(self) -> list[tuple[StatusReport, float]]:
        """The status words, each with its seconds."""
        statuses = self.instance.statuses
        ends = [*(status.at for status in statuses[1:]), self.axis.seconds]
        return [(it, end - it.at) for it, end in zip(statuses, ends, strict=False)]

    @property
    def marks(self) -> str:
        """The SVG path that marks every request."""
        return self.axis.marks(it.at for it in self.instance.exchanges)

    @property
    def bad_marks(self) -> str:
        """The SVG path that marks the failed ones."""
        return self.axis.marks(it.at for it in self.instance.exchanges if it.is_bad)

    @property
    def calls(self) -> Iterator[Call]:
        by_call: dict[str, list[ExchangeReport]] = {}
        for exchange in self.instance.exchanges:
            by_call.setdefault(exchange.call, []).append(exchange)
        for call, its in by_call.items():
            times = [exchange.seconds for exchange in its]
            path, bad = its[0].path.partition("?")[0], sum(it.is_bad for it in its)
            yield Call(call, its[0].method, path, len(its), bad, median(times), max(times))

    @property
    def failures(self) -> list[FailureEntry]:
        return [
            FailureEntry(it, f"{self.anchor}-f{place}", self.instance.without_command(it.message))
            for place, it in enumerate(self.instance.failures, 1)
        ]

    @property
    def rows(self) -> Iterator[Row]:
        """What happened, in order; requests in a row with the same answer are a `fold` of many."""
        it = self.instance
        # What begins at the same moment keeps this order.
        rows = [Row("request", exchange.at, exchange) for exchange in it.exchanges]
        rows += [Row("status", status.at, status) for status in it.statuses]
        rows += [Row("chat", chat.turn.at, chat) for chat in self.chats]
        rows += [Row("usage", count.at, count) for count in it.usage]
        rows += [Row("failure", entry.failure.at, entry) for entry in self.failures]
        for answer, group in groupby(sorted(rows, key=lambda row: row.at), key=_answer):
            same = list(group)
            if answer is None or len(same) < FOLDED:
                yield from same
            else:
                yield Row("fold", same[0].at, [row.it for row in same])


def _answer(row: Row) -> tuple[str, int | None] | None:
    it = row.it
    if not isinstance(it, ExchangeReport) or it.attempt > 1 or it.is_bad:
        return None
    return it.call, it.status


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
