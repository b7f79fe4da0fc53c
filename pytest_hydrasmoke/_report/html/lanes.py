"""The spans of time of a page: phases in their lanes, and chat turns; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from pytest_hydrasmoke._journal.story import PHASES
from pytest_hydrasmoke._report.model import (
    FailureReport,
    InstanceReport,
    ThoughtReport,
    ToolCallReport,
    TurnReport,
)
from pytest_hydrasmoke._report.parts import SpanReport

from .axis import Axis

_SOON = 0.05
"""Two times closer than this many seconds are the same moment."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a transcript: `text` of the reply, a `tool` call, or a `thought`."""

    kind: str
    it: str | ToolCallReport | ThoughtReport


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
    def silent_from(self) -> float:
        """When its last event came, or else its beginning, in the instance's seconds."""
        return self.turn.at + (self.turn.seconds or 0.0)

    @property
    def silence(self) -> float:
        """How long it was silent before it failed."""
        return (self.broke_at or 0.0) - (self.turn.seconds or 0.0)

    @property
    def gap(self) -> tuple[float, float] | None:
        """The longest time without an event after the first: from, to."""
        ends = [*self.turn.arrivals, *([] if self.broke_at is None else [self.broke_at])]
        return max(pairwise(ends), key=lambda it: it[1] - it[0], default=None)


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time in a lane; `broke` where it ends in a failure."""

    at: float
    seconds: float
    broke: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A phase, with each of its spans."""

    phase: str
    bars: tuple[Bar, ...]
    longest: float


def chats_of(instance: InstanceReport) -> Iterator[Chat]:
    """Yield an instance's turns, each with the time of its failure."""
    for turn, after in zip(instance.turns, [*instance.turns[1:], None], strict=False):
        until = float("inf") if after is None else after.at
        yield Chat(turn, _broke_at(turn, until, instance.failures))


def _broke_at(turn: TurnReport, until: float, failures: Iterable[FailureReport]) -> float | None:
    if turn.error is None:
        return None
    return next(
        (
            failure.at - turn.at
            for failure in failures
            if failure.phase in ("first_event", "turn") and turn.at <= failure.at < until
        ),
        None,
    )


def lanes_of(instance: InstanceReport) -> Iterator[Lane]:
    """Yield the phases that an instance went through, in their order."""
    silences = [(_late(chat), chat) for chat in chats_of(instance)]
    for phase in PHASES:
        bars = [
            Bar(span.at, span.seconds, _ends_in_failure(span, instance.failures))
            for span in instance.spans
            if span.phase == phase
        ]
        late = [silence for silence in silences if silence[0] == phase]
        longest = [bar.seconds for bar in bars] + [chat.axis.seconds for _, chat in late]
        bars += [Bar(chat.silent_from, chat.silence, broke=True) for _, chat in late]
        if bars:
            yield Lane(phase, tuple(bars), max(longest))


def _late(chat: Chat) -> str | None:
    """Return the phase in which a chat's final silence falls."""
    if chat.broke_at is None or chat.silence < _SOON:
        return None
    return "turn" if chat.turn.events else "first_event"


def _ends_in_failure(span: SpanReport, failures: Iterable[FailureReport]) -> bool:
    end = span.at + span.seconds
    return any(
        failure.phase == span.phase and abs(failure.at - end) < _SOON for failure in failures
    )
