"""Which tools a turn called, beside those that a test expects, and as messages."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke import ConfigError, ToolCall, ToolCallsError
from pytest_hydrasmoke._core.kept import messages_of
from pytest_hydrasmoke._core.tools import LEFT, NAMELESS, check_tools

Expected = str | tuple[str, Mapping[str, object]]


def call(name: str, arguments: Any = None, id: Any = None, result: object = None) -> ToolCall:  # noqa: A002
    return ToolCall(name, arguments, id, result, 0.0)


def failure(
    calls: Sequence[ToolCall],
    *names: Expected,
    mode: str = "in_order",
    never: Sequence[Expected] = (),
) -> ToolCallsError | None:
    try:
        check_tools(calls, names, mode, never)
    except ToolCallsError as error:
        return error
    return None


LOOK = call("look", {"city": "Oslo", "unit": "C"})
MAIL = call("mail", {"to": "a"})


@pytest.mark.parametrize(
    ("told", "value", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        (0, False, False),
        ([1, [2]], (1, (2,)), True),
        ([1], [True], False),
        ([1, 2], [1], False),
        ({"a": {"b": [1]}}, {"a": {"b": (1,)}}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ("a", ["a"], False),
        (None, None, True),
        (None, "", False),
        ("Oslo", {1, 2}, False),
    ],
)
def test_arguments_that_are_named_must_have_their_values_of_json(
    told: object, value: object, same: bool
) -> None:
    made, wanted = [call("look", {"x": told, "y": 1})], ("look", {"x": value})
    error = failure(made, wanted)
    assert (error is None) is same
    assert (failure(made, "look", never=[wanted]) is not None) is same
    assert failure(made, ("look", {"z": told})) is not None
    assert failure([call("look")], ("look", {})) is None, "arguments that are not told"
    assert failure([call("look")], wanted) is not None
    if isinstance(value, set):
        assert error is not None
        assert str(error.expected).startswith("look(x=...)")


def test_a_failure_shows_both_sides() -> None:
    calls = [LOOK, call("sleep", {"s": 1}), call("look", {"city": "Oslo"}), call("delete", {})]
    error = failure(
        calls, "hello", ("look", {"city": "Bergen"}), "look", "mail", never=["delete", "sleep"]
    )
    assert error is not None
    assert str(error) == (
        "the agent called other tools than expected\n"
        '  expected:  hello, look(city="Bergen"), look, mail, in this order, others between '
        "them allowed; never delete; never sleep\n"
        "  turn:      the tools of the turn (- missing, + not wanted, ! not as expected)\n"
        "    expected             called\n"
        "  - hello\n"
        '  ! look(city="Bergen")  look(city="Oslo", unit="C")\n'
        "  +                      sleep(s=1)\n"
        '    look                 look(city="Oslo")\n'
        "  +                      delete()\n"
        "  - mail\n"
        "  next step: compare the arguments of look: a text is no number"
    )
    assert "sleep(s=1)" not in error.brief


@pytest.mark.parametrize(
    ("calls", "names", "words"),
    [
        ([LOOK, MAIL], ["mail", "look"], 'order matters: mode="any_order" and "at_least" take any'),
        ([LOOK], ["look", "look"], "agent's log"),
        ([LOOK], [("look", {"city": 1})], "compare the arguments of look: a text is no number"),
        ([call("look")], [("look", {"city": "Oslo"})], "its name alone: this agent's runtime does"),
        ([LOOK], ["lok"], "see whether 'look' is the tool that you mean"),
        ([], ["look"], "runtime reports its tools"),
    ],
)
def test_the_next_step_is_what_differs(
    calls: list[ToolCall], names: list[Expected], words: str
) -> None:
    error = failure(calls, *names)
    assert error is not None
    assert words in str(error.next_step)
    assert (error.turn == "called no tool") is (not calls)
    assert ("look(arguments not told)" in str(error)) is (calls == [call("look")])


def test_of_a_turn_that_was_left_more_may_have_come() -> None:
    for names, mode, never, words in (
        (["look", "mail"], "in_order", (), "read the stream to its end: this turn was left"),
        ([], "in_order", ["look"], "agent's log"),
        (["look"], "exact", (), "a part of a turn does not show which tools"),
        (["look"], "any_order", (), "a part of a turn does not show which tools"),
        (["look"], "in_order", ["mail"], "a part of a turn does not show which tools"),
    ):
        with pytest.raises(ToolCallsError, match=words):
            check_tools([LOOK], names, mode, never, unseen=LEFT)
    check_tools([LOOK], ["look"], "at_least", (), unseen=LEFT)


def test_a_call_without_a_name_may_be_of_any_tool() -> None:
    for mode, never in (("exact", ()), ("any_order", ()), ("in_order", ["mail"])):
        with pytest.raises(ToolCallsError, match="its tool's name may be of any tool"):
            check_tools([LOOK], ["look"], mode, never, unseen=NAMELESS)
    check_tools([LOOK], ["look"], "in_order", (), unseen=NAMELESS)
    with pytest.raises(ToolCallsError, match="other tools than expected"):
        check_tools([LOOK], [], "exact", (), unseen=NAMELESS)


def test_a_call_whose_arguments_are_not_told_may_be_one_that_is_never_to_be_made() -> None:
    never = [("look", {"city": "Oslo"})]
    with pytest.raises(ToolCallsError, match="arguments are not known may be one that must"):
        check_tools([call("look")], ["look"], "in_order", never)
    check_tools([call("look", {}), call("mail")], ["look"], "in_order", never)


def test_words_of_an_agent_are_made_safe_and_short() -> None:
    error = failure([call("\x1b[2J::error::", {"x": "y" * 500})], "look", mode="exact")
    assert error is not None
    assert "\x1b" not in str(error)
    assert max(map(len, str(error).splitlines())) < 200


@pytest.mark.parametrize(
    ("names", "mode", "never", "words"),
    [
        (["look"], "strictly", (), "give one of in_order, exact, any_order, at_least"),
        ([], "in_order", (), "names no tool"),
        ([], "at_least", (), 'give mode="exact"'),
        ([3], "exact", (), "can't look for 3"),
        ([("look",)], "exact", (), "can't look for ('look',)"),
        ([("look", "Oslo")], "exact", (), "(name, {argument: value})"),
        ([], "in_order", ("look", {"city": "Oslo"}), "can't look for {'city': 'Oslo'}"),
    ],
)
def test_what_cannot_be_expected(names: Any, mode: str, never: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_tools([LOOK], names, mode, never)
    assert words in str(caught.value)


def test_a_text_is_one_tool_that_is_never_called() -> None:
    with pytest.raises(ToolCallsError, match="never look"):
        check_tools([LOOK], (), "in_order", "look")


# What chance thinks of, beside the slowest way to find out

values = st.sampled_from(["a", "b"])
wanted = st.tuples(values, st.dictionaries(st.sampled_from("xy"), st.integers(0, 1), max_size=2))
made = st.builds(call, values, st.dictionaries(st.sampled_from("xy"), st.integers(0, 1)))


def fits(one: tuple[str, dict[str, int]], it: ToolCall) -> bool:
    told = it.arguments or {}
    return one[0] == it.name and all(told.get(key) == value for key, value in one[1].items())


@given(st.lists(wanted, max_size=4), st.lists(made, max_size=4))
def test_each_mode_passes_where_the_slowest_search_finds_a_way(
    names: list[tuple[str, dict[str, int]]], calls: list[ToolCall]
) -> None:
    def some(choices: Any) -> bool:
        return any(all(map(fits, names, chosen)) for chosen in choices)

    same_number = len(names) == len(calls)
    ways = {
        "in_order": some(itertools.combinations(calls, len(names))),
        "exact": same_number and some([calls]),
        "any_order": same_number and some(itertools.permutations(calls)),
        "at_least": some(itertools.permutations(calls, len(names))),
    }
    for mode, passes in ways.items():
        if names or mode in ("exact", "any_order"):
            error = failure(calls, *names, mode=mode)
            assert (error is None) is passes, mode
            assert error is None or names or error.expected == "no tool at all"
            if error is not None and calls:
                # Each call and each expected one has its row.
                rows = Counter(row[2] for row in str(error.turn).splitlines()[2:])
                assert rows.total() >= max(len(names), len(calls))


ASKED = {"role": "user", "content": "How cold is it?"}


def says(content: str | None, *calls: tuple[str, str, str]) -> dict[str, object]:
    made = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls
    ]
    tools = {"tool_calls": made} if made else {}
    return {"role": "assistant", "content": content, **tools}


def found(call_id: str, content: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_calls_stand_in_messages_where_they_were_made_and_each_has_its_result() -> None:
    placed = [
        (call("look", {"city": "Tromsø"}, "a", {"t": -3}), 9),
        (call("look"), 9),
        (call("wait", {}, "b", "done"), 9 + 6),
    ]
    asked = ASKED["content"]
    assert messages_of(asked, "Let me see. Hm ...It is cold.", placed) == [
        ASKED,
        says("Let me se", ("a", "look", '{"city": "Tromsø"}'), ("call_2", "look", "{}")),
        found("a", '{"t": -3}'),
        found("call_2", ""),
        says("e. Hm ", ("b", "wait", "{}")),
        found("b", "done"),
        says("...It is cold."),
    ]
    # An agent that ends with a call says no more; one without any says so much, even nothing.
    ended = messages_of(asked, "", [(call("look", {}, "a", "x"), 0)])
    assert ended == [ASKED, says(None, ("a", "look", "{}")), found("a", "x")]
    for text in ("It is cold.", ""):
        assert messages_of(asked, text, []) == [ASKED, says(text)]
