"""A turn's content as a whole: where in it things were said, what is going on, and its limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._runtimes.content import Content, Thought, TokenUsage
from pytest_hydrasmoke._runtimes.parts import (
    Part,
    Reasoning,
    Tokens,
    ToolArguments,
    ToolCalled,
    ToolResult,
)


def test_thoughts_and_calls_are_known_by_their_place_in_the_reply() -> None:
    content = Content()
    content.add(Reasoning("I look"), 1.0)
    content.add_text(len("It is "))
    content.add(Reasoning(" up"), 2.0)
    content.add(Reasoning("."), 3.0)
    content.add(Reasoning("cold", repeats=True), 4.0)
    content.add(ToolCalled("a", "look"), 5.0)
    content.add(Reasoning(" So?"), 6.0)
    content.add_text(len("cold."))
    content.add(ToolArguments("b", "{}"), 7.0)
    content.add(ToolCalled("b", "wait"), 8.0)
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
            content.add_text(step)
        else:
            content.add(step, at)
    thoughts = list(content.thoughts(""))
    assert "".join(thought.text for thought in thoughts) == content.reasoning("")
    for thought in thoughts:
        said = [step for step in steps[: int(thought.at)] if isinstance(step, int)]
        assert thought.position == sum(said)


def test_a_tool_is_being_called_until_something_is_said_or_returned() -> None:
    content = Content()
    assert content.calling is None
    for last in (ToolResult("a", "cold"), ToolResult("x", "of no call"), None):
        content.add(ToolCalled("a"), 1.0)
        content.add(ToolCalled("a", "look"), 1.0)
        content.add(ToolArguments("a", "{}"), 1.0)
        content.add(Reasoning("Hm."), 1.0)
        assert content.calling == "look"
        if last is None:
            content.add_text(1)
        else:
            content.add(last, 1.0)
        assert content.calling is None
    content.add(ToolCalled("b"), 1.0)
    assert content.calling is None


def test_with_a_limit_only_usage_is_kept_of_what_comes_later() -> None:
    content = Content(most=1000)
    content.add(Reasoning("x" * 1000), 1.0)
    content.add(Reasoning("y"), 2.0)
    content.add(ToolCalled("a", "look", arguments={}), 3.0)
    content.add(ToolCalled("b", "look", arguments={}), 3.0)
    content.add(Tokens(7, 2), 4.0)
    assert content.reasoning("") == "x" * 1000
    assert content.tool_calls == ()
    assert content.usage == TokenUsage(7, 2)
    assert content.notes == ["it sent more reasoning and tool calls than are kept"]


def test_a_limit_is_no_limit_for_what_takes_that_much() -> None:
    content = Content()
    content.add(Reasoning("x"), 1.0)
    exact = Content(most=content.held)
    for text in ("x", "y", "z"):
        exact.add(Reasoning(text), 1.0)
    assert exact.reasoning("") == "xy"


def test_arguments_that_were_kept_in_part_are_not_known_and_no_fault_of_the_agent() -> None:
    called, *pieces = (
        ToolCalled("a", "look"),
        *(ToolArguments("a", it) for it in ('{"city"', ": 7}")),
    )
    one = Content()
    one.add(called, 1.0)
    content = Content(most=one.held)
    for part in (called, *pieces):
        content.add(part, 1.0)
    assert [call.arguments for call in content.tool_calls] == [None]
    assert content.notes == ["it sent more reasoning and tool calls than are kept"]
