"""Goose: messages in pieces under one id, with tool results as the user's, and `Finish`."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, MISHAP, Event, Frames, Said, of_type, pieces


def frames(said: Said) -> Frames:
    """Return a turn's frames."""
    return Frames(
        spoken=[
            of_type("Ping"),
            *(
                _message(said, "assistant", type="thinking", thinking=piece, signature="")
                for piece in pieces(said.reasoning)
            ),
            *_tools(said),
            *(_text(said, piece) for piece in pieces(said.text)),
        ],
        closing=[of_type("Finish", reason="stop", token_state=_tokens(said))],
        error=[of_type("Error", error=MISHAP)],
        more=_text(said, AGAIN),
    )


def _tokens(said: Said) -> Json:
    read, written = said.input_tokens, said.output_tokens
    return {"inputTokens": read, "outputTokens": written, "totalTokens": read + written}


def _message(said: Said, role: str, **content: Json) -> Event:
    message: dict[str, Json] = {"id": f"msg_{role}", "role": role, "created": 0}
    message |= {"content": [content], "metadata": {"userVisible": True, "agentVisible": True}}
    return of_type("Message", message=message, token_state=_tokens(said))


def _text(said: Said, piece: str) -> Event:
    return _message(said, "assistant", type="text", text=piece)


def _tools(said: Said) -> Iterator[Event]:
    for tool in said.tools:
        call: Json = {"name": tool.name, "arguments": tool.arguments}
        # It is sent once it is complete, unlike text.
        yield _message(said, "assistant", type="toolRequest", id=tool.id, toolCall=_success(call))
        if tool.result is not None:
            content: Json = [{"type": "text", "text": tool.result_text}]
            given = _success({"content": content, "isError": False})
            yield _message(said, "user", type="toolResponse", id=tool.id, toolResult=given)


def _success(value: Json) -> Json:
    return {"status": "success", "value": value}
