"""OpenAI's chat completions: chunks with `choices`, then one with the usage, then `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, DONE, MISHAP, Event, Frames, Said, as_json, pieces


def frames(said: Said) -> Frames:
    """Return a turn's frames, without results of tools."""
    head: dict[str, Json] = {"role": "assistant", "content": ""}
    failure: Json = {"message": MISHAP, "type": "server_error", "code": None}
    return Frames(
        spoken=[chunk(head), *reasoning(said), *_tools(said), *text(said)],
        closing=[chunk({}, finish_reason="stop"), _usage(said), DONE],
        error=[Event(as_json({"error": failure}))],
        more=chunk({"content": AGAIN}),
    )


def chunk(delta: dict[str, Json], *, finish_reason: str | None = None, **more: Json) -> Event:
    """Return a chunk of one choice."""
    choice: Json = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _chunk([choice], **more)


def reasoning(said: Said) -> Iterator[Event]:
    """Yield the model's reasoning."""
    return (chunk({"reasoning_content": piece}) for piece in pieces(said.reasoning))


def text(said: Said) -> Iterator[Event]:
    """Yield the reply."""
    return (chunk({"content": piece}) for piece in pieces(said.text))


def usage(said: Said) -> dict[str, Json]:
    """Return a turn's token usage."""
    read, written = said.input_tokens, said.output_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _tools(said: Said) -> Iterator[Event]:
    for index, tool in enumerate(said.tools):
        function: Json = {"name": tool.name, "arguments": ""}
        yield _call({"index": index, "id": tool.id, "type": "function", "function": function})
        for piece in pieces(tool.arguments_json):
            yield _call({"index": index, "function": {"arguments": piece}})


def _call(call: Json) -> Event:
    return chunk({"tool_calls": [call]})


def _usage(said: Said) -> Event:
    return _chunk([], usage=usage(said))


def _chunk(choices: list[Json], **more: Json) -> Event:
    head: dict[str, Json] = {"id": "chatcmpl-smoke", "object": "chat.completion.chunk"}
    return Event(as_json({**head, "created": 0, "model": "smoke", "choices": choices, **more}))
