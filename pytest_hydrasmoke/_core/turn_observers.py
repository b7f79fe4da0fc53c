"""The observers of a chat turn: the log of its instance's turns, and the instance's record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import (
    HydraSmokeError,
    RouterError,
    TransportError,
    hide_own_frames,
)
from pytest_hydrasmoke._journal.events import TurnBegan
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.finish import goes_on, is_cut_short
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._sse.decoder import ChatEvent

from .account import ToCome, open_account
from .chat import Turn
from .kept_content import keep_content
from .moments import TurnStory
from .observer import TurnObserver
from .pauses import pace
from .record import InstanceRecord
from .settle import How
from .tape import Tape
from .turn_account import TurnAccount
from .turn_end import UNENDED
from .turn_log import TurnLog

__tracebackhide__ = hide_own_frames

LOOKED_AT = 20
"""How many of a turn's first events are recorded as forms; its last one is too."""


class LogObserver(TurnObserver):
    """Writes a turn's start and end into the log of its instance: later turns wait for it.

    `count` is what was counted before the turn, and `sure` if that includes all events of earlier
    ones. This observer counts nothing, so that the LLM events that come then can't be attributed.
    """

    def __init__(self, log: TurnLog, message: str, now: Callable[[], float]) -> None:
        self._log = log
        self._message = message
        self._now = now
        self._tape: Tape | None = None
        self.count: int | None = None
        self.sure = False
        self._before = log.history
        self._logged = self._failed = False
        self._ended: float | None = None

    async def begins(self) -> None:
        self._log.refresh(self._now())

    def sends(self) -> None:
        self._before = self._log.history
        self._log.begin(self.count, self._now(), sure=self.sure)
        self._logged = True
        self._tape = self._log.tape(self._message)

    @property
    def tape(self) -> Tape | None:
        return self._tape

    def refused(self, error: HydraSmokeError) -> None:
        if self._tape is not None:
            self._tape.refused(error)
        if not _may_run(error):
            self._logged = False
            self._log.undo(self._before)

    def failed(self, error: HydraSmokeError) -> None:
        self._failed = True

    def ended(self) -> None:
        if self._ended is None:
            self._ended = self._now()

    def closed(self, turn: Turn) -> None:
        if (tape := self._tape) is not None:
            tape.content = turn.content
            tape.finish_reason, tape.runtimes = turn.finish_reason, turn.runtimes
            tape.over = self._now() if self._ended is None else self._ended
            if turn.ending != "left":
                tape.end = turn.ending
        if not self._logged:
            return
        how: How = "ended"
        if self._failed:
            how = "failed"
        elif self._ended is None:
            how = "left"
        at = self._now() if self._ended is None else self._ended
        self._log.end(how, at, end_seen=turn.complete)

    @property
    def end_is_known(self) -> bool:
        return self._log.history.end_seen

    def cut_by_a_limit(self, silence: float) -> bool:
        return self._log.cut_by_a_limit(silence)


def _may_run(refusal: HydraSmokeError) -> bool:
    """Return whether the agent may process a message although no stream came of it."""
    if isinstance(refusal, TransportError):
        return refusal.reached
    if isinstance(refusal, RouterError):
        code = refusal.status_code
        return code == 408 or not (400 <= code < 500 or code == 503)
    return True


class RecordObserver(LogObserver):
    """Counts the LLM events before a turn, and records in the instance's record too how it went."""

    def __init__(
        self,
        calls: Calls,
        record: InstanceRecord,
        message: str,
        content: Content,
        *,
        timeout: float,
        baseline_timeout: float,
        settle: float,
        to_come: ToCome | None = None,
    ) -> None:
        super().__init__(record.log, message, calls.io.now)
        self._calls = calls
        self._record = record
        self._content = content
        self._timeout = timeout
        self._baseline_timeout = baseline_timeout
        self._settle = settle
        self._to_come = to_come
        self.account: TurnAccount | None = None
        """What bounds its LLM events, once it has begun."""
        self._story: TurnStory | None = None
        self._texts = 0

    async def begins(self) -> None:
        record = self._record
        record.permit()
        baseline = await open_account(
            self._calls,
            record,
            timeout=self._baseline_timeout,
            settle=self._settle,
            to_come=self._to_come,
        )
        # The wait may have been long.
        record.permit()
        number = self._log.history.number + 1
        self.account = record.opens_account(replace(baseline, number=number))
        now = self._now()
        story = TurnStory(record.chats + 1, self._message, now, self._log.test, self._log.run)
        self._story = record.open_turn = story
        record.note(TurnBegan(story.number, story.message, story.test, story.run), now)
        record.begins("turn", now, now + self._timeout)
        if baseline.error is None:
            self.count = baseline.count
            self.sure = baseline.doubt is None or baseline.doubt.counts

    def _open_story(self) -> TurnStory:
        assert self._story is not None  # It has begun, and is not closed.
        return self._story

    def sends(self) -> None:
        super().sends()
        assert self.account is not None  # It has begun.
        if self._tape is not None:
            self._tape.account, self.account.recorded = self.account, True

    def sent(self, began: float) -> None:
        story = self._open_story()
        story.taken, story.at = True, began

    def uncounted(self, words: str) -> None:
        assert self.account is not None  # It has begun.
        self.account.uncounted = words
        self._log.leaves_unknown()

    def saw(self, event: ChatEvent, meaning: Meaning) -> None:
        story = self._open_story()
        story.saw(event.at, meaning.text)
        if meaning.text:
            self._texts += 1
        if self._content.calling != self._record.calling:
            self._record.calls(self._content.calling)
        if story.events <= LOOKED_AT or meaning.end:
            self._record.sightings.saw_event(event)

    def failed(self, error: HydraSmokeError) -> None:
        super().failed(error)
        self._open_story().error = error.message
        self._record.fails(error, type(error).__name__, self._now())

    def closed(self, turn: Turn) -> None:
        super().closed(turn)
        story, self._story = self._story, None
        if story is None:
            return
        story.complete = turn.complete
        story.finish_reason = turn.finish_reason
        story.first_text_after, story.max_gap = turn.first_text_after, turn.max_gap
        keep_content(story, self._content)
        if turn.first_event_after is not None:
            story.seconds = turn.duration
            self._record.took("first_event", story.at, turn.first_event_after)
            self._record.took("turn", story.at, turn.duration)
            spread = turn.duration - turn.first_event_after
            story.pace = pace(self._texts, turn.awaited, spread)
        if len(turn.runtimes) > 1:
            story.notes.append(f"its frames are of {', then '.join(turn.runtimes)}")
        if self._record.open_turn is story:  # Else it was told at the run's end.
            self._record.end_turn()
        self._record.rests()
        if turn.over and not turn.complete:
            self._record.add_remark(UNENDED)
            assert self.account is not None  # It has begun.
            self.account.unended = True
        reason = turn.finish_reason
        if reason is not None and is_cut_short(reason):
            brief = "a reply was cut short"
            self._record.add_remark(f"{brief}: it finished with {reason!r}", brief)
        if turn.complete and goes_on(reason):
            brief = "a chat ended as its model waited for its tools"
            self._record.add_remark(f"{brief}: it finished with {reason!r}", brief)
        for note in story.notes:
            self._record.add_remark(
                f"in a chat, {note}", "a chat had content that could not be read"
            )
