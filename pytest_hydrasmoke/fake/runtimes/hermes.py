"""Hermes Agent, which has three streams: OpenAI's chunks with additions, runs, and sessions.

None of them contains the results of tools. Runs and sessions repeat the whole reply at their end.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_hydrasmoke.fake.records import Json

from . import openai
from .frames import AGAIN, DONE, MISHAP, Event, Fields, Frames, Said, ToolUse, as_json, pieces

_RUN, _SESSION, _MESSAGE = "run_smoke", "session_smoke", "msg_smoke"
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def chat_frames(said: Said) -> Frames:
    """Return the frames of its chat completions: tools are named events between the chunks."""
    spoken = [openai.chunk({"role": "assistant"})]
    spoken += openai.chunks("reasoning_content", said.reasoning)
    for tool in said.tools:
        # While a tool runs there are keep-alives.
        spoken.append(_progress(tool, "running")._replace(comment="keepalive"))
        spoken.append(_progress(tool, "completed"))
    failure: Fields = {
        "error": {"message": MISHAP, "type": "server_error"},
        "hermes": {"completed": False, "failed": True},
    }
    return Frames(
        spoken=[*spoken, *openai.chunks("content", said.text)],
        closing=[openai.chunk({}, finish_reason="stop", usage=openai.usage(said)), DONE],
        # It fails, and sends its usual end all the same.
        error=[openai.chunk({}, finish_reason="error", **failure), DONE],
        more=openai.chunk({"content": AGAIN}),
    )


def _progress(tool: ToolUse, status: str) -> Event:
    fields: Fields = {"tool": tool.name, "emoji": "🔧", "label": _preview(tool)}
    fields |= {"toolCallId": tool.id, "status": status}
    return Event(as_json(fields), "hermes.tool.progress")


def _preview(tool: ToolUse) -> str:
    """Return the short form of a tool call: the first of its arguments."""
    first = next(iter(tool.arguments.values()), "")
    return first if isinstance(first, str) else as_json(first)


def run_frames(said: Said) -> Frames:
    """Return a turn's frames as a run's events: their kind is in the data."""
    spoken = [_of_run("reasoning.available", text=said.reasoning)] if said.reasoning else []
    for tool in said.tools:
        started = _of_run("tool.started", tool=tool.name, preview=_preview(tool))
        spoken.append(started._replace(comment="keepalive"))
        spoken.append(_of_run("tool.completed", tool=tool.name, duration=0.0, error=False))
    spoken += [_of_run("message.delta", delta=piece) for piece in pieces(said.text)]
    completed = _of_run("run.completed", output=said.text, usage=said.usage(*_TOKENS))
    return Frames(
        spoken=spoken,
        closing=[completed._replace(comment="stream closed")],
        error=[_of_run("run.failed", error=MISHAP)._replace(comment="stream closed")],
        more=_of_run("message.delta", delta=AGAIN),
    )


def _of_run(kind: str, **fields: Json) -> Event:
    return Event(as_json({"event": kind, "run_id": _RUN, "timestamp": 0.0, **fields}))


def session_frames(said: Said) -> Frames:
    """Return a turn's frames as the named events of a session."""
    asked: Json = {"role": "user", "content": said.message}
    answer: Json = {"role": "assistant", "content": said.text, "finish_reason": "stop"}
    return Frames(
        spoken=[
            _of_session("run.started", user_message=asked),
            _of_session("message.started", message={"id": _MESSAGE, "role": "assistant"}),
            *(_of_message("reasoning.delta", delta=piece) for piece in pieces(said.reasoning)),
            *_session_tools(said),
            *(_of_message("assistant.delta", delta=piece) for piece in pieces(said.text)),
        ],
        closing=[
            _of_message("assistant.completed", content=said.text, completed=True),
            _of_session("run.completed", messages=[asked, answer], usage=said.usage(*_TOKENS)),
            _of_session("done"),
        ],
        error=[_of_session("error", message=MISHAP), _of_session("done")],
        more=_of_message("assistant.delta", delta=AGAIN),
    )


def _session_tools(said: Said) -> Iterator[Event]:
    for tool in said.tools:
        fields: Fields = {"tool_name": tool.name, "preview": _preview(tool)}
        started = _of_message("tool.started", **fields, args=tool.arguments)
        yield started._replace(comment="keepalive")
        yield _of_message("tool.completed", **fields, args=None)


def _of_message(kind: str, **fields: Json) -> Event:
    return _of_session(kind, message_id=_MESSAGE, **fields)


def _of_session(kind: str, **fields: Json) -> Event:
    return Event(as_json({**fields, "session_id": _SESSION, "run_id": _RUN}), kind)
