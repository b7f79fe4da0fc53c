"""What can be seen of a chat turn, by whoever watches it."""

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
    """What watches a turn; by itself it does nothing.

    In this order: `begins` and `sends` before the message leaves, `sent` or `refused` after it,
    `saw` of each event, `failed` at most once, `ended` where the stream ran to its end, and
    `closed` in any case.
    """

    @property
    def tape(self) -> Tape | None:
        """What is recorded of the turn, once it was sent; None where nothing is."""
        return None

    async def begins(self) -> None:
        """Do what comes before a turn; nobody else has one on the instance. May raise."""

    def sends(self) -> None:
        """See the message off; may raise."""

    def sent(self, began: float) -> None:
        """See the message taken, by the attempt that began then."""

    def refused(self, error: HydraSmokeError) -> None:
        """See what came of the message instead of a stream."""

    def saw(self, event: ChatEvent, meaning: Meaning) -> None:
        """See an event as it is given."""

    def failed(self, error: HydraSmokeError) -> None:
        """See an error of the turn, before it is raised."""

    def ended(self) -> None:
        """See the end of the stream."""

    def closed(self, turn: Turn) -> None:
        """See the turn let go, before another may begin."""

    @property
    def end_is_known(self) -> bool:
        """Whether an earlier turn on the instance told its end."""
        return False

    def cut_by_a_limit(self, silence: float) -> bool:
        """See the stream break off after a silence, and tell whether that is as of a limit."""
        return is_limit(silence, ())
