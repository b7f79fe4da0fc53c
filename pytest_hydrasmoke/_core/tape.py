"""A chat turn as it came over the wire, byte for byte, written once its test passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.errors import HydraSmokeError, TransportError
from pytest_hydrasmoke._transport.protocol import Reply

if TYPE_CHECKING:
    from pytest_hydrasmoke._runtimes.content import Content

    from .chat import Ending
    from .turn_account import TurnAccount

Place = str | int | Mapping[str, str | int] | None
"""Which instance of its owner a turn was on, as the recording names it."""


@dataclass(slots=True, eq=False)
class Tape:
    """The recording of one turn; one entry per chat, however many requests it took."""

    message: str
    run: int
    instance: Place
    spec: Mapping[str, str]
    times: list[float] = field(default_factory=list[float])
    """When each chunk was read, in seconds since the request was sent."""
    pieces: list[bytes] = field(default_factory=list[bytes])
    """The raw chunks; all processing waits until the test is over."""
    text: list[str] = field(default_factory=list[str])
    """The reply's texts, one per event."""
    content: Content | None = None
    """Other content of the turn, where it was kept."""
    finish_reason: str | None = None
    runtimes: Sequence[str] = ()
    """The runtimes of its events, as the turn read them."""
    end: Ending = "left"
    refusal: Reply | None = None
    """An answer that was not a stream."""
    over: float = 0.0
    """When the turn was over, on the IO's clock."""
    account: TurnAccount | None = None
    """What bounds its LLM events, where they are counted."""

    def refused(self, error: HydraSmokeError) -> None:
        """Record the error that came instead of a stream."""
        if isinstance(error.answer, Reply):
            self.refusal = error.answer
        elif isinstance(error, TransportError):
            self.end = "stalled" if error.late else "cut"
