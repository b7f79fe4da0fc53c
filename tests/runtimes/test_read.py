"""What events mean, whichever runtime they are of: whole transcripts, and single frames.

Frames that a runtime's own module reads have tests of their own beside these.
"""

from __future__ import annotations

import json

import pytest
from runtimes_tools import DONE, body, known, of, parts_of, read

from pytest_hydrasmoke import ChatEvent
from pytest_hydrasmoke._runtimes.meaning import Meaning, Tokens
from pytest_hydrasmoke._runtimes.read import type_of

# The frames that end a turn; all before them is in a file. Each turn says "Hello, world", and
# much else that is no text.
ENDS = {
    "openai-chat": DONE,
    "openai-responses": """\
event: response.completed
data: {"type":"response.completed","response":{"status":"completed","error":null,"output":[
data: {"type":"message","role":"assistant","content":[{"type":"text","text":"Hello, world"}]}]}}

""",
    "anthropic": 'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "typed": 'data: {"type":"done","content":"Hello, world"}\n\n',
    "typeless": 'data: {"done":true}\n\n',
    "named": "event: done\ndata: Hello, world\n\n",
    "goose": 'data: {"type":"Finish","reason":"stop","token_state":{}}\n\n',
    "plain": DONE,
    "ui-messages": 'data: {"type":"finish"}\n\n' + DONE,
    "ag-ui": 'data: {"type":"RUN_FINISHED","threadId":"t1","runId":"r1"}\n\n',
    "hermes-run": 'data: {"event":"run.completed","output":"Hello, world"}\n\n: closed\n\n',
    "hermes-session": 'event: run.completed\ndata: {"messages":[]}\n\nevent: done\ndata: {}\n\n',
    "hermes-chat": 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n' + DONE,
}
GENERIC = {"typed", "typeless", "named", "plain"}
"""Those that need not tell their end."""


def turn(transcript: str) -> tuple[str, bool, list[str]]:
    """Return the reply, whether its end was told, and the errors."""
    said = read(transcript)
    return said.text, said.ends > 0, list(said.errors)


FAILURES = (
    'data: {"error":{"message":"Overloaded","type":"server_error"}}\n\n',
    'event: error\ndata: {"type":"error","error":{"type":"x","message":"Overloaded"}}\n\n',
    'data: {"type":"Error","error":"Overloaded"}\n\n',
    'data: {"type":"error","message":"Overloaded","code":529}\n\n',
    'data: {"type":"response.failed","response":{"error":{"message":"Overloaded"}}}\n\n',
    "event: error\ndata: Overloaded\n\n",
    'event: ERROR\ndata: "Overloaded"\n\n',
    'event: error\ndata: {"detail":"Overloaded"}\n\n',
)


@pytest.mark.parametrize("runtime", ENDS)
def test_a_turn_ends_or_breaks_off_or_fails(runtime: str) -> None:
    assert turn(body(runtime) + ENDS[runtime]) == ("Hello, world", True, [])
    assert turn(body(runtime)) == ("Hello, world", False, [])
    assert read(body(runtime)).always_ends is (runtime not in GENERIC)
    for frame in FAILURES:
        assert turn(body(runtime) + frame) == ("Hello, world", False, ["Overloaded"]), frame


END = Meaning(end=True)


@pytest.mark.parametrize("word", ["done", "end", "complete", "Finish", "completed", "message_stop"])
def test_a_word_for_the_end_ends_and_repeats_nothing(word: str) -> None:
    assert of("", word) == of("[DONE]", word) == of("Hello", word) == END
    assert of({}, word) == of({"content": "Hello"}, word) == END
    assert of({"type": word}) == of({"type": word, "text": "Hello"}) == END
    assert of({"type": word.upper()}, "token") == of({"type": "text", "text": "x"}, word) == END


def test_done_marks() -> None:
    assert of("[DONE]") == of(" [DONE] ", "token") == END
    assert of({"done": True}) == of({"done": True, "content": ""}, "token") == END
    assert of({"content": "!", "done": True}) == Meaning("!", end=True)
    assert of({"content": "!", "done": "yes"}) == Meaning("!")
    assert of("DONE") == Meaning("DONE")


def test_finish_reason_is_no_end() -> None:
    told = {"content": "!", "finish_reason": "stop"}
    assert known(told) == known({"type": "text", **told}) == Meaning("!", finish="stop")
    assert of({"choices": [{"delta": {"content": "!"}, "finish_reason": "stop"}]}) == Meaning("!")


FINISHES = ["finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason"]


@pytest.mark.parametrize("name", FINISHES)
def test_an_end_may_tell_why(name: str) -> None:
    told = Meaning(end=True, finish="length")
    assert known({"type": "done", name: "length"}) == known({"done": True, name: "length"}) == told
    failed = known({"type": "done", name: "error"})
    assert failed.error == "it finished with 'error', and no message with it"
    told = known({"type": "done", name: "error", "error": "boom"})
    assert (told.error, told.finish) == ("boom", "error")


