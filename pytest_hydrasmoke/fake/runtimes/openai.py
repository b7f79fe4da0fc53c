"""OpenAI's chat completions and Responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_hydrasmoke.fake.records import Json

from .frames import AGAIN, DONE, MISHAP, Event, Fields, Frames, Said, as_json, named, pieces

# Chat completions: chunks with `choices`, then one with the usage, then `[DONE]`


def chat(said: Said) -> Frames:
    """Return a turn's chunks, without results of tools."""
    failure: Json = {"message": MISHAP, "type": "server_error", "code": None}
    return Frames(
        spoken=[
            chunk({"role": "assistant", "content": ""}),
            *chunks("reasoning_content", said.reasoning),
            *_tools(said),
            *chunks("content", said.text),
        ],
        closing=[chunk({}, finish_reason="stop"), _chunk([], usage=usage(said)), DONE],
        error=[Event(as_json({"error": failure}))],
        more=chunk({"content": AGAIN}),
    )


def chunk(delta: Fields, *, finish_reason: str | None = None, **more: Json) -> Event:
    return _chunk([{"index": 0, "delta": delta, "finish_reason": finish_reason}], **more)


def chunks(key: str, text: str) -> list[Event]:
    """Return a chunk for each piece of a text."""
    return [chunk({key: piece}) for piece in pieces(text)]


def usage(said: Said) -> Fields:
    return said.usage("prompt_tokens", "completion_tokens", "total_tokens")


def _tools(said: Said) -> Iterator[Event]:
    for index, tool in enumerate(said.tools):
        function: Json = {"name": tool.name, "arguments": ""}
        yield _call({"index": index, "id": tool.id, "type": "function", "function": function})
        for piece in pieces(tool.arguments_json):
            yield _call({"index": index, "function": {"arguments": piece}})


def _call(call: Json) -> Event:
    return chunk({"tool_calls": [call]})


def _chunk(choices: list[Json], **more: Json) -> Event:
    head: Fields = {"id": "chatcmpl-smoke", "object": "chat.completion.chunk"}
    return Event(as_json({**head, "created": 0, "model": "smoke", "choices": choices, **more}))


# Responses: a list of items, each sent as it grows and again when it is complete

_Kind = tuple[str, Fields]
"""An event without its sequence number."""
_EMPTY: Fields = {"content": [], "summary": [], "arguments": ""}


def responses(said: Said) -> Frames:
    """Return a turn's frames. A tool's result is an item of its own, as Hermes sends it."""
    before = [*_thought(said), *_calls(said)]
    spoken: list[_Kind] = [
        ("response.created", {"response": _response("in_progress")}),
        ("response.in_progress", {"response": _response("in_progress")}),
    ]
    for index, item in enumerate(before):
        spoken.append(_item("added", index, _begun(item)))
        at: Fields = {"item_id": item["id"], "output_index": index}
        spoken += _thinking(at, said) if item["type"] == "reasoning" else _arguments(at, item)
        spoken.append(_item("done", index, item))
    index, text = len(before), _text_part(said.text)
    place: Fields = {"item_id": "msg_smoke", "output_index": index, "content_index": 0}
    message = {**_one("message", "msg_smoke"), "role": "assistant", "content": [text]}
    spoken.append(_item("added", index, _begun(message)))
    spoken.append(("response.content_part.added", {**place, "part": _text_part("")}))
    spoken += [_delta(place, piece) for piece in pieces(said.text)]
    closing: list[_Kind] = [
        ("response.output_text.done", {**place, "text": said.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": text}),
        _item("done", index, message),
        ("response.completed", {"response": _completed(said, [*before, message])}),
    ]
    failure: Json = {"code": "server_error", "message": MISHAP}
    failed: _Kind = ("response.failed", {"response": _response("failed", error=failure)})
    [error, more] = (_numbered([it], len(spoken)) for it in (failed, _delta(place, AGAIN)))
    return Frames(_numbered(spoken, 0), _numbered(closing, len(spoken)), error, more[0])


def _numbered(kinds: Iterable[_Kind], first: int) -> list[Event]:
    return [
        named(kind, sequence_number=number, **fields)
        for number, (kind, fields) in enumerate(kinds, first)
    ]


def _response(status: str, **fields: Json) -> Fields:
    head: Fields = {"id": "resp_smoke", "object": "response", "created_at": 0, "model": "smoke"}
    head |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, "status": status, "error": None, "output": [], "usage": None, **fields}


def _completed(said: Said, items: list[Fields]) -> Fields:
    read, written, total = said.tokens
    usage: Json = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": len(pieces(said.reasoning))},
        "total_tokens": total,
    }
    return _response("completed", output=items, usage=usage)


def _item(what: str, index: int, item: Fields) -> _Kind:
    return f"response.output_item.{what}", {"output_index": index, "item": item}


def _one(kind: str, name: str) -> Fields:
    return {"id": name, "type": kind, "status": "completed"}


def _thought(said: Said) -> Iterator[Fields]:
    if said.reasoning:
        yield {**_one("reasoning", "rs_smoke"), "summary": [_summary(said.reasoning)]}


def _calls(said: Said) -> Iterator[Fields]:
    for tool in said.tools:
        call = {**_one("function_call", f"fc_{tool.id}"), "call_id": tool.id, "name": tool.name}
        yield {**call, "arguments": tool.arguments_json}
        if tool.result is not None:
            told = {**_one("function_call_output", f"fco_{tool.id}"), "call_id": tool.id}
            yield {**told, "output": tool.result_text}


def _summary(text: str) -> Fields:
    return {"type": "summary_text", "text": text}


def _text_part(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _begun(item: Fields) -> Fields:
    """Return an item in its initial, empty state."""
    inside = {name: value for name, value in _EMPTY.items() if name in item}
    return {**item, **inside, "status": "in_progress"}


def _thinking(at: Fields, said: Said) -> Iterator[_Kind]:
    kind, place = "response.reasoning_summary", {**at, "summary_index": 0}
    yield f"{kind}_part.added", {**place, "part": _summary("")}
    for piece in pieces(said.reasoning):
        yield f"{kind}_text.delta", {**place, "delta": piece}
    yield f"{kind}_text.done", {**place, "text": said.reasoning}
    yield f"{kind}_part.done", {**place, "part": _summary(said.reasoning)}


def _arguments(at: Fields, item: Fields) -> Iterator[_Kind]:
    """Yield the arguments of a call; its result comes as a whole."""
    if isinstance(arguments := item.get("arguments"), str):
        for piece in pieces(arguments):
            yield "response.function_call_arguments.delta", {**at, "delta": piece}
        yield "response.function_call_arguments.done", {**at, "arguments": arguments}


def _delta(place: Fields, piece: str) -> _Kind:
    return "response.output_text.delta", {**place, "delta": piece, "logprobs": []}
