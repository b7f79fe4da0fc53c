"""AG-UI: objects with types in capitals, `RUN_STARTED` to `RUN_FINISHED`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, MISHAP, Event, Frames, Said, of_type, pieces

_RUN = {"threadId": "thread_smoke", "runId": "run_smoke"}
_REPLY, _THOUGHT = "msg_smoke", "msg_thought"


def frames(said: Said) -> Frames:
    """Return a turn's frames; its usage is a list, as with several models."""
    usage: Json = [{"inputTokens": said.input_tokens, "outputTokens": said.output_tokens}]
    return Frames(
        spoken=[
            of_type("RUN_STARTED", **_RUN),
            *_reasoning(said),
            *_tools(said),
            of_type("TEXT_MESSAGE_START", messageId=_REPLY, role="assistant"),
            *(_text(piece) for piece in pieces(said.text)),
        ],
        closing=[
            of_type("TEXT_MESSAGE_END", messageId=_REPLY),
            of_type("RUN_FINISHED", **_RUN, usage=usage),
        ],
        error=[of_type("RUN_ERROR", message=MISHAP, code="agent_error")],
        more=_text(AGAIN),
    )


def _text(piece: str) -> Event:
    return of_type("TEXT_MESSAGE_CONTENT", messageId=_REPLY, delta=piece)


def _reasoning(said: Said) -> Iterator[Event]:
    if said.reasoning:
        yield of_type("REASONING_START", messageId=_THOUGHT)
        yield of_type("REASONING_MESSAGE_START", messageId=_THOUGHT, role="reasoning")
        for piece in pieces(said.reasoning):
            yield of_type("REASONING_MESSAGE_CONTENT", messageId=_THOUGHT, delta=piece)
        yield of_type("REASONING_MESSAGE_END", messageId=_THOUGHT)
        yield of_type("REASONING_END", messageId=_THOUGHT)


def _tools(said: Said) -> Iterator[Event]:
    for tool in said.tools:
        yield of_type("TOOL_CALL_START", toolCallId=tool.id, toolCallName=tool.name)
        for piece in pieces(tool.arguments_json):
            yield of_type("TOOL_CALL_ARGS", toolCallId=tool.id, delta=piece)
        yield of_type("TOOL_CALL_END", toolCallId=tool.id)
        if tool.result is not None:
            yield of_type(
                "TOOL_CALL_RESULT",
                messageId=f"msg_{tool.id}",
                toolCallId=tool.id,
                role="tool",
                content=tool.result_text,
            )
