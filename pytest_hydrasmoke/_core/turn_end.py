"""How a turn ends: by what its events have meant, and by what became of its message; pure rules.

A turn ends at its terminal event, not where the connection happens to end: a cut connection can
look just like a closed one. If the model has given a finish reason, the end of the stream will do.
What is said, thought or called after an end takes that end back: the agent goes on, and needs
another one. Some models give the same reason whether they stop for their tools or for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_hydrasmoke._api.retry import RULES
from pytest_hydrasmoke._base.errors import (
    ChatTimeoutError,
    HydraSmokeError,
    RouterError,
    TransportError,
)
from pytest_hydrasmoke._journal.chat import MOST_MODELS
from pytest_hydrasmoke._runtimes.meaning import Meaning, ToolCalled, goes_on
from pytest_hydrasmoke._runtimes.openai import CHAT
from pytest_hydrasmoke._transport.protocol import Answer

from .policy import EndRule

UNENDED = "a chat's stream ended without a terminal event"
"""The note on a turn that no rule could call cut, nor whole."""
UNREASONED = "a chat ended without a finish reason: its reply may be cut"
"""The note on a turn that has ended as a crashed agent's may: some right ones never give one."""
BROKEN_JSON = "the stream is broken: the JSON of an event can't be read"
"""The error of a turn whose runtime sends nothing but whole objects."""
OTHER_TURN = "text came after the reply's end: a part of the stream is another turn's"
"""The error of a turn in whose stream another one's reply stands."""
NOT_MIXED = "one reply, and nothing after its finish reason and [DONE] but what belongs to it"
_OWN_ENDS = frozenset({"AG-UI", "Anthropic", "Goose", "Hermes"})
"""Runtimes that always send an end of their own, which `[DONE]` is not."""
AFTER_END = 2.0
"""Seconds without an event after the terminal one until the turn counts as over."""
WAITING = 0.25
"""Seconds for what has come after it, and waits to be read, where its reader was away."""
AGENTS_LOG = "see the agent's log of this turn"
IF_LATE = (
    "raise HYDRA_SMOKE_CHAT_TIMEOUT, or this chat's own timeout, if turns take longer, "
    f"else {AGENTS_LOG}"
)
Ending = Literal["closed", "cut", "stalled", "left"]
"""How a stream ended: by itself, lost, at the turn's deadline, or left by its reader."""


class Cut(NamedTuple):
    """How a stream that ended has lost something."""

    what: str
    why: str = ""
    expected: str | None = None
    next_step: str = AGENTS_LOG


