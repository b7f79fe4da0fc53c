"""OpenAI's chat completions and Responses, and Hermes Agent, which sends such chunks and two more.

Each function returns one turn's frames. Of Hermes, none contains the results of tools; its runs and
sessions repeat the whole reply at their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .frames import DONE, MISHAP, Event, Frames, named
from .records import Json
from .replies import Fields, Speech, ToolUse, as_json, pieces

# Chat completions: chunks with `choices`, then one with the usage, then `[DONE]`


def chat(said: Speech) -> Frames:
    """Send chunks, without results of tools."""
    spoken = [
        _chunk({"role": "assistant", "content": ""}),
        *_chunks("reasoning_content", pieces(said.reasoning)),
    ]
    for index, (call_id, tool) in enumerate(said.calls):
        function: Fields = {"name": tool.name, "arguments": ""}
        begun: Fields = {"id": call_id, "type": "function", "function": function}
        spoken.append(_chunk({"tool_calls": [{"index": index, **begun}]}))
        for piece in pieces(tool.written):
            grown: Fields = {"index": index, "function": {"arguments": piece}}
            spoken.append(_chunk({"tool_calls": [grown]}))
    failure: Json = {"message": MISHAP, "type": "server_error", "code": None}
    return Frames(
        [*spoken, *_chunks("content", said.words)],
        closing=[_chunk({}, "stop"), _choices([], usage=_usage(said)), DONE],
        error=[Event(as_json({"error": failure}))],
    )


def hermes(said: Speech) -> Frames:
    """Send Hermes' chunks: tools are named events between them."""
    spoken = [_chunk({"role": "assistant"}), *_chunks("reasoning_content", pieces(said.reasoning))]
    for call_id, tool in said.calls:
        head: Fields = {"tool": tool.name, "emoji": "🔧", "label": _preview(tool)}
        # While a tool runs there are keep-alives.
        for status, comment in (("running", "keepalive"), ("completed", None)):
            fields: Fields = {**head, "toolCallId": call_id, "status": status}
            spoken.append(Event(as_json(fields), "hermes.tool.progress", comment))
    failure: Fields = {
        "error": {"message": MISHAP, "type": "server_error"},
        "hermes": {"completed": False, "failed": True},
    }
    return Frames(
        [*spoken, *_chunks("content", said.words)],
        closing=[_chunk({}, "stop", usage=_usage(said)), DONE],
        # It fails, and sends its usual end all the same.
        error=[_chunk({}, "error", **failure), DONE],
    )


def _chunks(key: str, words: Iterable[str]) -> Iterable[Event]:
    return (_chunk({key: piece}) for piece in words)


