"""A turn's content as a whole: where in it things were said, what is going on, and its limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from parts_tools import add
from sizes import examples

from pytest_hydrasmoke._runtimes.content import Content, Thought, TokenUsage
from pytest_hydrasmoke._runtimes.meaning import (
    Meaning,
    Part,
    Reasoning,
    Tokens,
    ToolArguments,
    ToolCalled,
    ToolResult,
)


def test_thoughts_and_calls_are_known_by_their_place_in_the_reply() -> None:
    content = Content()
    add(content, Reasoning("I look"), 1.0)
    content.add(Meaning("It is "), 0.0)
    add(content, Reasoning(" up"), 2.0)
    add(content, Reasoning("."), 3.0)
    add(content, Reasoning("cold", repeats=True), 4.0)
    add(content, ToolCalled("a", "look"), 5.0)
    add(content, Reasoning(" So?"), 6.0)
    content.add(Meaning("cold."), 0.0)
    add(content, ToolArguments("b", "{}"), 7.0)
    add(content, ToolCalled("b", "wait"), 8.0)
    reply = "It is cold."
    assert list(content.thoughts(reply)) == [
        Thought("I look", 1.0, 0),
        Thought(" up.", 2.0, 6),
        Thought(" So?", 6.0, 6),
    ]
    assert content.reasoning(reply) == "I look up. So?"
    placed = [(call.name, call.at, position) for call, position in content.placed_calls]
    assert placed == [("look", 5.0, 6), ("wait", 7.0, 11)]


STEPS = st.lists(
    st.integers(0, 9)
    | st.builds(Reasoning, st.text(max_size=3))
    | st.builds(ToolCalled, st.just("a"), st.just("look"), new=st.just(True))
)


@examples(25, 2_000)
@given(STEPS)
def test_thoughts_are_the_reasoning_in_order(steps: list[int | Part]) -> None:
    content = Content()
    for at, step in enumerate(steps):
        if isinstance(step, int):
            content.add(Meaning("x" * step), 0.0)
        else:
            add(content, step, at)
    thoughts = list(content.thoughts(""))
    assert "".join(thought.text for thought in thoughts) == content.reasoning("")
    for thought in thoughts:
        said = [step for step in steps[: int(thought.at)] if isinstance(step, int)]
        assert thought.position == sum(said)


def test_a_tool_is_being_called_until_something_is_said_or_returned() -> None:
    content = Content()
    assert content.calling is None
    for last in (ToolResult("a", "cold"), ToolResult("x", "of no call"), None):
        add(content, ToolCalled("a"), 1.0)
        add(content, ToolCalled("a", "look"), 1.0)
        add(content, ToolArguments("a", "{}"), 1.0)
        add(content, Reasoning("Hm."), 1.0)
        assert content.calling == "look"
        if last is None:
            content.add(Meaning("x"), 0.0)
        else:
            add(content, last, 1.0)
        assert content.calling is None
    add(content, ToolCalled("b"), 1.0)
    assert content.calling is None


def test_with_a_limit_only_usage_is_kept_of_what_comes_later() -> None:
    content = Content(most=1000)
    add(content, Reasoning("x" * 1000), 1.0)
    add(content, Reasoning("y"), 2.0)
    add(content, ToolCalled("a", "look", arguments={}), 3.0)
    add(content, ToolCalled("b", "look", arguments={}), 3.0)
    add(content, Tokens(7, 2), 4.0)
    assert content.reasoning("") == "x" * 1000
    assert content.tool_calls == ()
    assert content.usage == TokenUsage(7, 2)
    assert content.notes == ["it sent more reasoning and tool calls than are kept"]


def test_a_limit_is_no_limit_for_what_takes_that_much() -> None:
    content = Content()
    add(content, Reasoning("x"), 1.0)
    exact = Content(most=content.held)
    for text in ("x", "y", "z"):
        add(exact, Reasoning(text), 1.0)
    assert exact.reasoning("") == "xy"


def test_arguments_that_were_kept_in_part_are_not_known_and_no_fault_of_the_agent() -> None:
    called, *pieces = (
        ToolCalled("a", "look"),
        *(ToolArguments("a", it) for it in ('{"city"', ": 7}")),
    )
    one = Content()
    add(one, called, 1.0)
    content = Content(most=one.held)
    for part in (called, *pieces):
        add(content, part, 1.0)
    assert [call.arguments for call in content.tool_calls] == [None]
    assert content.notes == ["it sent more reasoning and tool calls than are kept"]
