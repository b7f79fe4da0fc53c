"""A turn's content: its tools, reasoning and usage, put together of parts in any order."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from runtimes_tools import LOOK, block, call, chunk, content_of, message, typed

from pytest_hydrasmoke._runtimes.content import Content, Passage, TokenUsage, ToolCall
from pytest_hydrasmoke._runtimes.meaning import (
    Meaning,
    Part,
    Reasoning,
    TokensUsed,
    ToolArguments,
    ToolCalled,
    ToolResult,
)

LOOKS, LATER = ToolCalled("a", "look"), ToolCalled("a", "look", new=True)
ITEM = {"type": "function_call", "id": "i", "call_id": "a", "name": "look"}
FULL = "it sent more reasoning and tool calls than are kept"
NAMELESS = "a tool call came without the tool's name"
NO_CALL = "a tool's result came without its call"
NO_JSON = "the arguments of a call of look are not JSON"
NO_OBJECT = "the arguments of a call of look are not a JSON object"
NO_NUMBER = "the reported usage is not a number of tokens"
ZERO = "the reported usage is 0 tokens: the reply may be an error text"

# The parts, or the frames; the calls that are known of them, each from its first event; the notes.
CALLS: dict[str, tuple[list[Any], list[ToolCall], list[str]]] = {
    "in pieces": (
        [
            chunk({}),
            call(0, name="look"),
            call(0, arguments='{"city":'),
            call(0, arguments='"Oslo"}'),
        ],
        [ToolCall("look", LOOK, None, None, 1)],
        [],
    ),
    "no arguments": (
        [call(0, name="look", arguments=""), call(1, name="wait")],
        [ToolCall("look", {}, None, None, 0), ToolCall("wait", None, None, None, 1)],
        [],
    ),
    **{
        f"no arguments: {what}": (frames, [ToolCall("look", {}, "a", None, 0)], [])
        for what, frames in {
            "AG-UI": [
                typed("TOOL_CALL_START", toolCallId="a", toolCallName="look"),
                typed("TOOL_CALL_END", toolCallId="a"),
            ],
            "Anthropic": [block(0, type="tool_use", id="a", name="look", input={})],
            "Goose": [message("assistant", type="toolRequest", id="a", toolCall={"name": "look"})],
            "Responses": [typed("response.output_item.added", item={**ITEM, "arguments": ""})],
        }.items()
    },
    "no arguments: an empty piece": (
        [LOOKS, ToolArguments("a", "")],
        [ToolCall("look", {}, None, None, 0)],
        [],
    ),
    "arguments between two empty ones": (
        [
            LOOKS._replace(arguments=""),
            ToolArguments("a", json.dumps(LOOK)),
            LOOKS._replace(arguments=""),
        ],
        [ToolCall("look", LOOK, None, None, 0)],
        [],
    ),
    "arguments before an empty one": (
        [LOOKS._replace(arguments=LOOK), LOOKS._replace(arguments="")],
        [ToolCall("look", LOOK, None, None, 0)],
        [],
    ),
    "its name comes last": (
        [call(0, arguments="{}"), call(0, name="look"), call(7, name="far")],
        [ToolCall("look", {}, None, None, 0), ToolCall("far", None, None, None, 2)],
        [],
    ),
    "an index used twice": (
        [
            call(0, id="a", name="look", arguments="{}"),
            call(0, id="b", name="wait", arguments="{}"),
        ],
        [ToolCall("look", {}, "a", None, 0), ToolCall("wait", {}, "b", None, 1)],
        [],
    ),
    "an id once more": (
        [call(0, id="a", name="look"), call(0, id="a", arguments="{}"), call(0, name="look")],
        [ToolCall("look", {}, "a", None, 0)],
        [],
    ),
    # Some gateways number all calls 0, and give no ids.
    "an index used twice without an id": (
        [call(0, name="look", arguments="{}"), call(0, name="wait", arguments="{}")],
        [ToolCall("look", {}, None, None, 0), ToolCall("wait", {}, None, None, 1)],
        [],
    ),
    **{
        f"called twice by one number, {what}": (
            [
                call(0, **ident, name="look", arguments='{"city": '),
                call(0, **ident, name="look", arguments='"Oslo"}'),
                call(0, **ident, name="look", arguments=""),
                call(0, **ident, name="look", arguments="{}"),
            ],
            [
                ToolCall("look", LOOK, ident.get("id"), None, 0),
                ToolCall("look", {}, ident.get("id"), None, 3),
            ],
            [],
        )
        for what, ident in (("without an id", {}), ("and one id", {"id": "call_0"}))
    },
    "called twice by one number, with a blank after the first": (
        [call(0, name="look", arguments=it) for it in (json.dumps(LOOK) + "\n", "{}")],
        [ToolCall("look", LOOK, None, None, 0), ToolCall("look", {}, None, None, 1)],
        [],
    ),
    "in pieces, and once more whole": (
        [
            call(0, id="a", name="look", arguments=it)
            for it in ('{"city":', '"Oslo"}', '{"city":"Oslo"}')
        ],
        [ToolCall("look", LOOK, "a", None, 0)],
        [],
    ),
    "the same once more": (
        [call(0, id="a", name="look", arguments="{}")] * 2,
        [ToolCall("look", {}, "a", None, 0)],
        [],
    ),
    "pieces that are no JSON, and end as it does": (
        [call(0, name="look", arguments='{"a"}'), call(0, name="look", arguments="}")],
        [ToolCall("look", None, None, None, 0)],
        [NO_JSON],
    ),
    "pieces of the call before": (
        [
            typed("TOOL_CALL_CHUNK", toolCallId="a", toolCallName="look"),
            typed("TOOL_CALL_CHUNK", toolCallId="b", toolCallName="look"),
            *(typed("TOOL_CALL_CHUNK", delta=it) for it in ('{"city":', '"Oslo"}')),
        ],
        [ToolCall("look", {}, "a", None, 0), ToolCall("look", LOOK, "b", None, 1)],
        [],
    ),
    "pieces before the first call": (
        [ToolArguments(None, "{}"), ToolCalled(0, "look")],
        [ToolCall("look", {}, None, None, 0)],
        [],
    ),
    "pieces of no call": ([typed("TOOL_CALL_CHUNK", delta="{}")], [], [NAMELESS]),
    "a result that another one may have": (
        [LATER, LATER, ToolResult("a", "no such city"), ToolResult("a", None)],
        [
            ToolCall("look", None, None, None, 0),
            ToolCall("look", None, None, "no such city", 1),
        ],
        [],
    ),
    "a new one without an id": (
        [LATER, ToolResult("a", "cold"), LATER, ToolResult("a", "warm")],
        [ToolCall("look", None, None, "cold", 0), ToolCall("look", None, None, "warm", 2)],
        [],
    ),
    "all arguments at once": (
        [LOOKS, ToolArguments("a", "{"), ToolCalled("a", arguments=json.dumps(LOOK)), LOOKS],
        [ToolCall("look", LOOK, None, None, 0)],
        [],
    ),
    "a result by the call's id": (
        [ToolCalled(0, "look", "a", LOOK), ToolResult("a", ["cold"])],
        [ToolCall("look", LOOK, "a", ["cold"], 0)],
        [],
    ),
    "no name": ([call(0, arguments="{}")], [], [NAMELESS]),
    "no call": ([ToolResult("a", "cold"), ToolResult("a", "cold")], [], [NO_CALL]),
    **{
        what: ([LOOKS, ToolArguments("a", text)], [ToolCall("look", None, None, None, 0)], [note])
        for what, text, note in (
            ("cut", '{"a"', NO_JSON),
            ("NaN", '{"a": NaN}', NO_JSON),
            ("nested too deeply", "[" * 100_000, NO_JSON),
            ("a list", "[1]", NO_OBJECT),
        )
    },
    "a number": (
        [ToolCalled("a", "look", arguments=7)],
        [ToolCall("look", None, None, None, 0)],
        [NO_OBJECT],
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_are_put_together_and_what_can_t_be_read_is_noted_once(case: str) -> None:
    told, calls, notes = CALLS[case]
    content = content_of(*told)
    assert list(content.tool_calls) == calls
    assert content.notes == notes


def test_a_call_without_a_name_may_be_of_any_tool() -> None:
    assert content_of(LOOKS, ToolArguments("b", "{}")).nameless
    assert not content_of(LOOKS).nameless


@pytest.mark.parametrize(
    ("meaning", "goes_on"),
    [
        (Meaning(), False),
        (Meaning(" \n"), False),
        (Meaning("x"), True),
        (Meaning(begins=True), True),
        (Meaning(parts=(TokensUsed(7, 2), ToolResult("a", "cold"))), False),
        (Meaning(parts=(LOOKS,)), True),
        (Meaning(parts=(Reasoning("Hm."),)), True),
        (Meaning(parts=(Reasoning(" "),)), False),
        (Meaning(parts=(Reasoning("Hm.", repeats=True),)), False),
    ],
)
def test_what_an_event_says_after_an_end_shows_whether_the_agent_goes_on(
    meaning: Meaning, goes_on: bool
) -> None:
    assert meaning.says_more is goes_on


def started(read: object, written: object, cached: object = None) -> Meaning:
    return Meaning(begins=True, parts=(TokensUsed(read, written, cached),))


def stopped(*used: int) -> Meaning:
    return Meaning(finish="tool_calls", parts=(TokensUsed(*used),) if used else ())


USAGES: list[tuple[list[TokensUsed | Meaning], tuple[int | None, ...] | None, list[str]]] = [
    ([], None, []),
    ([TokensUsed(9, 5, 4, 3)], (9, 5, 4, 3), []),
    ([TokensUsed(9, 5, 4, 3), TokensUsed(None, 6, None, 0)], (9, 6, 4, 0), []),
    # A count begins with each call of the model; what it does not tell is not zero.
    (
        [started(7, 1), TokensUsed(None, 2), started(9, 1, 1), TokensUsed(None, 30)],
        (16, 32, 1, None),
        [],
    ),
    ([started(2, 3, 7), started(2, 3), started(2, 3, 1)], (6, 9, 8, None), []),
    ([TokensUsed(1, 2, 3, 4), started(10, 20, 30)], (11, 22, 33, 4), []),
    ([started(None, 1), started(9, 30)], (9, 30), []),
    ([started(7, 5), TokensUsed(8, None)], (8, 5), []),
    ([started(7, None)], None, []),
    ([started(None, 7)], None, []),
    ([started(7, 5), started(None, 1)], None, []),
    # As it does where a model has stopped, and more is said: the last count may come after that.
    ([stopped(), TokensUsed(7, 5), Meaning("x"), TokensUsed(1, 2)], (8, 7), []),
    ([TokensUsed(7, 5), stopped(), Meaning("x", parts=(TokensUsed(1, 2),))], (8, 7), []),
    ([stopped(7, 5), Meaning(parts=(LOOKS,)), TokensUsed(1, 2), TokensUsed(3, 4)], (10, 9), []),
    ([stopped(7, 5), stopped(), TokensUsed(8, 6)], (8, 6), []),
    ([stopped(7, 5), Meaning("\n"), TokensUsed(8, 6)], (8, 6), []),
    ([stopped(7, 5), TokensUsed(8, 5)], (8, 5), []),
    ([stopped(7, 0), Meaning("x"), TokensUsed(8, 6)], (15, 6), []),
    ([stopped(7, 5), Meaning("x"), Meaning("\n"), TokensUsed(8, 6)], (15, 11), []),
    ([TokensUsed(7, 5), Meaning(begins=True), Meaning("x"), TokensUsed(1, 2)], (8, 7), []),
    ([TokensUsed(7, 5), Meaning("x"), TokensUsed(8, 6)], (8, 6), []),
    # Some tell a call's again with each event, and a finish reason with it.
    ([*[step for n in (1, 2, 3) for step in (stopped(10, n), Meaning("x"))]], (10, 3), []),
    ([TokensUsed(9, 2), stopped(9, 3), TokensUsed(9, 0), TokensUsed(9, 4)], (9, 4), []),
    ([TokensUsed(9, 2), stopped(9, 3), TokensUsed(15, 0), TokensUsed(15, 4)], (24, 7), []),
    ([stopped(0, 0), Meaning("x"), TokensUsed(1, 2)], (1, 2), []),
    ([TokensUsed(0, 0)], (0, 0), [ZERO]),
    ([TokensUsed(0, 1)], (0, 1), []),
    ([TokensUsed((1 << 53) - 1, 1)], ((1 << 53) - 1, 1), []),
    *(([TokensUsed(it, 2)], None, [NO_NUMBER]) for it in (-1, "7", 1.5, True, 1 << 53, [7])),
    ([TokensUsed(9, 5), TokensUsed("x", -1)], (9, 5), [NO_NUMBER]),
]


def test_usage_is_the_last_count_of_each_call_of_the_model() -> None:
    for told, usage, notes in USAGES:
        content = content_of(*told)
        assert content.usage == (None if usage is None else TokenUsage(*usage)), told
        assert content.notes == notes


def test_thoughts_and_calls_are_known_by_their_place_in_the_reply() -> None:
    content = Content()
    for at, told in enumerate(
        (
            *(Reasoning("I look"), "It is ", Reasoning(" up"), Reasoning(".")),
            *(Reasoning("cold", repeats=True), LOOKS, Reasoning(" So?"), "cold."),
            *(ToolArguments("b", "{}"), ToolCalled("b", "wait")),
        )
    ):
        content.add(Meaning(told) if isinstance(told, str) else Meaning(parts=(told,)), at)
    assert list(content.thoughts("It is cold.")) == [
        *(Passage("I look", 0, 0), Passage(" up.", 2, 6), Passage(" So?", 6, 6))
    ]
    assert content.reasoning("It is cold.") == "I look up. So?"
    placed = [(call.name, call.at, position) for call, position in content.placed_calls]
    assert placed == [("look", 5, 6), ("wait", 8, 11)]


def test_what_an_event_calls_comes_after_what_it_says_and_before_what_it_thinks_next() -> None:
    content = Content()
    parts = (Reasoning("Hm."), LOOKS, Reasoning("So."))
    content.add(Meaning("I look.", parts=parts), 0.0)
    assert [it.position for it in content.thoughts("")] == [0, 7]
    assert [position for _, position in content.placed_calls] == [7]
    assert content.calling == "look"


def test_reasoning_that_only_repeats_a_piece_of_the_reply_is_none() -> None:
    for said in ("It is ", " Cold.", "", "It is\n\nCold. "):
        assert content_of(Reasoning(said, repeats=True)).reasoning("It is\n\nCold.") == ""
    assert content_of(Reasoning("I looked.", repeats=True)).reasoning("Cold.") == "I looked."
    assert content_of(Reasoning("Cold.")).reasoning("Cold.") == "Cold."


def test_a_tool_is_being_called_until_something_is_said_or_returned() -> None:
    content = Content()
    assert content.calling is None
    for last in (ToolResult("a", "cold"), ToolResult("x", "of no call"), None):
        for part in (ToolCalled("a"), LOOKS, ToolArguments("a", "{}"), Reasoning("Hm.")):
            content.add(Meaning(parts=(part,)), 1.0)
        assert content.calling == "look"
        content.add(Meaning("x") if last is None else Meaning(parts=(last,)), 1.0)
        assert content.calling is None
    content.add(Meaning(parts=(ToolCalled("b"),)), 1.0)
    assert content.calling is None


def test_with_a_limit_only_usage_is_kept_of_what_comes_later() -> None:
    later = (Reasoning("y"), ToolCalled("a", "look", arguments={}), LOOKS, TokensUsed(7, 2))
    content = content_of(Reasoning("x" * 1000), *later, most=1000)
    assert (content.reasoning(""), content.tool_calls) == ("x" * 1000, ())
    assert (content.usage, content.notes) == (TokenUsage(7, 2), [FULL])
    # It is no limit for what takes just that much.
    exact = content_of(*map(Reasoning, "xyz"), most=content_of(Reasoning("x")).held)
    assert exact.reasoning("") == "xy"
    # Arguments that were kept in part are not known, and no fault of the agent.
    for begun in (LOOKS, LOOKS._replace(arguments="")):
        pieces = [begun, ToolArguments("a", '{"city"'), ToolArguments("a", ": 7}")]
        for most in (-1, 0):
            content = content_of(*pieces, most=content_of(begun).held + most)
            assert [call.arguments for call in content.tool_calls] == [None]
    assert content.notes == [FULL]


def test_what_it_takes_is_counted() -> None:
    def size(*values: object) -> int:
        return sum(sys.getsizeof(value) + 8 for value in values)

    parts_and_sizes: list[tuple[Part, int]] = [
        (Reasoning("x" * 1000), 250 + sys.getsizeof("x" * 1000)),
        (ToolArguments("a", "é" * 1000), 700 + size("é" * 1000)),
        (ToolCalled("a", "look", None, LOOK), size("look", None, LOOK, "city", "Oslo")),
        (ToolCalled("b", "look"), 700 + size("look", None, None)),
        (ToolResult("a", ["cold", []]), size(["cold", []], "cold", [])),
        (ToolResult("a", None), size(None)),
        (TokensUsed(7, 2), 0),
    ]
    content, whole = Content(), 0
    assert content.held == 0
    for part, more in parts_and_sizes:
        content.add(Meaning(parts=(part,)), 0.0)
        whole += more
        assert content.held == whole
    deep: list[object] = []
    for _ in range(50_000):
        deep = [deep]
    wide: tuple[object, ...] = ([[]] * 1000, [{}] * 1000, {str(n): [n] for n in range(1000)})
    for value, least in (*((it, 1000) for it in wide), (deep, 50_000)):
        held = content_of(ToolCalled("a", "look", None, value)).held
        assert held > least * 64, "an empty list takes that much"
