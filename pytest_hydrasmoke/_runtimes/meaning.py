"""What one event of a chat stream means."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """What one event adds to a chat turn."""

    text: str = ""
    """What to append to the reply, with nothing between."""
    end: bool = False
    """Whether it is the turn's terminal event."""
    of_message: bool = False
    """Whether that end is only a message's: more follow if the model has stopped for its tools."""
    begins: bool = False
    """Whether a message, or a run, begins: what ended before was not the turn."""
    error: str | None = None
    """The agent's error, never empty; None where the event reports none."""
    finish: str | None = None
    """Why the model stopped, in the runtime's own word; the stream may go on for a while."""
    whole: str = ""
    """The whole reply once more: used only if no piece of it has come."""
    runtime: str | None = None
    """Its runtime, if that always sends a terminal event: without one, a reply was cut.
    None for words that runtimes share."""


NOTHING = Meaning()
NO_MESSAGE = "the agent reports an error, and no message with it"
