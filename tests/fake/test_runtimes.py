"""What each runtime's stream consists of, as a few lines read it, and none of the package's.

Nothing here opens a socket: a turn's bytes are made of a scenario and of what is said. What a
client reads of them is in `tests/runtimes`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from typing import Any, cast, get_args

import httpx
import pytest
from httpx_sse import EventSource

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import ScriptedReply, Speech
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import TurnBytes, encode

RUNTIMES = get_args(Runtime)
OCTOPUS = "I am ready, señor 🐙: «да»."
SCRIPTED: dict[str, Any] = {
    "match": "",
    "text": "It is cold.",
    "reasoning": "Let me look.",
    "tool_calls": [
        {"name": "look", "arguments": {"city": "Oslo"}, "result": {"temperature": -3}},
        {"name": "wait", "result": "waited"},
    ],
}
Facts = dict[str, list[Any]]


def facts(body: bytes) -> Facts:
    """Return what a stream says, by where it stands in the objects of its events.

    A name stands at `_name`, and what is no object at `_data`. What a named event says stands with
    its name before it, too.
    """
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    found: defaultdict[str, list[Any]] = defaultdict(list)

    def walk(value: Any, *path: str) -> None:
        inside: Any = ()
        if isinstance(value, dict):
            inside = cast("dict[str, Any]", value).items()
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            inside = enumerate(cast("list[Any]", value))
        elif value not in (None, []):
            where = ".".join(path or ("_data",))
            found[where].append(value)
            found[f"{event.event} {where}"].append(value)
        for key, it in inside:
            walk(it, *path, str(key))

    for event in EventSource(answer).iter_sse():
        if event.event != "message":
            found["_name"].append(event.event)
        walk(json.loads(event.data) if event.data[:1] in '{"' else event.data)
    return found


def scripted(runtime: Any) -> TurnBytes:
    return encode(Scenario(runtime=runtime), ScriptedReply(**SCRIPTED).said("How is it?", 0))


# Where the text stands, and the last event.
TEXTS: dict[str, tuple[str, bytes]] = {
    "openai": ("choices.0.delta.content", b"data: [DONE]"),
    "hermes": ("choices.0.delta.content", b"data: [DONE]"),
    "hermes-run": ("delta", b'data: {"event":"run.completed"'),
    "hermes-session": ("delta", b'event: done\ndata: {"session_id":"session_smoke"'),
    "responses": ("delta", b"event: response.completed\ndata: {"),
    "anthropic": ("delta.text", b'event: message_stop\ndata: {"type":"message_stop"}'),
    "goose": ("message.content.0.text", b'data: {"type":"Finish"'),
    "ag-ui": ("delta", b'data: {"type":"RUN_FINISHED"'),
    "ai-sdk": ("delta", b"data: [DONE]"),
    "objects": ("content", b'data: {"type":"done"}'),
    "named": ("_data", b"event: done\ndata: {}"),
    "text": ("_data", b"data: [DONE]"),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_reply_is_whole_and_ends_as_its_runtime_does(runtime: Any) -> None:
    where, end = TEXTS[runtime]
    ways = itertools.product([True, False], [True, False], ["Ready.", OCTOPUS, "two\nlines", ""])
    for terminal, keep_alive, reply in ways:
        form: Any = {"terminal": terminal, "keep_alive": keep_alive}
        made = encode(Scenario(runtime=runtime, **form), Speech("Are you ready?", reply))
        body = b"".join((*made.spoken, *made.closing))
        assert b"\r" not in body
        assert body.count(b": keep-alive") == keep_alive * len((*made.spoken, *made.closing))
        assert "".join(facts(b"".join(made.spoken))[where]) == reply
        assert bool(made.closing) == terminal
        for last in made.closing[-1:]:
            assert last.startswith(b": keep-alive\n\n" * keep_alive + end)


FAILURES: dict[str, Facts] = {
    "openai": {"error.type": ["server_error"]},
    # Some have their usual end all the same.
    "hermes": {"choices.0.finish_reason": ["error"], "hermes.failed": [True], "_data": ["[DONE]"]},
    "hermes-run": {"event": ["run.failed"]},
    "hermes-session": {"_name": ["error", "done"]},
    "responses": {"type": ["response.failed"], "response.status": ["failed"]},
    "anthropic": {"_name": ["error"], "type": ["error"], "error.type": ["api_error"]},
    "goose": {"type": ["Error"]},
    "ag-ui": {"type": ["RUN_ERROR"], "code": ["agent_error"]},
    "ai-sdk": {"type": ["error"], "_data": ["[DONE]"]},
    "objects": {"type": ["error"]},
    "named": {"_name": ["error"]},
    "text": {"_name": ["error"]},
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_agent_fails_in_its_own_words_and_goes_on_for_ever(runtime: Any) -> None:
    made = scripted(runtime)
    assert made.error.count(b"the agent has failed") == 1
    told = facts(made.error)
    assert {where: told[where] for where in FAILURES[runtime]} == FAILURES[runtime]
    # One event more is as the last one of the text, which is a full stop.
    more = made.spoken[-1].replace(b'"."', b'" again"').replace(b"data: .\n", b"data:  again\n")
    assert made.more == more.replace(b'"sequence_number":32', b'"sequence_number":33')
    assert facts(made.more)[TEXTS[runtime][0]] == [" again"]
    body = b"".join((*made.spoken, *made.closing))
    assert body.count(b"\n: keepalive\n\n") == 2 * runtime.startswith("hermes")
    closed = b"\n\n: stream closed\n\n"
    assert [it.endswith(closed) for it in (body, made.error)] == [runtime == "hermes-run"] * 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_tool_without_a_result_has_none_told(runtime: Any) -> None:
    silent = {"match": "", "text": "", "tool_calls": [{"name": "wait", "arguments": {"s": 1}}]}
    made = encode(Scenario(runtime=runtime), ScriptedReply(**silent).said("x", 0))
    body = b"".join(made.spoken).decode()
    told = re.search("TOOL_CALL_RESULT|tool-output|toolResponse|_output|tool_result", body)
    assert told is None


# The kinds of a turn's events in their order, where they follow on others.
TOOL_EVENTS = "tool.started tool.completed " * 2
ARGUMENTS = "output_item.added function_call_arguments.delta function_call_arguments.done "
ANSWERS = "output_item.done output_item.added output_item.done "
PARTS = "text.delta reasoning_summary_text.done reasoning_summary_part.done output_item.done "
BLOCK = "content_block_start content_block_delta content_block_stop "
THINKS = "REASONING_START REASONING_MESSAGE_START REASONING_MESSAGE_CONTENT REASONING_MESSAGE_END "
CALL = "TOOL_CALL_START TOOL_CALL_ARGS TOOL_CALL_END TOOL_CALL_RESULT "
TEXT = "TEXT_MESSAGE_START TEXT_MESSAGE_CONTENT TEXT_MESSAGE_END "
INPUT = "tool-input-start tool-input-delta tool-input-available tool-output-available "
PLAIN = "thinking tool_call tool_result tool_call tool_result token done"
SESSION = f"run.started message.started reasoning.delta {TOOL_EVENTS}assistant.delta "
RESPONSES = "created in_progress output_item.added reasoning_summary_part.added "
RESPONSES += f"reasoning_summary_{PARTS}{(ARGUMENTS + ANSWERS) * 2}output_item.added "
RESPONSES += "content_part.added output_text.delta output_text.done content_part.done "
STEPS = f"start start-step reasoning-start reasoning-delta reasoning-end {INPUT * 2}finish-step "
KINDS = {
    "hermes": ("_name", "hermes.tool.progress"),
    "hermes-run": ("event", f"reasoning.available {TOOL_EVENTS}message.delta run.completed"),
    "hermes-session": ("_name", f"{SESSION}assistant.completed run.completed done"),
    "responses": ("type", f"{RESPONSES}output_item.done completed"),
    "anthropic": ("type", f"message_start ping {BLOCK * 4}message_delta message_stop"),
    "goose": ("type", "Ping Message Finish"),
    "ag-ui": ("type", f"RUN_STARTED {THINKS}REASONING_END {CALL * 2}{TEXT}RUN_FINISHED"),
    "ai-sdk": ("type", f"{STEPS}start-step text-start text-delta text-end finish-step finish"),
    "objects": ("type", PLAIN),
    "named": ("_name", PLAIN),
}
WORDS = ["Let", " me", " look", ".", "It", " is", " cold", "."]
WRITTEN = ["", '{"', "city", '":"', "Oslo", '"}', "", "{}"]
ITEMS = ["function_call", "function_call_output"] * 2
CHUNK: Facts = {"choices.0.delta.role": ["assistant"], "choices.0.finish_reason": ["stop"]}
CHUNK |= {"id": ["chatcmpl-smoke"], "object": ["chat.completion.chunk"], "model": ["smoke"]}
CALLED: Facts = {"id": ["call_1", "call_2"], "name": ["look", "wait"], "arguments.city": ["Oslo"]}
# What no client looks at; of what follows on itself, once is enough.
TOLD: dict[str, Facts] = {
    "openai": {
        **CHUNK,
        "choices.0.delta.tool_calls.0.index": [0, 1],
        "choices.0.delta.tool_calls.0.function.arguments": WRITTEN,
    },
    "hermes": {**CHUNK, "label": ["Oslo", ""], "status": ["running", "completed"] * 2},
    "hermes-run": {"preview": ["Oslo", ""], "error": [False], "output": ["It is cold."]},
    "hermes-session": {
        "tool.started preview": ["Oslo", ""],
        "tool.started tool_name": ["look", "wait"],
        "tool.completed tool_name": ["look", "wait"],
        "content": ["It is cold."],
        "completed": [True],
        "messages.0.role": ["user"],
        "messages.0.content": ["How is it?"],
        "messages.1.role": ["assistant"],
        "messages.1.content": ["It is cold."],
        "messages.1.finish_reason": ["stop"],
    },
    "responses": {
        "sequence_number": [*range(37)],
        "output_index": [*range(6)],
        "response.output_text.delta output_index": [5],
        "response.model": ["smoke"],
        "response.status": ["in_progress", "completed"],
        "item.type": ["reasoning", *ITEMS, "message"],
        "item.status": ["in_progress", "completed"] * 6,
        "item.arguments": ["", '{"city":"Oslo"}', "", "{}"],
        "item.content.0.text": ["It is cold."],
        "arguments": ['{"city":"Oslo"}', "{}"],
        "text": ["Let me look.", "It is cold."],
        "part.text": ["", "Let me look.", "", "It is cold."],
        "delta": [*WORDS[:4], *WRITTEN[1:-2], "{}", *WORDS[4:]],
    },
    "anthropic": {
        "message.usage.input_tokens": [4],
        "content_block_start index": [0, 1, 2, 3],
        "content_block_delta index": [0, 1, 2, 3],
        "content_block_stop index": [0, 1, 2, 3],
        "content_block.type": ["thinking", "tool_use", "text"],
        "content_block.thinking": [""],
        "delta.type": ["thinking_delta", "signature_delta", "input_json_delta", "text_delta"],
        "delta.stop_reason": ["end_turn"],
        "delta.partial_json": [*WRITTEN[1:-2], "{}"],
    },
    "goose": {
        "message.role": ["assistant", *["user", "assistant"] * 2],
        "message.content.0.type": ["thinking", *["toolRequest", "toolResponse"] * 2, "text"],
        "message.content.0.thinking": WORDS[:4],
        "token_state.totalTokens": [18],
        "reason": ["stop"],
    },
    "ag-ui": {
        "messageId": ["msg_thought", "msg_call_1", "msg_call_2", "msg_smoke"],
        "role": ["reasoning", "tool", "assistant"],
        "delta": [*WORDS[:4], *WRITTEN[1:-2], "{}", *WORDS[4:]],
    },
    "ai-sdk": {
        "id": ["thought_smoke", "text_smoke"],
        "inputTextDelta": [*WRITTEN[1:-2], "{}"],
        "finishReason": ["stop"],
    },
    "objects": {
        **{f"content.{name}": value for name, value in CALLED.items()},
        "content": WORDS,
        "content.content.temperature": [-3],
        "content.content": ["waited"],
    },
    "named": {**CALLED, "_data": WORDS, "content.temperature": [-3], "content": ["waited"]},
    # It has nothing beside the reply.
    "text": {"_data": [*WORDS[4:], "[DONE]"]},
}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_turn_with_tools_and_reasoning(runtime: Any) -> None:
    made = scripted(runtime)
    found = facts(b"".join((*made.spoken, *made.closing)))
    once = {where: [it for it, _ in itertools.groupby(all_of)] for where, all_of in found.items()}
    assert {where: once[where] for where in TOLD[runtime]} == TOLD[runtime]
    where, kinds = KINDS.get(runtime, ("_name", ""))
    assert [it.removeprefix("response.") for it in once.get(where, ())] == kinds.split()
    if runtime in ("responses", "anthropic"):
        assert found["_name"] == found["type"]
