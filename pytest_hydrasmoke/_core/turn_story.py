"""What is told of a chat turn: events in the journal, with texts up to a limit, and notes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pytest_hydrasmoke._journal.chat import (
    MOST_CALLS,
    MOST_OF_A_CALL,
    MOST_TEXT,
    Thought,
    Tokens,
    ToldCall,
    Turn,
    TurnBegan,
    TurnOver,
)
from pytest_hydrasmoke._journal.events import MOST_WORD, Doing
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.frame import whole
from pytest_hydrasmoke._runtimes.meaning import goes_on, has_said_all

from .account import TurnAccount
from .chat_target import ChatTarget
from .incoming import Incoming
from .times import pace
from .turn_end import UNENDED, UNREASONED, Outcome


class TurnStory:
    """Tells of a turn what its target keeps, and what the run's other processes must know."""

    def __init__(self, target: ChatTarget, message: str, came: Incoming, outcome: Outcome) -> None:
        self._target = target
        self._came = came
        self._outcome = outcome
        self._sent = Turn(0, message)
        """What was known as its message was sent; its number, among those of this process on the
        instance, is 0 before it begins."""
        self.at = 0.0
        """When its request was sent, on the IO's clock."""
        self.deadline = 0.0
        self._calling: str | None = None
        """The tool that it has told to be called by the agent now."""
        self._called = 0
        """How many it has told."""

    @property
    def has_begun(self) -> bool:
        """Whether its message may have left."""
        return self._sent.number > 0

    def begins(self, account: TurnAccount, at: float, timeout: float) -> None:
        """Tell that it begins, before its message leaves; raises `ConfigError` if it can't."""
        target, run, before = self._target, self._target.run_turns, account.before
        # What is said between tests is in no test's account.
        alone = run.stage.is_between
        test, repeat = (None, None) if alone else (run.stage.test or None, run.stage.repeat)
        began = TurnBegan(
            *(target.chats.times + 1, self._sent.message, test, repeat),
            before=before.count if before.error is None else None,
            sure=before.doubt is None,
            by=run.process,
            spec=target.spec_name,
        )
        run.begin(target.turns_name, began, at)
        self._sent, self.at, self.deadline = Turn(*began[:4]), at, at + timeout
        target.open_turn = self
        target.sink.note(began, at)
        target.sink.note(Doing("turn", self.deadline), at)

    def goes_on(self, content: Content, now: float) -> None:
        """Tell of the events since the last time."""
        target, unlooked = self._target, self._came.unlooked
        for event in unlooked:
            target.sightings.saw_event(event)
        unlooked.clear()
        # What is written must not grow with each event of a chat.
        calling = content.calling if self._called < MOST_CALLS else None
        if calling != self._calling:
            self._calling = calling
            self._called += calling is not None
            quoted = self._came.reading.quoted
            tool = calling and (calling[:MOST_WORD] if quoted else "a tool")
            target.sink.note(Doing("turn", self.deadline, tool), now)

    def ends(self, account: TurnAccount) -> None:
        """Tell how it went, before another turn may begin; nothing, if it has not begun."""
        if not self.has_begun:
            return
        target, came, now = self._target, self._came, self._outcome.at
        complete, known, how = came.end.complete, account.uncounted is None, self._outcome
        over = TurnOver(account.before.number, how.how, complete, known, how.late)
        target.run_turns.note(target.turns_name, over, now)
        account.over = over
        if came.content is not None:
            self.goes_on(came.content, now)
            self._tell_all(came.content, unended=account.unended)
        target.sink.note(Doing(None), now)

    def _tell_all(self, content: Content, *, unended: bool) -> None:
        target, first = self._target, self._came.times.first_event
        if first is not None:
            target.took("first_event", self.at, first)
            target.took("turn", self.at, self._came.duration)
        turn = self._whole(content)
        if target.open_turn is self:  # Else it was told at the run's end.
            target.open_turn = None
            target.sink.note(turn, self.at)
        odd = remarks(
            turn,
            unended=unended,
            unreasoned=self._came.end.unreasoned,
            calling=content.calling,
        )
        for words, brief in odd:
            target.sink.add_remark(words, brief)

    def so_far(self) -> Turn:
        """Return what is known of it by now."""
        came, outcome = self._came, self._outcome
        return self._sent._replace(
            taken=outcome.taken,
            text=came.reply[:MOST_TEXT],
            events=came.times.events,
            arrivals=tuple(came.times.arrivals),
            error=outcome.error,
        )

    def _whole(self, content: Content) -> Turn:
        """Return what is known of it once it is over."""
        came, times, runtimes = self._came, self._came.times, self._came.end.runtimes
        turn = self.so_far()._replace(
            complete=came.end.complete,
            finish_reason=came.end.finish_reason,
            first_text_after=times.first_text,
            max_gap=times.max_gap,
            models=tuple(came.end.models),
        )
        turn = with_content(turn, content)
        if times.first_event is not None:
            how = pace(times.texts, times.awaited, came.duration - times.first_event)
            turn = turn._replace(seconds=came.duration, pace=how)
        if len(runtimes) > 1:
            note = f"its frames are of {', then '.join(runtimes)}"
            turn = turn._replace(notes=(*turn.notes, note))
        return turn


def remarks(
    turn: Turn, *, unended: bool, unreasoned: bool, calling: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield notes on what is odd about a turn, each with its version without an agent's words."""
    reason = turn.finish_reason
    if unended:
        yield UNENDED, ""
    if unreasoned:
        yield UNREASONED, ""
    if turn.complete and goes_on(reason):
        brief = "a chat ended as its model waited for its tools"
        yield f"{brief}: it finished with {reason!r}", brief
    elif reason and not turn.error and not goes_on(reason) and not has_said_all(reason):
        brief = "a reply may be cut short"
        yield f"{brief}: it finished with {reason!r}", brief
    elif turn.complete and calling:
        brief = "a chat ended with a call of a tool"
        yield f"{brief}, and nothing after it: {calling}", brief
    for note in turn.notes:
        yield f"in a chat, {note}", "a chat had content that could not be read"


def with_content(turn: Turn, content: Content) -> Turn:
    """Add the tool calls, the reasoning and the tokens of a turn that is over."""
    calls, usage = tuple(_calls(content)), content.usage
    more = len(content.placed_calls) - MOST_CALLS
    notes = [f"{more} more tool calls are not kept"] if more > 0 else []
    return turn._replace(
        tool_calls=calls,
        thoughts=tuple(_thoughts(content, turn.text or "")),
        usage=None if usage is None else Tokens(usage.input_tokens, usage.output_tokens),
        notes=(*notes, *content.notes),
    )


def _thoughts(content: Content, text: str) -> Iterator[Thought]:
    room = MOST_TEXT
    for number, thought in enumerate(content.thoughts(text)):
        if room <= 0 or number == MOST_CALLS:
            return
        yield Thought(thought.text[:room], thought.at, thought.position)
        room -= len(thought.text)


def _calls(content: Content) -> Iterator[ToldCall]:
    room = MOST_TEXT
    for call, position in content.placed_calls[:MOST_CALLS]:
        most = min(room, MOST_OF_A_CALL)
        arguments, result = _shown(call.arguments, most), _shown(call.result, most)
        room = max(room - len(arguments or "") - len(result or ""), 0)
        yield ToldCall(call.name, call.id, arguments, result, call.at, position)


def _shown(value: object, most: int) -> str | None:
    """Return a value as JSON, or a string as it is, cut to `most` characters."""
    if value is None:
        return None
    text = value if isinstance(value, str) else _json(value)
    return whole(text[:most])


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"
