"""What an observer can see of a chat turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._sse.decoder import ChatEvent

from .pauses import is_limit

if TYPE_CHECKING:
    from .chat import Turn
    from .tape import Tape


class TurnObserver:
    """Observes a turn; the base class does nothing.

    Called in this order: `begins` and `sends` before the message leaves, `sent` or `refused` after
    it, `saw` per event, `failed` at most once, `ended` where the stream ran to its end, and
    `closed` in any case.
    """

    @property
    def tape(self) -> Tape | None:
        """The recording of the turn, once it was sent; None where nothing is recorded."""
        return None

    async def begins(self) -> None:
        """Prepare for a turn; no other is open on the instance. May raise."""

    def sends(self) -> None:
        """Called before the message is sent; may raise."""

    def sent(self, began: float) -> None:
        """Called when the message was accepted; `began` is the start of that attempt."""

    def uncounted(self, words: str) -> None:
        """Called where a replay can't know the turn's LLM events; `words` say why."""

    def refused(self, error: HydraSmokeError) -> None:
        """Called with the error that came instead of a stream."""

    def saw(self, event: ChatEvent, meaning: Meaning) -> None:
        """Called for each event before it is returned."""

    def failed(self, error: HydraSmokeError) -> None:
        """Called with an error of the turn, before it is raised."""

    def ended(self) -> None:
        """Called at the end of the stream."""

    def closed(self, turn: Turn) -> None:
        """Called when the turn is released, before another may begin."""

    @property
    def end_is_known(self) -> bool:
        """Whether an earlier turn on the instance had a terminal event."""
        return False

    def cut_by_a_limit(self, silence: float) -> bool:
        """Record a stream cut after a silence; return whether that looks like a time limit."""
        return is_limit(silence, ())
