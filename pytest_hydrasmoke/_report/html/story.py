"""Arrange what a page shows of one instance; pure.

`story_of` makes a `StorySection` of an instance's report: the lanes of a chart, and a list of what
happened when. Repeated requests with the same answer are one entry that contains them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from pytest_hydrasmoke._report.model import FailureReport, InstanceReport, StatusReport
from pytest_hydrasmoke._report.parts import CountReport, ExchangeReport

from .axis import Axis
from .lanes import Chat, Lane, chats_of, lanes_of

FOLDED = 4
"""So many equal answers in a row, or more, are folded into one entry."""


def is_bad(exchange: ExchangeReport) -> bool:
    """Return whether a request had no answer, or a refusal that is unusual for the router.

    A poll or a status of what does not exist, or exists no longer, is answered 404.
    """
    if exchange.status is None:
        return True
    asks = exchange.call in ("poll", "status", "delete")
    return exchange.status >= 400 and not (asks and exchange.status in (404, 409, 410))


@dataclass(frozen=True, slots=True)
class Fold:
    """Requests in a row with the same answer."""

    exchanges: tuple[ExchangeReport, ...]

    @property
    def slowest(self) -> float:
        return max(exchange.seconds for exchange in self.exchanges)


@dataclass(frozen=True, slots=True)
class FailureEntry:
    """A failure, with the name of its place on the page."""

    failure: FailureReport
    anchor: str
    words: str
    """Its message, without the command that the page shows for the instance."""

    @property
    def headline(self) -> str:
        return self.failure.message.strip().partition("\n")[0]


Thing = ExchangeReport | Fold | StatusReport | Chat | CountReport | FailureEntry


@dataclass(frozen=True, slots=True)
class StoryRow:
    """An event of the story, and the template that draws it."""

    kind: str
    at: float
    it: Thing


@dataclass(frozen=True, slots=True)
class CallSummary:
    """The results of a call, over all its requests."""

    call: str
    method: str
    path: str
    count: int
    bad: int
    median: float
    slowest: float


@dataclass(frozen=True, slots=True)
class StorySection:
    """One instance, as the page shows it."""

    number: int
    """From 1: its anchor on the page is `i<number>`."""
    instance: InstanceReport
    axis: Axis
    lanes: tuple[Lane, ...]
    """Its phases, in their order."""
    words: tuple[tuple[StatusReport, float], ...]
    """The status words, each with its seconds."""
    calls: tuple[CallSummary, ...]
    entries: tuple[StoryRow, ...]
    failures: tuple[FailureEntry, ...]
    marks: str
    """The SVG path that marks every request."""
    bad_marks: str
    """The SVG path that marks the failed ones."""

    @property
    def in_trouble(self) -> bool:
        """Whether it failed or leaked, so that a reader of a failed run looks for it."""
        failed = self.instance.failed or self.uncured > 0
        return failed or self.instance.outcome == "leaked"

    @property
    def uncured(self) -> int:
        """Count the failures that no rerun has cured."""
        return sum(not failure.failure.cured for failure in self.failures)


def story_of(instance: InstanceReport, number: int) -> StorySection:
    """Make an instance's story."""
    axis = Axis(max(_ends(instance), default=0.0))
    failures = tuple(
        FailureEntry(failure, f"i{number}-f{place}", instance.without_command(failure.message))
        for place, failure in enumerate(instance.failures, 1)
    )
    bad = [exchange.at for exchange in instance.exchanges if is_bad(exchange)]
    return StorySection(
        number,
        instance,
        axis,
        tuple(lanes_of(instance)),
        tuple(_words(instance.statuses, axis.seconds)),
        tuple(_calls(instance.exchanges)),
        tuple(_folded(sorted(_entries(instance, failures), key=lambda it: it.at))),
        failures,
        axis.marks(exchange.at for exchange in instance.exchanges),
        axis.marks(bad),
    )


def _ends(instance: InstanceReport) -> Iterator[float]:
    for timed in (instance.spans, instance.exchanges, instance.turns):
        yield from (one.at + (one.seconds or 0.0) for one in timed)
    for moments in (instance.statuses, instance.usage, instance.failures):
        yield from (moment.at for moment in moments)


def _words(statuses: Sequence[StatusReport], end: float) -> Iterator[tuple[StatusReport, float]]:
    ends = [*(status.at for status in statuses[1:]), end]
    for status, until in zip(statuses, ends, strict=False):
        yield status, until - status.at


def _calls(exchanges: Sequence[ExchangeReport]) -> Iterator[CallSummary]:
    by_call: dict[str, list[ExchangeReport]] = {}
    for exchange in exchanges:
        by_call.setdefault(exchange.call, []).append(exchange)
    for call, all_of_it in by_call.items():
        times = [exchange.seconds for exchange in all_of_it]
        yield CallSummary(
            call,
            all_of_it[0].method,
            all_of_it[0].path.partition("?")[0],
            len(all_of_it),
            sum(map(is_bad, all_of_it)),
            median(times),
            max(times),
        )


def _entries(instance: InstanceReport, failures: Iterable[FailureEntry]) -> Iterator[StoryRow]:
    # What begins at the same moment keeps this order.
    yield from (StoryRow("request", exchange.at, exchange) for exchange in instance.exchanges)
    yield from (StoryRow("status", status.at, status) for status in instance.statuses)
    yield from (StoryRow("chat", chat.turn.at, chat) for chat in chats_of(instance))
    yield from (StoryRow("usage", count.at, count) for count in instance.usage)
    yield from (StoryRow("failure", failure.failure.at, failure) for failure in failures)


def _folded(entries: Iterable[StoryRow]) -> Iterator[StoryRow]:
    for answer, group in groupby(entries, key=_answer):
        same = list(group)
        if answer is None or len(same) < FOLDED:
            yield from same
        else:
            exchanges = tuple(entry.it for entry in same if isinstance(entry.it, ExchangeReport))
            yield StoryRow("fold", same[0].at, Fold(exchanges))


def _answer(entry: StoryRow) -> tuple[str, int | None] | None:
    it = entry.it
    if not isinstance(it, ExchangeReport) or it.attempt > 1 or is_bad(it):
        return None
    return it.call, it.status
