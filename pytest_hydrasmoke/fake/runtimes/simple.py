"""Runtimes without a name: objects with `type` and `content`, named events, plain text."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, DONE, MISHAP, Event, Frames, Said, as_json, of_type, pieces


def object_frames(said: Said) -> Frames:
    """Return a turn's frames as objects."""
    aside = (of_type(kind, content=content) for kind, content in _aside(said))
    return Frames(
        spoken=[*aside, *(of_type("token", content=piece) for piece in pieces(said.text))],
        closing=[of_type("done")],
        error=[of_type("error", content=MISHAP)],
        more=of_type("token", content=AGAIN),
    )


def named_frames(said: Said) -> Frames:
    """Return a turn's frames as named events."""
    aside = (Event(as_json(content), kind) for kind, content in _aside(said))
    return Frames(
        spoken=[*aside, *(Event(piece, "token") for piece in pieces(said.text))],
        # Not empty: a compliant reader never sees an event without data.
        closing=[Event("{}", "done")],
        error=[Event(MISHAP, "error")],
        more=Event(AGAIN, "token"),
    )


def text_frames(said: Said) -> Frames:
    """Return the frames of the reply alone: this format has no place for more."""
    return Frames(
        spoken=[Event(piece) for piece in pieces(said.text)],
        closing=[DONE],
        error=[Event(MISHAP, "error")],
        more=Event(AGAIN),
    )


def _aside(said: Said) -> Iterator[tuple[str, Json]]:
    """Yield the content beside the reply, which readers must not take for text."""
    for piece in pieces(said.reasoning):
        yield "thinking", piece
    for tool in said.tools:
        yield "tool_call", {"id": tool.id, "name": tool.name, "arguments": tool.arguments}
        if tool.result is not None:
            yield "tool_result", {"id": tool.id, "content": tool.result}
