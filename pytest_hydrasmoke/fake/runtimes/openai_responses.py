"""OpenAI's Responses: a list of items, each sent as it grows and again when it is complete.

A tool's result is an item of its own, as Hermes sends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, MISHAP, Event, Frames, Said, ToolUse, named, pieces

_Fields = dict[str, Json]
_Kind = tuple[str, _Fields]
"""An event without its sequence number."""


def frames(said: Said) -> Frames:
    """Return a turn's frames."""
    before = [*_reasoning(said), *_tools(said)]
    spoken: list[_Kind] = [
        ("response.created", {"response": _response("in_progress")}),
        ("response.in_progress", {"response": _response("in_progress")}),
    ]
    for index, item in enumerate(before):
        spoken.append(_item("added", index, _begun(item)))
        at: _Fields = {"item_id": item["id"], "output_index": index}
        spoken += _thinking(at, said) if item["type"] == "reasoning" else _arguments(at, item)
        spoken.append(_item("done", index, item))
    index, message = len(before), _message(said)
    spoken.append(_item("added", index, _begun(message)))
    spoken.append(("response.content_part.added", {**_place(index), "part": _text_part("")}))
    spoken += [_text(index, piece) for piece in pieces(said.text)]
    closing: list[_Kind] = [
        ("response.output_text.done", {**_place(index), "text": said.text, "logprobs": []}),
        ("response.content_part.done", {**_place(index), "part": _text_part(said.text)}),
        _item("done", index, message),
        ("response.completed", {"response": _completed(said, [*before, message])}),
    ]
    failure: Json = {"code": "server_error", "message": MISHAP}
    failed: _Kind = ("response.failed", {"response": _response("failed", error=failure)})
    [more] = _numbered([_text(index, AGAIN)], len(spoken))
    return Frames(
        spoken=_numbered(spoken, 0),
        closing=_numbered(closing, len(spoken)),
        error=_numbered([failed], len(spoken)),
        more=more,
    )


def _item(what: str, index: int, item: _Fields) -> _Kind:
    return f"response.output_item.{what}", {"output_index": index, "item": item}


def _numbered(kinds: Iterable[_Kind], first: int) -> list[Event]:
    return [
        named(kind, sequence_number=number, **fields)
        for number, (kind, fields) in enumerate(kinds, first)
    ]


def _response(status: str, **fields: Json) -> _Fields:
    head: _Fields = {"id": "resp_smoke", "object": "response", "created_at": 0, "model": "smoke"}
    head |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, "status": status, "error": None, "output": [], "usage": None, **fields}


def _completed(said: Said, items: list[_Fields]) -> _Fields:
    read, written = said.input_tokens, said.output_tokens
    usage: Json = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": len(pieces(said.reasoning))},
        "total_tokens": read + written,
    }
    return _response("completed", output=items, usage=usage)


def _reasoning(said: Said) -> Iterator[_Fields]:
    if said.reasoning:
        summary: Json = [{"type": "summary_text", "text": said.reasoning}]
        yield {"id": "rs_smoke", "type": "reasoning", "status": "completed", "summary": summary}


def _tools(said: Said) -> Iterator[_Fields]:
    for tool in said.tools:
        yield _call(tool)
        if tool.result is not None:
            fields: _Fields = {"id": f"fco_{tool.id}", "type": "function_call_output"}
            yield {**fields, "call_id": tool.id, "status": "completed", "output": tool.result_text}


def _call(tool: ToolUse) -> _Fields:
    fields: _Fields = {"id": f"fc_{tool.id}", "type": "function_call", "status": "completed"}
    return {**fields, "call_id": tool.id, "name": tool.name, "arguments": tool.arguments_json}


def _message(said: Said) -> _Fields:
    fields: _Fields = {"id": "msg_smoke", "type": "message", "status": "completed"}
    return {**fields, "role": "assistant", "content": [_text_part(said.text)]}


def _text_part(text: str) -> _Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _begun(item: _Fields) -> _Fields:
    """Return an item in its initial, empty state."""
    empty: _Fields = {"content": [], "summary": [], "arguments": ""}
    inside = {name: value for name, value in empty.items() if name in item}
    return {**item, **inside, "status": "in_progress"}


def _thinking(at: _Fields, said: Said) -> Iterator[_Kind]:
    kind, place = "response.reasoning_summary", {**at, "summary_index": 0}
    yield f"{kind}_part.added", {**place, "part": {"type": "summary_text", "text": ""}}
    for piece in pieces(said.reasoning):
        yield f"{kind}_text.delta", {**place, "delta": piece}
    yield f"{kind}_text.done", {**place, "text": said.reasoning}
    part: Json = {"type": "summary_text", "text": said.reasoning}
    yield f"{kind}_part.done", {**place, "part": part}


def _arguments(at: _Fields, item: _Fields) -> Iterator[_Kind]:
    """Yield the arguments of a call; its result comes as a whole."""
    if isinstance(arguments := item.get("arguments"), str):
        for piece in pieces(arguments):
            yield "response.function_call_arguments.delta", {**at, "delta": piece}
        yield "response.function_call_arguments.done", {**at, "arguments": arguments}


def _place(index: int) -> _Fields:
    return {"item_id": "msg_smoke", "output_index": index, "content_index": 0}


def _text(index: int, piece: str) -> _Kind:
    return "response.output_text.delta", {**_place(index), "delta": piece, "logprobs": []}
