"""The AI SDK's UI message stream: parts of a message in steps, then `finish` and `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, DONE, MISHAP, Event, Frames, Said, of_type, pieces

_TEXT, _THOUGHT = "text_smoke", "thought_smoke"


def frames(said: Said) -> Frames:
    """Return a turn's frames; its usage is in the message's metadata, where servers put it."""
    tokens: Json = {"inputTokens": said.input_tokens, "outputTokens": said.output_tokens}
    return Frames(
        spoken=[
            of_type("start", messageId="msg_smoke"),
            of_type("start-step"),
            *_reasoning(said),
            *_tools(said),
            of_type("text-start", id=_TEXT),
            *(_text(piece) for piece in pieces(said.text)),
        ],
        closing=[
            of_type("text-end", id=_TEXT),
            of_type("finish-step"),
            of_type("finish", finishReason="stop", messageMetadata={"usage": tokens}),
            DONE,
        ],
        error=[of_type("error", errorText=MISHAP), DONE],
        more=_text(AGAIN),
    )


def _text(piece: str) -> Event:
    return of_type("text-delta", id=_TEXT, delta=piece)


def _reasoning(said: Said) -> Iterator[Event]:
    if said.reasoning:
        yield of_type("reasoning-start", id=_THOUGHT)
        for piece in pieces(said.reasoning):
            yield of_type("reasoning-delta", id=_THOUGHT, delta=piece)
        yield of_type("reasoning-end", id=_THOUGHT)


def _tools(said: Said) -> Iterator[Event]:
    for tool in said.tools:
        call: dict[str, Json] = {"toolCallId": tool.id, "toolName": tool.name}
        yield of_type("tool-input-start", **call)
        for piece in pieces(tool.arguments_json):
            yield of_type("tool-input-delta", toolCallId=tool.id, inputTextDelta=piece)
        yield of_type("tool-input-available", **call, input=tool.arguments)
        if tool.result is not None:
            yield of_type("tool-output-available", toolCallId=tool.id, output=tool.result)
    if said.tools:
        # The model's answer to the results is a step of its own.
        yield of_type("finish-step")
        yield of_type("start-step")