@pytest.mark.parametrize("word", ["Tool_Call", "tool-call", "toolCall", "TOOL CALL", "tool.call"])
def test_letter_case_and_separators_do_not_matter(word: str) -> None:
    assert of({"type": word, "content": "x"}) == of("x", word) == Meaning()


OTHER_WORDS = """
    tool_result function_call reasoning_delta thinking thought usage status state_update ping
    heartbeat keep-alive metadata start message_start content_block_start progress step
    signature_delta input_json_delta tool_error step_failed status_error
    unheard_of session
"""


def test_other_words_are_no_text() -> None:
    for word in OTHER_WORDS.split():
        begins = word == "message_start"
        assert of({"type": word, "content": "x"}) == Meaning(begins=begins), word
        assert of({"content": "x"}, word) == of("x", word) == of('"x"', word) == Meaning(), word


def test_the_name_of_an_event_goes_before_the_type_of_its_object() -> None:
    assert of({"type": "text", "text": "x"}, "thinking") == Meaning()
    assert of({"type": "text", "text": "x"}, "error") == Meaning(error="x")
    assert of({"type": "text", "text": "x"}, "unheard_of") == Meaning("x")
    assert of({"type": "thinking", "text": "x"}, "token") == Meaning()
    assert of({"type": "unheard_of", "text": "x"}, "token") == Meaning("x")
    assert of({"type": "unheard_of", "text": "x"}, "message") == Meaning()
    assert of({"type": "unheard_of", "text": "x"}, "Message") == Meaning()
    assert of({"type": 7, "text": "x"}) == Meaning("x")


@pytest.mark.parametrize("type_", ["text-delta", "TEXT_MESSAGE_CONTENT", "data-x"])
def test_it_goes_before_the_type_of_a_runtime_too(type_: str) -> None:
    told = {"type": type_, "delta": "x", "message": "boom"}
    assert known(told, "thinking") == Meaning()
    assert known(told, "done") == Meaning(end=True)
    assert known(told, "error") == Meaning(error="boom")
    assert known(told, "token") == known(told, type_) == known(told)
    assert known(told).runtime


CHUNKS = [
    {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]},
    {"choices": [{"index": 1, "finish_reason": None}, {"index": 0, "finish_reason": "stop"}]},
    {"choices": [{"index": 0, "finish_reason": "stop"}], "usage": None},
    {"content": "x", "finish_reason": None},
    {"content": [{"finish_reason": None}, {"done": True}], "finish_reason": "stop"},
    {"finish_reason": None, "done": True, "content": "x"},
]


@pytest.mark.parametrize("frame", CHUNKS, ids=json.dumps)
def test_a_chunk_means_the_same_however_it_is_written(frame: dict[str, object]) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        for event in ("message", "token", "Message"):
            written = json.dumps(frame, separators=separators)
            assert known(written, event) == known(frame, event), (written, event)


def test_a_chunk_may_name_its_event() -> None:
    told = {"event": "unheard_of", "choices": [], "usage": {"prompt_tokens": 7}}
    assert parts_of(told) == [Tokens(7, None)]


@pytest.mark.parametrize(
    ("event", "data", "type_"),
    [
        ("x-delta", '{"type": "other"}', "x-delta"),
        ("message", '{"type": "x-delta", "event": "other"}', "x-delta"),
        ("message", '{"type": 3, "event": "x.delta"}', "x.delta"),
        ("message", '{"type": "two words"}', "message"),
        ("message", "[DONE]", "message"),
        ("message", '{"type": ', "message"),
    ],
)
def test_an_event_has_a_type(event: str, data: str, type_: str) -> None:
    assert type_of(ChatEvent(event, data)) == type_


def test_the_kind_of_an_object_may_be_its_event() -> None:
    assert of({"event": "token", "data": "x"}) == Meaning("x")
    assert of({"event": "done", "data": "x"}) == END
    assert of({"event": "failed", "data": "x"}) == Meaning(error="x")
    assert of({"event": "thinking", "text": "x"}) == of({"event": "unheard_of", "text": "x"})
    assert of({"event": "thinking", "text": "x"}) == Meaning()
    assert of({"event": 7, "text": "x"}) == Meaning("x")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", ""),
        ("  two spaces ", "  two spaces "),
        ("two\nlines", "two\nlines"),
        ('"Hel"', "Hel"),
        ('"\\n"', "\n"),
        ('"', '"'),
        ('"Hi," she said', '"Hi," she said'),
        ("42", "42"),
        ("4.20", "4.20"),
        ("true", "true"),
        ("null", "null"),
        ("[1, 2]", "[1, 2]"),
        ('{"content": "Hel', '{"content": "Hel'),
        ("{'a': 1}", "{'a': 1}"),
    ],
)
def test_data_that_is_no_object_is_text_as_it_stands(data: str, text: str) -> None:
    for event in ("message", "token", "delta", "text"):
        assert of(data, event) == Meaning(text), event


