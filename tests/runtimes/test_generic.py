"""What frames mean that are of no runtime known by name; and that no frame speaks out of turn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runtimes_tools import NO_MESSAGE, event_of, read_one, typed
from sizes import examples

from pytest_hydrasmoke._runtimes import agents, anthropic, ui
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning, Reasoning, TokensUsed
from pytest_hydrasmoke._runtimes.read import read, type_of

NOTHING, X, END = Meaning(), Meaning("x"), Meaning(end=True)
DONE = END._replace(done=True)
ANSWER = {"index": 0, "message": {"role": "assistant", "content": "Hello"}}
PARTS = [{"type": "text", "text": "Hel"}, {"type": "image", "data": "AAAA"}, "lo", 7]
SAYS = {"type": "text", "text": "x"}
FINISHES = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")
BROKE = Meaning(end=True, error="it finished with 'error', and no message with it", finish="error")


def nested(key: str, times: int, inner: str = '"boom"') -> str:
    return f'{{"{key}":' * times + inner + "}" * times


MEANS: list[tuple[Any, Meaning]] = [
    # An end repeats nothing, whatever its object has.
    *(
        (frame, END)
        for word in ("done", "end", "complete", "Finish", "completed", "message_stop")
        for frame in (
            *((word, it) for it in ("", "Hello", {}, {"content": "Hello"}, SAYS)),
            *(("token", {"type": word.upper()}), {"type": "done", "text": "Hello"}),
        )
    ),
    ("[DONE]", DONE),
    (("token", " [DONE] "), DONE),
    ("DONE", Meaning("DONE", loose=True)),
    ({"done": True}, END),
    (("token", {"done": True, "content": ""}), END),
    ({"content": "!", "done": True}, Meaning("!", end=True)),
    ({"content": "!", "done": "yes"}, Meaning("!")),
    (r'{"\u0064one": true, "content": "x"}', Meaning("x", end=True)),
    (r'{"t\u0079pe": "stop"}', END),
    (r'{"content": "\u0064one"}', Meaning("done")),
    (' {"done": true}', END),
    # A finish reason is no end, and an end may tell it.
    ({"content": "!", "finish_reason": "stop"}, Meaning("!", finish="stop")),
    ({"type": "text", "content": "!", "finish_reason": "stop"}, Meaning("!", finish="stop")),
    ({"content": "!", "stop_reason": "stop"}, Meaning("!")),
    *(
        row
        for name in FINISHES
        for row in (
            ({"type": "done", name: "length"}, Meaning(end=True, finish="length")),
            ({"done": True, name: "length"}, Meaning(end=True, finish="length")),
            ({"type": "done", name: "error"}, BROKE),
            ({"type": "done", name: "error", "error": "boom"}, BROKE._replace(error="boom")),
            ({"type": "done", name: "error", "message": "boom"}, BROKE._replace(error="boom")),
        )
    ),
    # So does an end that only says how it came about, where that is a failure.
    *(
        row
        for name in ("status", "reason")
        for row in (
            (("done", {name: "error"}), BROKE),
            ({"done": True, name: "error", "detail": "boom"}, BROKE._replace(error="boom")),
            (("done", {name: "completed", "message": "boom"}), END),
            (("done", {name: 7}), END),
        )
    ),
    # What says of itself that it has failed is no text, whatever it is called.
    *(
        row
        for failed in (
            *({"status": "error"}, {"status": "timed_out"}, {"success": False}, {"ok": False}),
            *({"code": 502}, {"status": 400}, {"status_code": 599}, {"statusCode": 500}),
        )
        for row in (
            ({**failed, "message": "boom"}, Meaning(error="boom")),
            ({**failed, "detail": "boom"}, Meaning(error="boom")),
            (("thinking", {**failed, "message": "boom"}), NOTHING),
            # But not a text that the agent says, nor what is a tool's.
            (typed("token", content="x", **failed), X),
            ({**failed, "delta": "x", "message": "boom"}, X),
            ({**failed, "role": "tool", "message": "boom"}, NOTHING),
            ({**failed, "tool": "look", "detail": "boom"}, NOTHING),
            ({**failed, "node": "look"}, NOTHING),
        )
    ),
    ({"type": "session_timeout", "message": "boom"}, NOTHING),
    ({"type": "agent_exception", "message": "boom"}, Meaning(error="boom")),
    (("done", {"success": False, "message": "boom"}), Meaning(end=True, error="boom")),
    *(
        ({"content": "x", **fine}, X)
        for fine in (
            *({"reason": "error"}, {"status": "ok"}, {"success": True}, {"success": None}),
            *({"code": 200}, {"code": 399}, {"code": 600}, {"code": "502"}, {"code": True}),
        )
    ),
    *(({"message": "x", "code": code}, X) for code in (399, 600, "502", True)),
    # The name of an event goes before the type of its object, and that before its keys.
    *(
        (frame, NOTHING)
        for word in ("Tool_Call", "tool-call", "toolCall", "TOOL CALL", "tool.call")
        for frame in ({"type": word, "content": "x"}, (word, "x"))
    ),
    (("thinking", SAYS), NOTHING),
    (("error", SAYS), Meaning(error="x")),
    (("unheard_of", SAYS), X),
    (("token", {"type": "thinking", "text": "x"}), NOTHING),
    (("token", {"type": "unheard_of", "text": "x"}), X),
    *(((name, {"type": "unheard_of", "text": "x"}), NOTHING) for name in ("message", "Message")),
    ({"type": 7, "text": "x"}, X),
    *(
        row
        for kind in ("text-delta", "TEXT_MESSAGE_CONTENT", "data-x")
        for told in [{"type": kind, "delta": "x", "message": "boom"}]
        for row in (
            *((("thinking", told), NOTHING), (("done", told), END)),
            (("error", told), Meaning(error="boom")),
        )
    ),
    (("thinking", {"type": "reasoning-delta", "delta": "Hm."}), Meaning(parts=(Reasoning("Hm."),))),
    ({"event": "token", "data": "x"}, X),
    ({"event": "done", "data": "x"}, END),
    ({"event": "failed", "data": "x"}, Meaning(error="x")),
    ({"event": "thinking", "text": "x"}, NOTHING),
    ({"event": "unheard_of", "text": "x"}, NOTHING),
    ({"event": 7, "text": "x"}, X),
    *(({"role": it, "content": "x"}, NOTHING) for it in ("user", "User", "system", "developer")),
    *((it, NOTHING) for it in ({}, {"ok": True}, {"id": "x", "object": "list"}, {"type": "x"})),
    ({"delta": {}, "text": "x"}, NOTHING),
    ({"delta": None, "content": "", "text": "x"}, NOTHING),
    ({"content": None, "text": "x"}, X),
    ({"content": 7}, NOTHING),
    ({"data": {"choices": [ANSWER]}}, Meaning("Hello")),
    ({"message": {"role": "assistant", "content": PARTS}}, Meaning("Hello")),
    ({"usage": {"prompt_tokens": 7}}, Meaning(parts=(TokensUsed(7),))),
    ({"type": "x", "usage": {"prompt_tokens": 7}}, NOTHING),
    # Errors have words, if only their own.
    ({"error": "boom"}, Meaning(error="boom")),
    ({"error": " boom\n"}, Meaning(error="boom")),
    ({"error": True, "message": "boom"}, Meaning(error="boom")),
    ({"error": {"type": "overloaded_error"}}, Meaning(error="overloaded_error")),
    ({"error": {"code": 529}}, Meaning(error="529")),
    ({"type": "token", "content": "x", "error": "boom"}, Meaning(error="boom")),
    ({"type": "invalid_request_error", "message": "boom"}, Meaning(error="boom")),
    ({"type": "run_failed", "reason": "boom"}, Meaning(error="boom")),
    ({"type": "exception", "data": {"detail": "boom"}}, Meaning(error="boom")),
    *(
        (frame, Meaning(error="boom"))
        for word in ("cancelled", "run.canceled", "turn_aborted", "abort", "failure")
        for frame in (
            *((word, "boom"), (word, {"message": "boom"}), (word.upper(), {"text": "boom"})),
            {"event": word, "reason": "boom"},
        )
    ),
    *((it, NOTHING) for it in (("tool.cancelled", {"message": "x"}), ("step-aborted", "x"))),
    ({"type": "error"}, Meaning(error="error")),
    (nested("error", 8), Meaning(error="boom")),
    *((it, Meaning(error=NO_MESSAGE)) for it in (nested("error", 9), ("error", ""), ("error", {}))),
    *(({"error": it}, Meaning(error=NO_MESSAGE)) for it in (True, [1], {"message": None})),
    ({"type": "done", "error": "boom"}, Meaning(end=True, error="boom")),
    ({"done": True, "content": "x", "error": "boom"}, Meaning(end=True, error="boom")),
    ({"type": "done", "error": None}, END),
    *(({"content": "x", "error": it}, X) for it in (None, False, "", {})),
    (("x" * 64 + "_error", "x"), Meaning(error="x")),
    (("tool_" * 20 + "error", "x"), NOTHING),
    (("x" * 65, "x"), NOTHING),
    # Halves of a surrogate pair become writable.
    ('{"content": "a\\ud83d"}', Meaning("a\ufffd")),
    (("token", '"\\ude00"'), Meaning("\ufffd", loose=True)),
    ('{"error": "\\ud83d"}', Meaning(error="\ufffd")),
    ('{"content": "\\ud83d\\ude00"}', Meaning("😀")),
]


def test_what_a_frame_means() -> None:
    for frame, means in MEANS:
        assert read_one(frame) == means, frame


OTHER_WORDS = """
    tool_result function_call reasoning_delta thinking thought usage status state_update ping
    heartbeat keep-alive metadata start content_block_start progress step tool_use session
    signature_delta input_json_delta tool_error step_failed status_error unheard_of