def _chunk(delta: Fields, finish_reason: str | None = None, **more: Json) -> Event:
    return _choices([{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more)


def _choices(choices: Sequence[Fields], **more: Json) -> Event:
    head: Fields = {"id": "chatcmpl-smoke", "object": "chat.completion.chunk"}
    return Event(as_json({**head, "created": 0, "model": "smoke", "choices": choices, **more}))


def _usage(said: Speech) -> Fields:
    return said.usage("prompt_tokens", "completion_tokens", "total_tokens")


# Hermes' runs and sessions

_SESSION: Fields = {"session_id": "session_smoke", "run_id": "run_smoke"}
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def hermes_run(said: Speech) -> Frames:
    """Send a run's events: their kind is in the data."""

    def event(kind: str, comment: str | None = None, /, **fields: Json) -> Event:
        head: Fields = {"event": kind, "run_id": "run_smoke", "timestamp": 0.0}
        return Event(as_json({**head, **fields}), comment=comment)

    spoken = [event("reasoning.available", text=said.reasoning)] if said.reasoning else []
    for tool in said.tools:
        spoken.append(event("tool.started", "keepalive", tool=tool.name, preview=_preview(tool)))
        spoken.append(event("tool.completed", tool=tool.name, duration=0.0, error=False))
    ended: Fields = {"output": said.text, "usage": said.usage(*_TOKENS)}
    return Frames(
        [*spoken, *(event("message.delta", delta=piece) for piece in said.words)],
        closing=[event("run.completed", "stream closed", **ended)],
        error=[event("run.failed", "stream closed", error=MISHAP)],
    )


def hermes_session(said: Speech) -> Frames:
    """Send the named events of a session."""

    def event(kind: str, **fields: Json) -> Event:
        return Event(as_json({**fields, **_SESSION}), kind)

    def of_reply(kind: str, **fields: Json) -> Event:
        return event(kind, message_id="msg_smoke", **fields)

    asked: Fields = {"role": "user", "content": said.message}
    answer: Fields = {"role": "assistant", "content": said.text, "finish_reason": "stop"}
    spoken = [
        event("run.started", user_message=asked),
        event("message.started", message={"id": "msg_smoke", "role": "assistant"}),
        *(of_reply("reasoning.delta", delta=piece) for piece in pieces(said.reasoning)),
    ]
    for tool in said.tools:
        head: Fields = {"tool_name": tool.name, "preview": _preview(tool)}
        started = of_reply("tool.started", **head, args=tool.arguments)
        spoken.append(started._replace(comment="keepalive"))
        spoken.append(of_reply("tool.completed", **head, args=None))
    return Frames(
        [*spoken, *(of_reply("assistant.delta", delta=piece) for piece in said.words)],
        closing=[
            of_reply("assistant.completed", content=said.text, completed=True),
            event("run.completed", messages=[asked, answer], usage=said.usage(*_TOKENS)),
            event("done"),
        ],
        error=[event("error", message=MISHAP), event("done")],
    )


def _preview(tool: ToolUse) -> str:
    """Return the short form of a tool call: the first of its arguments."""
    first = next(iter(tool.arguments.values()), "")
    return first if isinstance(first, str) else as_json(first)


# Responses: a list of items, each sent as it grows and again when it is complete

_Kind = tuple[str, Fields]
"""An event without its sequence number."""
_EMPTY: Fields = {"content": [], "summary": [], "arguments": ""}
"""What is in an item, before it grows."""


def responses(said: Speech) -> Frames:
    """Send a response; a tool's result is an item of its own, as Hermes sends it."""
    items = [*_items(said)]
    kinds: list[_Kind] = [
        ("response.created", {"response": _response("in_progress")}),
        ("response.in_progress", {"response": _response("in_progress")}),
    ]
    for index, item in enumerate(items):
        inside = {name: value for name, value in _EMPTY.items() if name in item}
        begun = {**item, **inside, "status": "in_progress"}
        kinds.append(("response.output_item.added", {"output_index": index, "item": begun}))
        kinds += _grows(item, {"item_id": item["id"], "output_index": index}, said)
        kinds.append(("response.output_item.done", {"output_index": index, "item": item}))
    read, written, total = said.tokens
    usage: Fields = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": len(pieces(said.reasoning))},
        "total_tokens": total,
    }
    completed = _response("completed", output=items, usage=usage)
    kinds.append(("response.completed", {"response": completed}))
    failed = _response("failed", error={"code": "server_error", "message": MISHAP})
    # What ends the text, its part and its item is not spoken.
    spoken, closing = kinds[:-4], kinds[-4:]
    last = len(spoken) - 1  # It is there only if the agent goes on.
    return Frames(
        _numbered(spoken, 0),
        _numbered(closing, last),
        _numbered([("response.failed", {"response": failed})], last),
    )


def _numbered(kinds: Iterable[_Kind], first: int) -> list[Event]:
    return [
        named(kind, sequence_number=number, **fields)
        for number, (kind, fields) in enumerate(kinds, first)
    ]


def _response(status: str, **fields: Json) -> Fields:
    head: Fields = {"id": "resp_smoke", "object": "response", "created_at": 0, "model": "smoke"}
    head |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, "status": status, "error": None, "output": [], "usage": None, **fields}


def _items(said: Speech) -> Iterator[Fields]:
    def item(kind: str, its_id: str, /, **fields: Json) -> Fields:
        return {"id": its_id, "type": kind, "status": "completed", **fields}

    if said.reasoning:
        yield item("reasoning", "rs_smoke", summary=[_summary(said.reasoning)])
    for call_id, tool in said.calls:
        call: Fields = {"call_id": call_id, "name": tool.name, "arguments": tool.written}
        yield item("function_call", f"fc_{call_id}", **call)
        if tool.result is not None:
            told: Fields = {"call_id": call_id, "output": tool.result_text}
            yield item("function_call_output", f"fco_{call_id}", **told)
    yield item("message", "msg_smoke", role="assistant", content=[_text_part(said.text)])


def _grows(item: Fields, at: Fields, said: Speech) -> Iterator[_Kind]:
    """Yield what is added to an item; a tool's result comes as a whole."""
    if item["type"] == "reasoning":
        kind, place = "response.reasoning_summary", {**at, "summary_index": 0}
        yield f"{kind}_part.added", {**place, "part": _summary("")}
        for piece in pieces(said.reasoning):
            yield f"{kind}_text.delta", {**place, "delta": piece}
        yield f"{kind}_text.done", {**place, "text": said.reasoning}
        yield f"{kind}_part.done", {**place, "part": _summary(said.reasoning)}
    elif item["type"] == "message":
        place = {**at, "content_index": 0}
        yield "response.content_part.added", {**place, "part": _text_part("")}
        for piece in said.words:
            yield "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**place, "text": said.text, "logprobs": []}
        yield "response.content_part.done", {**place, "part": _text_part(said.text)}
    elif isinstance(written := item.get("arguments"), str):
        for piece in pieces(written):
            yield "response.function_call_arguments.delta", {**at, "delta": piece}
        yield "response.function_call_arguments.done", {**at, "arguments": written}


def _summary(text: str) -> Fields:
    return {"type": "summary_text", "text": text}


def _text_part(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
