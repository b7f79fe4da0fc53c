"""What a test may expect of LLM events, and what their names alone tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._core.expected import Expected, expected, maybe_since, surely_since

# --- what is expected ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Expected(), "at least 1 LLM event"),
        (Expected(2), "at least 2 LLM events"),
        (Expected(1, 3), "at least 1 and at most 3 LLM events"),
        (Expected(0, 0), "exactly 0 LLM events"),
        (
            Expected(providers=frozenset({"openai", "anthropic"})),
            "at least 1 LLM event, anthropic and openai among them",
        ),
        (
            Expected(2, 2, frozenset({"openai", "anthropic"}), only=True),
            "exactly 2 LLM events, from anthropic and openai and no other",
        ),
    ],
)
def test_an_expectation_says_itself(wanted: Expected, words: str) -> None:
    assert str(wanted) == words


@pytest.mark.parametrize(
    ("wanted", "added", "seen", "met", "too_many"),
    [
        (Expected(), 0, "", False, False),
        (Expected(), 1, "", True, False),
        (Expected(0), 0, "", True, False),
        (Expected(1, 2), 2, "", True, False),
        (Expected(1, 2), 3, "", True, True),
        (Expected(0, 0), 1, "", True, True),
        (Expected(providers=frozenset("a")), 1, "b", False, False),
        (Expected(providers=frozenset("ab")), 2, "abc", True, False),
        (Expected(2, providers=frozenset("a")), 1, "a", False, False),
    ],
)
def test_an_expectation_is_met(
    wanted: Expected, added: int, seen: str, met: bool, too_many: bool
) -> None:
    assert wanted.met(added, set(seen)) is met
    assert wanted.too_many(added) is too_many


def test_what_a_test_expects_is_checked() -> None:
    assert expected() == expected(1) == Expected()
    assert expected(0, 1, ["a", "a"]) == Expected(0, 1, frozenset("a"))
    assert expected(2, 2, {"b"}) == Expected(2, 2, frozenset("b"))
    assert expected(exactly=2) == Expected(2, 2)
    assert expected(exactly=0) == Expected(0, 0)
    assert expected(only=["b", "a"]) == Expected(providers=frozenset("ab"), only=True)
    assert expected(providers={"a"}, only={"a"}) == Expected(providers=frozenset("a"), only=True)


def test_what_nothing_can_meet_and_a_name_in_the_place_of_names_are_refused() -> None:
    for least, most in ((-1, None), (2, 1), (0, -1), (-2, -1)):
        with pytest.raises(ConfigError) as caught:
            expected(least, most, None)
        assert str(caught.value) == (
            f"no count can be at least {least} and at most {most}\n"
            "  next step: give 0 <= at_least <= at_most"
        )
    for name in ("providers", "only"):
        with pytest.raises(ConfigError) as caught:
            expected(1, None, **{name: "openai"})
        assert str(caught.value) == (
            f"{name}='openai' is a string, not a set of names\n"
            f"  next step: write {name}={{'openai'}}"
        )


@pytest.mark.parametrize(
    ("wrong", "message", "step"),
    [
        (
            {"exactly": 1, "at_least": 1},
            "exactly=1 can't be combined with at_least or at_most",
            "keep the one you mean",
        ),
        (
            {"exactly": 0, "at_most": 0},
            "exactly=0 can't be combined with at_least or at_most",
            "keep the one you mean",
        ),
        ({"exactly": -1}, "no count is exactly -1", "give 0 or more"),
        (
            {"only": set()},
            "only is empty",
            "name a provider, or give exactly=0 for no events",
        ),
        (
            {"only": ["b", "a"], "providers": ["c"]},
            "only={'a', 'b'} leaves out some of providers={'c'}",
            "add them to only: it needs every provider that may appear",
        ),
        (
            {"at_most": 1, "providers": ["a", "b"]},
            "2 providers can't be among at most 1 LLM event",
            "allow for an event of each",
        ),
        (
            {"exactly": 0, "only": {"a"}},
            "1 providers can't be among at most 0 LLM events",
            "allow for an event of each",
        ),
    ],
    ids=str,
)
def test_contradictions_are_refused(wrong: dict[str, Any], message: str, step: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expected(**wrong)
    assert (caught.value.message, caught.value.next_step) == (message, step)


# --- who it was, from names alone ------------------------------------------------------------

SINCE: list[tuple[str, str, int, str, bool]] = [
    # known before, known now, added, surely among the added, others may be
    ("", "", 0, "", False),
    ("", "a", 1, "a", False),
    ("", "ab", 2, "ab", False),
    ("", "ab", 3, "ab", True),
    ("a", "a", 0, "", False),
    ("a", "a", 1, "a", True),
    ("a", "ab", 1, "b", False),
    ("a", "ab", 2, "b", True),
    ("ab", "ab", 1, "", True),
    ("ab", "abc", 1, "c", False),
    ("ab", "a", 1, "a", True),
    ("a", "aab", 1, "b", False),
    ("aa", "aa", 1, "a", True),
    ("a", "", 1, "", True),
    ("ab", "ab", -1, "", False),
]


@pytest.mark.parametrize(("before", "now", "added", "surely", "maybe"), SINCE)
def test_names_tell_who_must_and_who_may_have_been_added(
    before: str, now: str, added: int, surely: str, maybe: bool
) -> None:
    assert surely_since(before, now, added) == frozenset(surely)
    assert maybe_since(before, now, added) is maybe


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_names_never_accuse_the_innocent(older: Sequence[str], added: Sequence[str]) -> None:
    now = [*older, *added]
    surely = surely_since(older, now, len(added))
    assert surely <= set(added)
    assert set(added) <= surely or maybe_since(older, now, len(added)), "nobody is overlooked"