class TurnEnd:
    """What the events of a turn mean for its end."""

    def __init__(self, rule: EndRule) -> None:
        self.rule: EndRule = rule
        self.complete = False
        self.finish_reason: str | None = None
        self.runtimes: list[str] = []
        self.models: list[str] = []
        """The models that it named, in their order; of many, the first."""
        self.told = False
        """Whether a terminal event came, and nothing took it back."""
        self._broken = self._done_alone = self._done = False
        self._finished: str | None = None
        """The id of the reply that has stopped for good."""
        self._called = False
        """Whether a tool was called since the last finish reason: another reply may follow it."""

    @property
    def may_be_over(self) -> bool:
        """Whether an end has come, taken back or not: what comes now may be another turn's."""
        ended = self._done or self._finished is not None
        return ended or self.complete or self.finish_reason is not None

    @property
    def unreasoned(self) -> bool:
        """Whether it ended without the finish reason that its runtime should give."""
        alone = self._done_alone and len(self.runtimes) == 1
        return self.complete and not self.finish_reason and alone

    def saw(self, known: Meaning) -> None:
        """Record what an event means."""
        if (self.complete or self.finish_reason) and known.says_more:
            self.complete, self.finish_reason = False, None
            self._done_alone = False
        if known.finish is not None:
            self.finish_reason = known.finish
        if known.runtime is not None and known.runtime not in self.runtimes:
            self.runtimes.append(known.runtime)
        for model in known.models:
            if model not in self.models and len(self.models) < MOST_MODELS:
                self.models.append(model)
        own = not _OWN_ENDS.isdisjoint(self.runtimes) and CHAT not in self.runtimes
        if known.end and not (known.done and own):
            self._done_alone |= known.done and not self.complete
            # A message that stops for tool calls is not the last: the agent goes on with another,
            # or it has died in its tools.
            self.complete |= not (known.of_message and goes_on(self.finish_reason))
        self._done |= known.done and self.complete
        self._called |= any(isinstance(part, ToolCalled) for part in known.parts)
        if known.finish is not None:
            if not (self._called or goes_on(known.finish)):
                self._finished = known.reply
            self._called = False
        self.told = self.complete

    def is_passed_by(self, known: Meaning) -> bool:
        """Return whether an event is another turn's: text after `[DONE]`, or of a further reply.

        What has the id of the reply that has ended is a late piece of it.
        """
        further = self._finished is not None and known.reply not in (None, self._finished)
        return bool(known.text.strip()) and (self._done or further)

    def is_broken_by(self, known: Meaning) -> bool:
        """Return whether an event shows that the stream is broken: a runtime sends objects alone.

        What begins as one may be the first that comes.
        """
        self._broken |= known.broken
        return (known.loose or self._broken) and bool(self.runtimes or known.runtime)

    def stream_ended(self, *, in_an_event: bool, end_is_known: bool) -> Cut | None:
        """Record the stream's end without a terminal event; return what was cut, if anything was.

        `end_is_known`: whether an earlier turn on the instance had a terminal event.
        """
        waits = goes_on(self.finish_reason)
        if self.finish_reason and not waits:
            self.complete = True
            return None
        if in_an_event:
            # An agent that says no more ends its last event; what is left was cut.
            what = "the reply was cut: its stream ended in the middle of an event"
            return Cut(what, expected="a blank line after the last event")
        if self.rule == "required":
            why = "as the settings require"
        elif self.rule == "optional":
            return None
        elif waits:
            why = f"as its model stopped for its tools ({self.finish_reason})"
        elif self.runtimes:
            # A router may end the stream of a crashed agent as it ends any other.
            why = "as this runtime always sends one"
        elif end_is_known:
            why = "as an earlier turn of this instance had one"
        else:
            return None
        return Cut(
            "the reply was cut: its stream ended without a terminal event",
            expected=f"an event that ends the turn, {why} (chat_end = {self.rule})",
            next_step=f"{AGENTS_LOG}; if its runtime sends no terminal event, set "
            'chat_end = "optional"',
        )


@dataclass(slots=True, eq=False)
class Outcome:
    """What became of a turn's message and its stream, whatever its events mean."""

    taken: bool = False
    """Whether the message was accepted."""
    ending: Ending = "left"
    at: float = 0.0
    """When the stream ran to its end, or its reader left it, on the IO's clock."""
    ran_to_its_end: bool = False
    """Whether nothing more can come of it, and nothing is missing: true once that is known."""
    late: bool = False
    """Whether its reader came back to it long after the last of it had come."""
    error: str | None = None
    refusal: Answer | None = None
    """An answer that was not a stream."""
    may_run: bool = True
    """Whether the agent may have processed the message."""

    @property
    def how(self) -> str:
        """How it ended, for those who wait for its LLM events: see `TurnOver`."""
        if not self.may_run:
            return "refused"
        if self.error is not None:
            return "failed"
        return "ended" if self.ran_to_its_end else "left"

    def refused(self, refusal: HydraSmokeError) -> None:
        """Record that no stream came of the message."""
        if isinstance(refusal.answer, Answer):
            self.refusal = refusal.answer
        if isinstance(refusal, TransportError):
            self.ending = "stalled" if refusal.late else "cut"
            self.may_run = refusal.reached
        elif isinstance(refusal, RouterError):
            code = refusal.status_code
            self.may_run = code == 408 or not (400 <= code < 500 or code == 503)


def not_taken(refusal: HydraSmokeError, timeout: float) -> ChatTimeoutError | None:
    """Return the error for a message not accepted in time; None for any other refusal."""
    if isinstance(refusal, RouterError):
        if refusal.status_code not in RULES["chat"].again:
            return None
        late = ChatTimeoutError(f"not accepted within {timeout:g} s: {refusal.message}")
        # The agent has never seen the message.
        late.next_step = refusal.next_step
        return late
    if isinstance(refusal, TransportError) and refusal.late:
        words = f"not answered within {timeout:g} s: {refusal.message}"
        return ChatTimeoutError(words, next_step=IF_LATE)
    return None