"""


def test_other_words_are_no_text() -> None:
    for word in OTHER_WORDS.split():
        for frame in ({"type": word, "content": "x"}, (word, {"content": "x"}), (word, "x")):
            assert read_one(frame)._replace(runtime=None) == NOTHING, frame


@pytest.mark.parametrize("depth", [9, 300, 100_000])
@pytest.mark.parametrize("key", ["content", "error"])
def test_deep_nesting_is_no_harm(key: str, depth: int) -> None:
    found = read_one(nested(key, depth, '"x"'))
    assert (found.end, found.text == "x", found.error == "x") == (False, False, False)


PLAIN = ["", "  two spaces ", "two\nlines", '"', '"Hi," she said', "42", "4.20", "true", "null"]
PLAIN += ["[1, 2]", '{"content": "Hel', '{"content": "a\tb"}', "{'a': 1}", "{broken"]


@pytest.mark.parametrize("event", ["message", "token", "delta", "text"])
def test_data_that_is_no_object_is_text_as_it_stands(event: str) -> None:
    for data in PLAIN:
        assert read_one((event, data)) == Meaning(
            data, loose=bool(data), broken=data.startswith('{"')
        )
    for quoted, text in (('"Hel"', "Hel"), ('"\\n"', "\n")):
        assert read_one((event, quoted)) == Meaning(text, loose=True)


CHUNKS: list[dict[str, Any]] = [
    {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]},
    {"choices": [{"index": 1, "finish_reason": None}, {"index": 0, "finish_reason": "stop"}]},
    {"choices": [{"index": 0, "finish_reason": "stop"}], "usage": None},
    {"content": "x", "finish_reason": None},
    {"content": [{"finish_reason": None}, {"done": True}], "finish_reason": "stop"},
    {"finish_reason": None, "done": True, "content": "x"},
]


def test_a_chunk_means_the_same_however_it_is_written() -> None:
    for frame in CHUNKS:
        for separators in ((",", ":"), (", ", ": ")):
            for event in ("message", "token", "Message"):
                written = json.dumps(frame, separators=separators)
                assert read_one((event, written)) == read_one((event, frame)), (written, event)
        assert read_one(("token", frame)) == read_one(frame)


@pytest.mark.parametrize(
    ("event", "data", "kind"),
    [
        ("x-delta", '{"type": "other"}', "x-delta"),
        ("message", '{"type": "x-delta", "event": "other"}', "x-delta"),
        ("message", '{"type": 3, "event": "x.delta"}', "x.delta"),
        ("message", '{"type": "two words"}', "message"),
        ("message", "[DONE]", "message"),
        ("message", '{"type": ', "message"),
    ],
)
def test_an_event_has_a_type(event: str, data: str, kind: str) -> None:
    assert type_of(event_of((event, data))) == kind


# Whatever is sent

RESPONSES = "output_text.delta created completed output_item.added function_call_arguments.done x"
TYPES = ui.AG_UI | ui.AI_SDK | anthropic.TYPES | agents.GOOSE | {"data-x", "finish"}
HERMES = agents.HERMES_NAMES | {agents.HERMES_PROGRESS}
TYPES |= {f"response.{it}" for it in RESPONSES.split()}
KINDS = sorted(TYPES | agents.HERMES_RUN | HERMES | {"message", "error", "token", "thinking"})
SPEAK = {"content_block_delta", "Message", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK"}
SPEAK |= {"text-delta", "response.output_text.delta", "message.delta", "assistant.delta"}
"""The kinds that may have text: all others are silent."""
SHARED = SPEAK | {"error", "start", "finish", agents.HERMES_PROGRESS}
"""Those that need not be one runtime's."""
KEYS = """
    type event choices delta content text message error errorText index finish_reason response
    tool_calls function arguments name id usage item role metadata userVisible data code reason done
    toolCallId toolCallName toolName input output result tool tool_name args token_state status
    toolCall value toolResult content_block partial_json reasoning call_id item_id stop_reason
"""
KEY_WORDS = st.sampled_from(KEYS.split())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | KEY_WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY_WORDS, inner, max_size=4),
    max_leaves=12,
)
FRAMES = st.dictionaries(KEY_WORDS, JSON, max_size=6)
CHUNKS_OF_CHANCE = st.builds(lambda one, other: {"choices": [one, other]}, FRAMES, JSON)
EVENTS = st.one_of(
    st.tuples(st.sampled_from(KINDS), st.booleans(), FRAMES),
    st.tuples(
        st.sampled_from(["message", "error", "done", "thinking"]), st.just(True), CHUNKS_OF_CHANCE
    ),
)


@examples(25, 10_000)
@given(st.lists(EVENTS, max_size=6))
@example([("thinking", False, {"delta": "0"})])
def test_whatever_is_sent_nothing_fails_or_speaks_out_of_turn(events: list[Any]) -> None:
    content = Content()
    for kind, named, frame in events:
        if kind in agents.HERMES_RUN and not named:
            told = {**frame, "type": 7, "event": kind}
        else:
            # An event without a name has its kind in its object, or it is of no kind.
            typed = kind in TYPES or (kind == "thinking" and not named)
            told = {**frame, "type": kind} if typed else frame
        found = read(event_of((kind if named else "message", told)))
        content.add(found, 0.0)
        found.text.encode()
        assert found.error is None or found.error.encode()
        assert found.finish is None or found.finish.isascii()
        known = kind in TYPES or (named and kind in HERMES) or kind in agents.HERMES_RUN
        assert kind in SPEAK or not known or not found.text
        assert kind in SHARED or not known or found.runtime
        assert kind != "thinking" or not found.text
    assert all(it.name for it in content.tool_calls)
    assert all(it.arguments is None or type(it.arguments) is dict for it in content.tool_calls)
    assert isinstance(content.reasoning("x"), str)
    assert content.held >= 0
