"""What the tests of the runtimes share: the meaning of one event, and of a whole transcript."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._runtimes.meaning import Meaning, Part
from pytest_hydrasmoke._runtimes.read import read as read_event
from pytest_hydrasmoke._runtimes.reader import Reader
from pytest_hydrasmoke._sse.decoder import ChatEvent, SseDecoder

DATA = Path(__file__).parents[1] / "data" / "sse"
DONE = "data: [DONE]\n\n"


def read_one(data: object, event: str = "message") -> Meaning:
    """Return the meaning of one event; data other than a string is sent as JSON."""
    it = ChatEvent(event, data if isinstance(data, str) else json.dumps(data))
    found, reader = read_event(it), Reader()
    # Once it is known what surrounds its text, it is read in another way.
    assert [reader.read(it) for _ in range(3)] == [found] * 3
    assert reader.speaking([it]) == 0 or found == Meaning(
        found.text, models=found.models, runtime=found.runtime
    )
    return found


def known(data: object, event: str = "message") -> Meaning:
    """Return the same without its parts."""
    return read_one(data, event)._replace(parts=())


def parts_of(data: object, event: str = "message") -> list[Part]:
    """Return its parts."""
    return list(read_one(data, event).parts)


def of(data: object, event: str = "message") -> Meaning:
    """Return what one event says, whichever runtime it is of."""
    return known(data, event)._replace(finish=None, runtime=None, of_message=False)


@dataclass(frozen=True)
class Said:
    """A transcript, as it is read."""

    text: str = "Hello, world"
    ends: int = 0
    """How many of its events end the turn."""
    errors: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    """Why the model stopped, each time that it is told."""
    always_ends: bool = True


def body(name: str) -> str:
    """Return a transcript of `Hello, world` and much that is no text, up to its end."""
    return (DATA / f"{name}.sse").read_text("utf-8")


def read(transcript: str) -> Said:
    events = SseDecoder().feed(transcript.encode())
    meanings = [known(event.data, event.event) for event in events]
    return Said(
        "".join(it.text for it in meanings),
        sum(it.end for it in meanings),
        tuple(it.error for it in meanings if it.error is not None),
        tuple(it.finish for it in meanings if it.finish is not None),
        any(it.runtime is not None for it in meanings),
    )
