"""All that a whole stream says: those of the fake, and those that were recorded of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtimes_tools import DATA

from pytest_hydrasmoke._runtimes.content import Content, TokenUsage
from pytest_hydrasmoke._runtimes.read import read as read_event
from pytest_hydrasmoke._sse.decoder import SseDecoder
from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.replies import Reply
from pytest_hydrasmoke.fake.runtimes.frames import as_json
from pytest_hydrasmoke.fake.scenario import Runtime
from pytest_hydrasmoke.fake.sse_events import turn

RUNTIMES: tuple[Any, ...] = get_args(Runtime)
PLAIN = {"objects", "named", "text"}
"""Runtimes of whose words nothing but the reply is known."""


class Turn(NamedTuple):
    """What a stream has said."""

    text: str
    reasoning: str
    calls: list[tuple[str, Any, str | None, Any]]
    usage: TokenUsage | None
    notes: list[str]
    ends: list[int]
    """Which of its events say that it is over, from the last one, which is -1."""
    errors: list[str]


def read(stream: bytes) -> Turn:
    events = SseDecoder().feed(stream)
    content = Content()
    meanings = [read_event(event) for event in events]
    for event, found in zip(events, meanings, strict=True):
        content.add(found, event.at)
    text = "".join(found.text for found in meanings)
    calls = [(it.name, it.arguments, it.id, it.result) for it in content.tool_calls]
    ends = [number - len(events) for number, it in enumerate(meanings) if it.end]
    errors = [it.error for it in meanings if it.error is not None]
    reasoning = content.reasoning(text)
    return Turn(text, reasoning, calls, content.usage, content.notes, ends, errors)


LOOK = {"name": "look", "arguments": {"city": "Oslo"}, "result": {"temperature": -3}}
WAIT = {"name": "wait", "arguments": {}, "result": "waited"}


def expected_calls(runtime: str, tools: list[dict[str, Any]]) -> list[Any]:
    """What a runtime tells of tools: all of them, or their names alone."""
    calls: list[Any] = []
    for number, tool in enumerate(tools if runtime not in PLAIN else []):
        told_arguments = runtime not in ("hermes", "hermes-run")
        call_id = None if runtime in ("hermes-run", "hermes-session") else f"call_{number + 1}"
        arguments = tool["arguments"] if told_arguments else None
        calls.append((tool["name"], arguments, call_id, _result(runtime, tool.get("result"))))
    return calls


def _result(runtime: str, result: Any) -> Any:
    """A result as a runtime tells it: as it is, as a text, as content, or not at all."""
    text = result if isinstance(result, str) else as_json(result)
    told: Mapping[str, Any] = {
        "ai-sdk": result,
        "ag-ui": text,
        "responses": text,
        "goose": {"content": [{"type": "text", "text": text}], "isError": False},
    }
    return None if result is None else told.get(runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_all_that_an_agent_says_is_read(runtime: Any) -> None:
    tools = [LOOK, WAIT]
    reply = Reply(match="", text="It is cold.", reasoning="Hm. Hm.", tool_calls=tools)
    made = turn(Scenario(runtime=runtime), reply.said("How is it?", 0))
    found = read(b"".join((*made.spoken, *made.closing)))
    assert found.text == "It is cold."
    assert found.reasoning == ("" if runtime in PLAIN else "Hm. Hm.")
    assert found.calls == expected_calls(runtime, tools)
    details = (0, 4) if runtime == "responses" else (None, None)
    assert found.usage == (None if runtime in PLAIN else TokenUsage(4, 14, *details))
    assert (found.ends[-1], found.notes, found.errors) == (-1, [], [])
    whole = read(b"".join(made.spoken))
    assert (whole.text, whole.ends) == ("It is cold.", [])
    assert read(made.error).errors == ["the agent has failed"]
    assert read(made.more).text == " again"


# Line ends aside, which separate the lines of data.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
TOOLS = st.builds(
    lambda name, arguments, result: {"name": name, "arguments": arguments, "result": result},
    st.sampled_from(["look", "wait", "web.search", "read_file"]),
    st.dictionaries(WORDS, JSON, max_size=3),
    JSON,
)


@given(WORDS, WORDS, st.lists(TOOLS, max_size=3, unique_by=lambda it: it["name"]), st.data())
def test_whatever_an_agent_says_is_read(
    text: str, reasoning: str, tools: list[dict[str, Any]], data: st.DataObject
) -> None:
    runtime = data.draw(st.sampled_from([it for it in RUNTIMES if it not in PLAIN]))
    script = {"match": "", "text": text, "reasoning": reasoning, "tool_calls": tools}
    made = turn(Scenario(runtime=runtime), Reply(**script).said("x", 0))
    found = read(b"".join((*made.spoken, *made.closing)))
    assert (found.text, found.calls) == (text, expected_calls(runtime, tools))
    # Hermes' runs tell it whole, where it may be the reply once more.
    if runtime != "hermes-run" or reasoning.strip() not in ("", text.strip()):
        assert found.reasoning == reasoning
    assert (found.ends[-1:], found.notes, found.errors) == ([-1], [], [])


@pytest.mark.parametrize("runtime", ["ag-ui", "ai-sdk"])
def test_a_stream_of_pydantic_ai_is_read(runtime: str) -> None:
    # `test_adapters.py` records it, and sees that it is still what is sent.
    found = read((DATA / f"pydantic-ai-{runtime}.sse").read_bytes())
    told = {"city": "Oslo", "temperature": -3}
    result = as_json(told) if runtime == "ag-ui" else told
    assert found.text == "It is cold, señor 🐙."
    assert found.reasoning == "Let me look."
    assert found.calls == [("look", {"city": "Oslo"}, "call_1", result)]
    assert found.usage == (TokenUsage(100, 17) if runtime == "ag-ui" else None)
    assert (found.ends[-1], found.notes, found.errors) == (-1, [], [])