def test_whole_answers() -> None:
    answer = {"index": 0, "message": {"role": "assistant", "content": "Hello"}}
    assert of({"object": "chat.completion", "choices": [answer]}) == Meaning("Hello")
    assert of({"choices": [{"text": "Hello", "index": 0}]}) == Meaning("Hello")
    assert of({"data": {"choices": [answer]}}) == Meaning("Hello")
    parts = [{"type": "text", "text": "Hel"}, {"type": "image", "data": "AAAA"}, "lo", 7]
    assert of({"message": {"role": "assistant", "content": parts}}) == Meaning("Hello")


def test_only_the_first_choice_counts() -> None:
    first, second = ({"index": i, "delta": {"content": str(i)}} for i in range(2))
    assert of({"choices": [second, first]}) == Meaning("0")
    assert of({"choices": [second]}) == Meaning()
    assert of({"choices": [None, {"delta": {"content": "x"}}]}) == Meaning("x")


def test_the_first_key_decides() -> None:
    assert of({"delta": {}, "text": "x"}) == Meaning()
    assert of({"delta": None, "content": "", "text": "x"}) == Meaning()
    assert of({"content": None, "text": "x"}) == Meaning("x")
    assert of({"content": 7}) == Meaning()


@pytest.mark.parametrize("role", ["user", "User", "system", "developer", "tool"])
def test_what_others_say_is_no_text(role: str) -> None:
    assert of({"role": role, "content": "x"}) == Meaning()
    assert of({"choices": [{"delta": {"role": role, "content": "x"}}]}) == Meaning()


@pytest.mark.parametrize("frame", [{}, {"ok": True}, {"id": "x", "object": "list"}, {"type": "x"}])
def test_unknown_objects_are_no_text(frame: dict[str, object]) -> None:
    assert of(frame) == Meaning()


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"error": "boom"}, "boom"),
        ({"error": " boom\n"}, "boom"),
        ({"error": True, "message": "boom"}, "boom"),
        ({"error": {"type": "overloaded_error"}}, "overloaded_error"),
        ({"error": {"code": 529}}, "529"),
        ({"type": "token", "content": "x", "error": "boom"}, "boom"),
        ({"type": "invalid_request_error", "message": "boom"}, "boom"),
        ({"type": "run_failed", "reason": "boom"}, "boom"),
        ({"type": "exception", "data": {"detail": "boom"}}, "boom"),
        ({"type": "error"}, "error"),
    ],
)
def test_errors(frame: dict[str, object], error: str) -> None:
    assert of(frame) == Meaning(error=error)


def test_an_error_may_lie_deep() -> None:
    def nested(times: int) -> str | None:
        return of('{"error":' * times + '"boom"' + "}" * times).error

    assert nested(8) == "boom"
    assert nested(9) == "the agent reports an error, and no message with it"


def test_a_long_name_is_read_by_its_words_too() -> None:
    assert of("x", "x" * 64 + "_error") == Meaning(error="x")
    assert of("x", "tool_" * 20 + "error") == of("x", "x" * 65) == Meaning()


def test_an_error_is_never_empty() -> None:
    silent = "the agent reports an error, and no message with it"
    assert of("", "error") == of({}, "error") == of({"error": True}) == Meaning(error=silent)
    assert of({"error": [1]}) == of({"error": {"message": None}}) == Meaning(error=silent)


def test_an_end_may_carry_an_error() -> None:
    assert of({"type": "done", "error": "boom"}) == Meaning(end=True, error="boom")
    assert of({"done": True, "content": "x", "error": "boom"}) == Meaning(end=True, error="boom")
    assert of({"type": "done", "error": None}) == END


@pytest.mark.parametrize("error", [None, False, "", {}])
def test_an_empty_error_is_none(error: object) -> None:
    assert of({"content": "x", "error": error}) == Meaning("x")


@pytest.mark.parametrize("depth", [9, 300, 100_000])
@pytest.mark.parametrize("key", ["content", "error"])
def test_deep_nesting_is_no_harm(key: str, depth: int) -> None:
    result = of(f'{{"{key}": ' * depth + '"x"' + "}" * depth)
    assert (result.end, result.text == "x", result.error == "x") == (False, False, False)


def test_halves_of_a_surrogate_pair_become_writable() -> None:
    assert of('{"content": "a\\ud83d"}') == Meaning("a\ufffd")
    assert of('"\\ude00"', "token") == Meaning("\ufffd")
    assert of('{"error": "\\ud83d"}') == Meaning(error="\ufffd")
    assert of('{"content": "\\ud83d\\ude00"}') == Meaning("😀")


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (r'{"\u0064one": true, "content": "x"}', True),
        (r'{"t\u0079pe": "message_stop"}', True),
        (r'{"content": "\u0064one"}', False),
        ('{"choices": [{"delta": {"content": "x"}}]}', False),
        (' {"done": true}', True),
        ("{broken", False),
    ],
)
def test_a_key_may_be_spelled_with_escapes(data: str, end: bool) -> None:
    assert of(data).end is end
