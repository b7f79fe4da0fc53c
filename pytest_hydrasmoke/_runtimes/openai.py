"""OpenAI's chat completion chunks, which many others send too, and its Responses."""

from __future__ import annotations

from collections.abc import Iterator

from .frame import DEPTH, Frame, message_of
from .generic import first_choice, role_of, text_of
from .meaning import (
    NO_MESSAGE,
    Key,
    Meaning,
    Part,
    Reasoning,
    TokensUsed,
    ToolArguments,
    ToolCalled,
    ToolResult,
)

CHAT = "OpenAI chat"
"""The name of the runtime of chunks."""
PREFIX = "response."
"""Prefix of the types of the objects of Responses."""
_CALL, _OUTPUT = "_call", "_call_output"
"""How the types of their items end that call a tool, and have what came of it."""
_OF_THE_AGENT = ("function_call", "custom_tool_call")
"""The types of calls of the agent's own tools; others call tools of its model's server."""


def read_chunk(frame: Frame) -> Meaning | None:
    """Return what a chunk means; None for an object that is no chunk."""
    if not isinstance(frame.get("choices"), list):
        return None
    choice = first_choice(frame) or Frame()
    said = choice.inner("delta") or choice.inner("message")
    finish = choice.word("finish_reason")
    parts = (*_parts(said), *tokens(frame))
    error = frame.get("error") or choice.get("error")
    # Hermes reports a reply that met a limit as an error too, beside its `length`.
    if error and finish != "length":
        words = message_of(frame) if frame.get("error") else message_of(error)
        found = Meaning(error=words or NO_MESSAGE, finish=finish)
    else:
        found = Meaning(text_of(choice, DEPTH - 1), finish=finish)
    return found._replace(parts=parts, models=frame.models, reply=frame.name("id"))


def tokens(frame: Frame) -> tuple[TokensUsed, ...]:
    """Return the tokens of a chunk, or of any other object without a type."""
    if isinstance(frame.get("type"), str):
        return ()
    return frame.tokens("usage", "prompt_tokens", "completion_tokens")


def _parts(said: Frame) -> Iterator[Part]:
    """Yield the content of a delta, or a message, beside text."""
    thought = said.text("reasoning_content") or said.text("reasoning")
    if thought:
        yield Reasoning(thought)
    calls = [*said.each("tool_calls")]
    if not calls and "function_call" in said:  # As chunks had one call before they had several.
        calls.append(Frame(function=said["function_call"]))
    for call in calls:
        function = call.inner("function")
        name, call_id = function.name("name"), call.name("id")
        index = call.key("index")
        key = (call_id or 0) if index is None else index
        if name or call_id:
            yield ToolCalled(key, name, call_id, "" if "arguments" in function else None)
        if piece := function.text("arguments"):
            yield ToolArguments(key, piece)


def read_response(kind: str, frame: Frame) -> Meaning:
    """Return what an object of this type means; `.done` objects and items repeat earlier ones."""
    return _of_response(kind, frame)._replace(models=frame.inner("response").models)


def _of_response(kind: str, frame: Frame) -> Meaning:
    match kind.removeprefix(PREFIX):
        case "created":
            return Meaning(begins=True)
        case "output_text.delta":
            return Meaning(frame.text("delta"))
        case "reasoning_text.delta" | "reasoning_summary_text.delta":
            return Meaning(parts=(Reasoning(frame.text("delta")),))
        case "output_item.added" | "output_item.done":
            return Meaning(parts=_item(frame.inner("item")))
        case "function_call_arguments.delta":
            return Meaning(parts=(ToolArguments(_key(frame), frame.text("delta")),))
        case "function_call_arguments.done":
            return Meaning(parts=(ToolCalled(_key(frame), arguments=frame.get("arguments")),))
        case "completed" | "incomplete" | "failed" | "cancelled" | "done" as end:
            return _ended(end, frame)
        case other:
            # A tool's failure is none of the agent's.
            wordless = NO_MESSAGE if role_of(other) == "error" else None
            return Meaning(error=wordless and (frame.message("error", "message") or wordless))


def _key(frame: Frame) -> str | int:
    return frame.key("item_id") or frame.key("output_index") or 0


def _item(item: Frame) -> tuple[Part, ...]:
    call_id, kind = item.name("call_id"), item.text("type")
    if kind.endswith(_CALL):
        key = item.key("id") or call_id or 0
        name = item.name("name")
        if name is None and kind not in _OF_THE_AGENT:
            name = kind.removesuffix(_CALL)
        arguments = item.get("arguments", item.get("action"))
        return (ToolCalled(key, name, call_id, arguments), *_output(key, item))
    if kind.endswith(_OUTPUT) and call_id is not None:
        return _output(call_id, item)
    return ()


def _output(key: Key, item: Frame) -> tuple[Part, ...]:
    return (ToolResult(key, item["output"]),) if item.get("output") is not None else ()


def _ended(end: str, frame: Frame) -> Meaning:
    response = frame.inner("response")
    if end == "done":
        # One name for all ends: the response's status says which it is.
        end = response.word("status") or "completed"
    output = list(response.each("output"))
    if end == "incomplete":
        details = response.inner("incomplete_details")
        found = Meaning(end=True, finish=details.word("reason") or end)
    elif end in ("failed", "cancelled"):
        error = response.message("error") or frame.message("error")
        wordless = "the response was cancelled" if end == "cancelled" else NO_MESSAGE
        found = Meaning(error=error or wordless)
    elif end == "completed" and output and output[-1].get("type") in _OF_THE_AGENT:
        # An agent answers it and goes on with another response, or has died in its tool.
        found = Meaning(end=True, of_message=True, finish="tool_calls")
    else:
        found = Meaning(end=end == "completed")
    usage = response.tokens("usage", "input_tokens", "output_tokens")
    return found._replace(parts=usage)
