"""A router of agents that have something to say, each in one of five runtimes' streams.

It is the twin with a script: what the example suites are recorded against. Its frames are made
here, by a few lines a runtime, and of nothing that replays them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi.responses import Response, StreamingResponse
from plugin_tools import TOKEN
from twin import Row, Twin, build

from pytest_hydrasmoke.fake.server import mount, unmount


@dataclass(frozen=True)
class Says:
    """One turn of an agent: what it looks up before it answers, and its answer."""

    text: str
    tool: str | None = None
    arguments: Mapping[str, object] | None = None
    found: str = ""


READY = Says("I am ready.")
SCRIPT: Mapping[str, tuple[Says, ...]] = {
    "When do you open on Monday?": (Says("On Mondays we open at 8:00 and close at 17:00."),),
    "Wann öffnet ihr am Montag?": (Says("Montags öffnen wir um 8 Uhr, und schließen um 17. 🙂"),),
    "Where is order 17?": (
        Says(
            "Order 17 left our warehouse yesterday, and is on its way to Oslo.",
            *("find_order", {"id": 17}, "sent"),
        ),
    ),
    "Please send news to noor@customer.example.": (
        Says("Done: news will be sent to noor@customer.example."),
    ),
    "Where do you send news to?": (
        Says("To noor@customer.example, as you have asked."),
        Says("Nowhere yet: you have not told me your address."),
    ),
    "My order is late!": (
        Says("I am sorry about that. I have asked the carrier."),
        Says("That is not for me to say."),
        Says("Sorry! It is to arrive tomorrow."),
    ),
    "How many orders have you had today?": (Says("There were 42 so far."),),
}
"""What is answered to a message, one after the other and again from the front."""


def _data(*values: object, event: str = "") -> Iterator[str]:
    name = f"event: {event}\n" if event else ""
    for value in values:
        yield f"{name}data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def openai(says: Says) -> Iterator[str]:
    def chunk(delta: object, finish: str | None = None) -> Iterator[str]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]})

    yield from chunk({"role": "assistant", "content": ""})
    if says.tool is not None:
        function = {"name": says.tool, "arguments": ""}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        yield from chunk({"tool_calls": [call]})
        for piece in re.findall(".{1,6}", json.dumps(says.arguments)):
            yield from chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    for word in _words(says.text):
        yield from chunk({"content": word})
    yield from chunk({}, "stop")
    yield from _data({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 12}})
    yield "data: [DONE]\n\n"


def anthropic(says: Says) -> Iterator[str]:
    def named(kind: str, **fields: object) -> Iterator[str]:
        return _data({"type": kind, **fields}, event=kind)

    def block(index: int, start: object, *deltas: object) -> Iterator[str]:
        yield from named("content_block_start", index=index, content_block=start)
        for delta in deltas:
            yield from named("content_block_delta", index=index, delta=delta)
        yield from named("content_block_stop", index=index)

    yield from named("message_start", message={"role": "assistant", "usage": {"input_tokens": 9}})
    if says.tool is not None:
        use = {"type": "tool_use", "id": "toolu_1", "name": says.tool, "input": {}}
        partial = json.dumps(says.arguments)
        yield from block(0, use, {"type": "input_json_delta", "partial_json": partial})
    deltas = [{"type": "text_delta", "text": word} for word in _words(says.text)]
    yield from block(1, {"type": "text", "text": ""}, *deltas)
    yield from named(
        "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 12}
    )
    yield from named("message_stop")


def goose(says: Says) -> Iterator[str]:
    def message(role: str, **content: object) -> Iterator[str]:
        told = {"id": "m1", "role": role, "created": 1, "content": [content]}
        return _data({"type": "Message", "message": told})

    yield from _data({"type": "Ping"})
    if says.tool is not None:
        value = {"name": says.tool, "arguments": says.arguments}
        call = {"status": "success", "value": value}
        yield from message("assistant", type="toolRequest", id="t1", toolCall=call)
        result = {"status": "success", "value": [{"type": "text", "text": says.found}]}
        yield from message("user", type="toolResponse", id="t1", toolResult=result)
    for word in _words(says.text):
        yield from message("assistant", type="text", text=word)
    yield from _data({"type": "Finish", "reason": "stop"})


def ag_ui(says: Says) -> Iterator[str]:
    yield from _data({"type": "RUN_STARTED", "threadId": "t1", "runId": "r1"})
    if says.tool is not None:
        call = {"toolCallId": "c1"}
        yield from _data(
            {"type": "TOOL_CALL_START", "toolCallName": says.tool, **call},
            {"type": "TOOL_CALL_ARGS", "delta": json.dumps(says.arguments), **call},
            {"type": "TOOL_CALL_END", **call},
            {"type": "TOOL_CALL_RESULT", "messageId": "m1", "content": says.found, **call},
        )
    yield from _data({"type": "TEXT_MESSAGE_START", "messageId": "m2", "role": "assistant"})
    for word in _words(says.text):
        yield from _data({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m2", "delta": word})
    yield from _data({"type": "TEXT_MESSAGE_END", "messageId": "m2"})
    yield from _data({"type": "RUN_FINISHED", "threadId": "t1", "runId": "r1"})


def hermes(says: Says) -> Iterator[str]:
    def told(kind: str, **fields: object) -> Iterator[str]:
        return _data({"event": kind, "run_id": "r1", **fields})

    if says.tool is not None:
        yield from told("tool.started", tool=says.tool, preview=json.dumps(says.arguments))
        yield from told("tool.completed", tool=says.tool, duration=0.1, error=False)
    for word in _words(says.text):
        yield from told("message.delta", delta=word)
    usage = {"input_tokens": 9, "output_tokens": 12}
    yield from told("run.completed", output=says.text, usage=usage)
    yield ": stream closed\n\n"


RUNTIMES: Mapping[str, Callable[[Says], Iterator[str]]] = {
    "openai": openai,
    "anthropic": anthropic,
    "goose": goose,
    "ag-ui": ag_ui,
    "hermes": hermes,
}


class SupportAgents(Twin):
    """A router whose agents all follow the script."""

    token = TOKEN
    boot = ((0.0, "booting"), (0.05, "running"))

    def __init__(self, runtime: str) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self._frames = RUNTIMES[runtime]

    def stream(self, row: Row, message: str) -> Response:
        script = SCRIPT.get(message, (READY,))
        says = script[self.asked[message] % len(script)]
        self.asked[message] += 1

        def turn() -> Iterator[Any]:
            yield from self._frames(says)
            # A model call that asks for the tool, and one that answers.
            for _ in range(1 if says.tool is None else 2):
                self.spent(row)

        return StreamingResponse(turn(), media_type="text/event-stream")


@contextmanager
def support_agents(runtime: str) -> Iterator[tuple[SupportAgents, str]]:
    """Serve such a router; gives it, and its URL."""
    router = SupportAgents(runtime)
    place = mount(build(router))
    try:
        yield router, place.url
    finally:
        unmount(place)
