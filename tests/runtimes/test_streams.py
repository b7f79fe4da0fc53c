"""All that whole streams say: those of many runtimes, of the fake, and of pydantic-ai."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from runtimes_tools import DATA, LOOK, chunk, event_of, typed
from sizes import examples

from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._journal.chat import MOST_MODELS
from pytest_hydrasmoke._runtimes.content import Content, TokenUsage
from pytest_hydrasmoke._runtimes.read import read as read_event
from pytest_hydrasmoke._sse.decoder import SseDecoder
from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import ScriptedReply, as_json
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import encode


class Said(NamedTuple):
    """What a stream has said."""

    text: str = "Hello, world"
    ends: tuple[int, ...] = ()
    """Which of its events say that it is over, from the last one, which is -1."""
    errors: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    """Why the model stopped, each time that it is told."""


def read(stream: bytes) -> tuple[Said, Content, bool]:
    """Return also its content, and whether its runtime always tells the end."""
    events, content = SseDecoder().feed(stream), Content()
    meanings = [read_event(event) for event in events]
    for event, found in zip(events, meanings, strict=True):
        content.add(found, event.at)
    said = Said(
        "".join(it.text for it in meanings),
        tuple(number - len(events) for number, it in enumerate(meanings) if it.end),
        tuple(it.error for it in meanings if it.error is not None),
        tuple(it.finish for it in meanings if it.finish is not None),
    )
    return said, content, any(it.runtime is not None for it in meanings)


def sent(*frames: Any) -> bytes:
    """Return a stream of frames, or of names and frames."""
    events = [event_of(frame) for frame in frames]
    heads = ["" if it.event == "message" else f"event: {it.event}\n" for it in events]
    texts = [f"{head}data: {it.data}\n\n" for head, it in zip(heads, events, strict=True)]
    return "".join(texts).encode()


OVER = Said(ends=(-1,))
STOPPED = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
CRASHED = {"choices": [{"delta": {}, "finish_reason": "error"}], "error": {"message": "no credit"}}
WHOLE = {"role": "assistant", "content": [{"type": "text", "text": "Hello, world"}]}
RESPONSE = {"status": "completed", "error": None, "output": [typed("message", **WHOLE)]}
# All before is in a file: "Hello, world", and much that is no text. What ends it, and what is said.
ENDINGS: list[tuple[str, list[Any], Said]] = [
    ("openai-chat", ["[DONE]"], OVER._replace(finish=("stop",))),
    ("openai-responses", [typed("response.completed", response=RESPONSE)], OVER),
    ("anthropic", [("message_stop", typed("message_stop"))], OVER._replace(finish=("end_turn",))),
    ("typed", [typed("done", content="Hello, world")], OVER),
    ("typeless", [{"done": True}], OVER),
    ("named", [("done", "Hello, world")], OVER),
    ("goose", [typed("Finish", reason="stop", token_state={})], OVER._replace(finish=("stop",))),
    ("plain", ["[DONE]"], OVER),
    ("ui-messages", [typed("finish"), "[DONE]"], Said(ends=(-2, -1))),
    ("ag-ui", [typed("RUN_FINISHED", threadId="t1", runId="r1")], OVER),
    ("hermes-run", [{"event": "run.completed", "output": "Hello, world"}], OVER),
    (
        "hermes-session",
        [("run.completed", {"messages": [WHOLE]}), ("done", {})],
        Said(ends=(-2, -1)),
    ),
    (
        "hermes-session",
        [("error", {"message": "no credit"}), ("done", {})],
        OVER._replace(errors=("no credit",)),
    ),
    ("hermes-chat", [STOPPED, "[DONE]"], OVER._replace(finish=("stop",))),
    ("hermes-chat", [CRASHED, "[DONE]"], OVER._replace(errors=("no credit",), finish=("error",))),
]
FAILURES: list[Any] = [
    {"error": {"message": "Overloaded", "type": "server_error"}},
    ("error", typed("error", error=typed("x", message="Overloaded"))),
    typed("Error", error="Overloaded"),
    typed("error", message="Overloaded", code=529),
    typed("response.failed", response={"error": {"message": "Overloaded"}}),
    *(("error", "Overloaded"), ("ERROR", '"Overloaded"'), ("error", {"detail": "Overloaded"})),
]


@pytest.mark.parametrize(("runtime", "ending", "said"), ENDINGS)
def test_a_turn_ends_or_breaks_off_or_fails(runtime: str, ending: list[Any], said: Said) -> None:
    body = (DATA / f"{runtime}.sse").read_bytes()
    assert read(body + sent(*ending))[0] == said
    cut, _, always_ends = read(body)
    assert cut == Said(finish=cut.finish)
    assert always_ends is (runtime not in {"typed", "typeless", "named", "plain"})
    for frame in FAILURES:
        failed = read(body + sent(frame))[0]
        assert failed == Said(errors=("Overloaded",), finish=cut.finish), frame


def test_each_model_of_a_turn_is_kept_once_in_its_order() -> None:
    named = ["b", "a", "b", "b", "b", "a", "b", *(f"m{n}" for n in range(MOST_MODELS)), "a"]
    for start in range(4):
        came = Incoming(Reading(), "auto")
        for name in named[start:]:
            # Like events, which differ in these texts alone, may be handed out unread.
            came.feed(sent(chunk({"content": "x"}, model=name)), 0.0)
            while came.take() is not None:
                pass
        assert came.end.models == [*dict.fromkeys(named[start:])][:MOST_MODELS]


RUNTIMES: tuple[Any, ...] = get_args(Runtime)
PLAIN = {"objects", "named", "text"}
"""Runtimes of whose words nothing but the reply is known."""
Tool = dict[str, Any]


def called(content: Content) -> list[tuple[Any, ...]]:
    return [(it.name, it.arguments, it.id, it.result) for it in content.tool_calls]


def expected_calls(runtime: str, tools: list[Tool]) -> list[tuple[Any, ...]]:
    """Return what a runtime tells of tools: all of them, or their names alone."""
    calls: list[tuple[Any, ...]] = []
    for number, tool in enumerate(tools if runtime not in PLAIN else [], 1):
        arguments = None if runtime in ("hermes", "hermes-run") else tool["arguments"]
        call_id = None if runtime in ("hermes-run", "hermes-session") else f"call_{number}"
        result = tool["result"]
        text = result if isinstance(result, str) else as_json(result)
        told: Mapping[str, Any] = {
            "ai-sdk": result,
            "ag-ui": text,
            "responses": text,
            "goose": {"content": [{"type": "text", "text": text}], "isError": False},
        }
        calls.append(
            (tool["name"], arguments, call_id, None if result is None else told.get(runtime))
        )
    return calls


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_that_an_agent_of_the_fake_says_is_read(runtime: Any) -> None:
    tools: list[Tool] = [
        {"name": "look", "arguments": LOOK, "result": {"temperature": -3}},
        {"name": "wait", "arguments": {}, "result": "waited"},
    ]
    reply = ScriptedReply(match="", text="It is cold.", reasoning="Hm. Hm.", tool_calls=tools)
    made = encode(Scenario(runtime=runtime), reply.said("How is it?", 0))
    said, content, _ = read(b"".join((*made.spoken, *made.closing)))
    assert (said.text, said.ends[-1], said.errors) == ("It is cold.", -1, ())
    assert content.reasoning(said.text) == ("" if runtime in PLAIN else "Hm. Hm.")
    assert called(content) == expected_calls(runtime, tools)
    details = (0, 4) if runtime == "responses" else (None, None)
    assert content.usage == (None if runtime in PLAIN else TokenUsage(4, 14, *details))
    assert content.notes == []
    assert read(b"".join(made.spoken))[0][:2] == ("It is cold.", ())
    assert read(made.error)[0].errors == ("the agent has failed",)
    assert read(made.more)[0].text == " again"


# Line ends aside, which separate the lines of data.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
TOOLS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["look", "wait", "web.search", "read_file"]),
        "arguments": st.dictionaries(WORDS, JSON, max_size=3),
        "result": JSON,
    }
)
SPOKEN = st.sampled_from([it for it in RUNTIMES if it not in PLAIN])


@examples(50, 5_000)
@given(WORDS, WORDS, st.lists(TOOLS, max_size=3, unique_by=lambda it: it["name"]), SPOKEN)
@example(text="00", reasoning="0", tools=[], runtime="hermes-run")
def test_whatever_an_agent_says_is_read(
    text: str, reasoning: str, tools: list[Tool], runtime: Any
) -> None:
    script: dict[str, Any] = {"text": text, "reasoning": reasoning, "tool_calls": tools}
    made = encode(Scenario(runtime=runtime), ScriptedReply(match="", **script).said("x", 0))
    said, content, _ = read(b"".join((*made.spoken, *made.closing)))
    assert (said.text, said.ends[-1:], said.errors) == (text, (-1,), ())
    assert (called(content), content.notes) == (expected_calls(runtime, tools), [])
    # The same event of Hermes' runs sends pieces of the reply once more: no reasoning.
    repeats = runtime == "hermes-run" and reasoning.strip() in text
    assert content.reasoning(text) == ("" if repeats else reasoning)


@pytest.mark.parametrize("runtime", ["ag-ui", "ai-sdk"])
def test_a_stream_of_pydantic_ai_is_read(runtime: str) -> None:
    # `test_adapters.py` records it, and sees that it is still what is sent.
    said, content, _ = read((DATA / f"pydantic-ai-{runtime}.sse").read_bytes())
    assert (said.text, said.ends[-1], said.errors) == ("It is cold, señor 🐙.", -1, ())
    assert content.reasoning(said.text) == "Let me look."
    told = {"city": "Oslo", "temperature": -3}
    result = as_json(told) if runtime == "ag-ui" else told
    assert called(content) == [("look", LOOK, "call_1", result)]
    assert content.usage == (TokenUsage(100, 17) if runtime == "ag-ui" else None)
    assert content.notes == []
