"""Anthropic's messages: blocks of thinking, tools and text, `message_start` to `message_stop`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, MISHAP, Event, Frames, Said, named, pieces


def frames(said: Said) -> Frames:
    """Return a turn's frames, without results of tools."""
    last = len(said.tools) + bool(said.reasoning)
    return Frames(
        spoken=[
            _start(said),
            named("ping"),
            *_thinking(said),
            *_tools(said),
            _open(last, type="text", text=""),
            *(_text(last, piece) for piece in pieces(said.text)),
        ],
        closing=[
            _close(last),
            named(
                "message_delta",
                delta={"stop_reason": "end_turn", "stop_sequence": None},
                usage={"output_tokens": said.output_tokens},
            ),
            named("message_stop"),
        ],
        error=[named("error", error={"type": "api_error", "message": MISHAP})],
        more=_text(last, AGAIN),
    )


def _start(said: Said) -> Event:
    message: dict[str, Json] = {"id": "msg_smoke", "type": "message", "role": "assistant"}
    message |= {"model": "smoke", "content": [], "stop_reason": None, "stop_sequence": None}
    usage: Json = {"input_tokens": said.input_tokens, "output_tokens": 1}
    return named("message_start", message={**message, "usage": usage})


def _thinking(said: Said) -> Iterator[Event]:
    if said.reasoning:
        yield _open(0, type="thinking", thinking="", signature="")
        for piece in pieces(said.reasoning):
            yield _delta(0, type="thinking_delta", thinking=piece)
        yield _delta(0, type="signature_delta", signature="c21va2U=")
        yield _close(0)


def _tools(said: Said) -> Iterator[Event]:
    for index, tool in enumerate(said.tools, start=bool(said.reasoning)):
        yield _open(index, type="tool_use", id=tool.id, name=tool.name, input={})
        for piece in pieces(tool.arguments_json):
            yield _delta(index, type="input_json_delta", partial_json=piece)
        yield _close(index)


def _text(index: int, piece: str) -> Event:
    return _delta(index, type="text_delta", text=piece)


def _open(index: int, **block: Json) -> Event:
    return named("content_block_start", index=index, content_block=block)


def _delta(index: int, **delta: Json) -> Event:
    return named("content_block_delta", index=index, delta=delta)


def _close(index: int) -> Event:
    return named("content_block_stop", index=index)
