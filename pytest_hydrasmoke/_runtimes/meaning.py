"""What one event of a chat stream means."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """Say what one event adds to a chat turn."""

    text: str = ""
    """What to append to the reply, with nothing between."""
    end: bool = False
    """Whether it is the turn's terminal event."""
    of_message: bool = False
    """Whether that end is a message's: more follow where the model has stopped for its tools."""
    error: str | None = None
    """The agent's error, never empty; None where the event reports none."""
    finish: str | None = None
    """Why the model stopped, in the runtime's own word; the stream may go on for a while."""
    whole: str = ""
    """The reply once more, as a whole: it counts where no piece of it has come."""
    runtime: str | None = None
    """The runtime that it is of, which tells the end of every turn: without one, a reply was cut.
    None where its words are everybody's."""


NOTHING = Meaning()
NO_MESSAGE = "the agent reports an error, and no message with it"
