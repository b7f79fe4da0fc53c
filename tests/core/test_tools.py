"""Which tools a turn called, beside those that a test expects."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke import ConfigError, ToolCall, ToolCallsError
from pytest_hydrasmoke._core.tools import check_tools

Expected = str | tuple[str, Mapping[str, object]]


def call(name: str, arguments: dict[str, Any] | None = None) -> ToolCall:
    return ToolCall(name, arguments, None, None, 0.0)


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
MAIL = call("mail", {"to": ["a", "b"], "urgent": True})


@pytest.mark.parametrize(
    ("mode", "names", "passes"),
    [
        ("in_order", ["look", "mail"], True),
        ("in_order", ["mail"], True),
        ("in_order", ["mail", "look"], False),
        ("in_order", ["look", "look"], False),
        ("exact", ["look", "mail"], True),
        ("exact", ["look"], False),
        ("exact", [], False),
        ("exact", ["mail", "look"], False),
        ("any_order", ["mail", "look"], True),
        ("any_order", ["mail"], False),
        ("any_order", [], False),
        ("at_least", ["mail"], True),
        ("at_least", ["mail", "look"], True),
        ("at_least", ["mail", "mail"], False),
        ("at_least", ["wait"], False),
    ],
)
def test_modes(mode: str, names: list[str], passes: bool) -> None:
    assert (failure([LOOK, MAIL], *names, mode=mode) is None) is passes


@pytest.mark.parametrize("mode", ["exact", "any_order"])
def test_no_tool_at_all(mode: str) -> None:
    assert failure([], mode=mode) is None
    error = failure([LOOK], mode=mode)
    assert error is not None
    assert error.expected == "no tool at all"


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [
        ({}, True),
        ({"city": "Oslo"}, True),
        ({"city": "Bergen"}, False),
        ({"country": None}, False),
    ],
)
def test_arguments_that_are_named_must_have_their_values(
    arguments: dict[str, object], passes: bool
) -> None:
    assert (failure([LOOK], ("look", arguments)) is None) is passes
    assert (failure([LOOK], "look", never=[("look", arguments)]) is not None) is passes


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
    ],
)
def test_values_are_those_of_json(told: object, value: object, same: bool) -> None:
    assert (failure([call("look", {"x": told})], ("look", {"x": value})) is None) is same


def test_arguments_that_are_not_told_are_met_by_none() -> None:
    assert failure([call("look")], ("look", {})) is None
    error = failure([call("look")], ("look", {"city": "Oslo"}))
    assert error is not None
    assert "look(arguments not told)" in str(error)


def test_one_call_is_not_taken_for_two() -> None:
    oslo, bergen = call("look", {"city": "Oslo"}), call("look", {"city": "Bergen"})
    both: list[Expected] = ["look", ("look", {"city": "Oslo"})]
    for calls in ([oslo, bergen], [bergen, oslo]):
        assert failure(calls, *both, mode="any_order") is None
    assert failure([oslo], *both, mode="at_least") is not None


def test_a_failure_shows_both_sides() -> None:
    calls = [LOOK, call("sleep", {"s": 1}), call("look", {"city": "Oslo"}), call("delete", {})]
    error = failure(
        calls, "hello", ("look", {"city": "Bergen"}), "look", "mail", never=["delete", "sleep"]
    )
    assert error is not None
    assert str(error).splitlines() == [
        "the agent called other tools than expected",
        (
            '  expected:  hello, look(city="Bergen"), look, mail, in this order, others between '
            "them allowed; never delete; never sleep"
        ),
        "  turn:      the tools of the turn (- missing, + not wanted, ! not as expected)",
        "    expected             called",
        "  - hello",
        '  ! look(city="Bergen")  look(city="Oslo", unit="C")',
        "  +                      sleep(s=1)",
        '    look                 look(city="Oslo")',
        "  +                      delete()",
        "  - mail",
        "  next step: compare the arguments of look: a text is no number",
    ]
    assert "sleep(s=1)" not in error.brief


def test_what_no_call_has_the_name_of_may_be_misspelled() -> None:
    error = failure([LOOK], "lok")
    assert error is not None
    assert error.next_step == "see whether 'look' is the tool that you mean"
    error = failure([], "look")
    assert error is not None
    assert "runtime reports its tools" in str(error.next_step)
    assert error.turn == "called no tool"


@pytest.mark.parametrize(
    ("calls", "names", "words"),
    [
        ([LOOK, MAIL], ["mail", "look"], 'order matters: mode="any_order" and "at_least" take any'),
        ([LOOK], ["look", "look"], "agent's log"),
        ([LOOK], [("look", {"city": 1})], "compare the arguments of look: a text is no number"),
        ([call("look")], [("look", {"city": "Oslo"})], "its name alone: this agent's runtime does"),
    ],
)
def test_the_next_step_is_what_differs(
    calls: list[ToolCall], names: list[Expected], words: str
) -> None:
    error = failure(calls, *names)
    assert error is not None
    assert words in str(error.next_step)


def test_of_a_turn_that_was_left_more_may_have_come() -> None:
    with pytest.raises(ToolCallsError, match="read the stream to its end: this turn was left"):
        check_tools([LOOK], ["look", "mail"], "in_order", (), left=True)
    with pytest.raises(ToolCallsError, match="agent's log"):
        check_tools([LOOK], [], "in_order", ["look"], left=True)
    for mode, never in (("exact", ()), ("any_order", ()), ("in_order", ["mail"])):
        with pytest.raises(ToolCallsError, match="a part of a turn does not show which tools"):
            check_tools([LOOK], ["look"], mode, never, left=True)
    check_tools([LOOK], ["look"], "at_least", (), left=True)


def test_words_of_an_agent_are_made_safe_and_short() -> None:
    error = failure([call("\x1b[2J::error::", {"x": "y" * 500})], "look", mode="exact")
    assert error is not None
    assert "\x1b" not in str(error)
    assert max(map(len, str(error).splitlines())) < 200


def test_what_json_cannot_hold_is_met_by_nothing() -> None:
    error = failure([LOOK], ("look", {"city": {1, 2}}))
    assert error is not None
    assert "city=..." in str(error.expected)


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
            if error is not None and calls:
                # Each call and each expected one has its row.
                rows = Counter(row[2] for row in str(error.turn).splitlines()[2:])
                assert rows.total() >= max(len(names), len(calls))
