"""What a test may expect of LLM events, and what their names alone tell."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._core.expected import Expected, expected, maybe_since, surely_since

A, AB = frozenset("a"), frozenset("ab")


@pytest.mark.parametrize(
    ("asked", "wanted", "words", "met", "not_met", "too_many"),
    [
        # What a test asks for, as it reads, and the added events and their names that meet it.
        ({}, Expected(), "at least 1 LLM event", (1, ""), (0, ""), None),
        ({"at_least": 2}, Expected(2), "at least 2 LLM events", (2, ""), (1, "a"), None),
        ({"at_least": 0}, Expected(0), "at least 0 LLM events", (0, ""), None, None),
        (
            {"at_least": 1, "at_most": 3},
            *(Expected(1, 3), "at least 1 and at most 3 LLM events", (3, ""), (0, ""), 4),
        ),
        ({"exactly": 0}, Expected(0, 0), "exactly 0 LLM events", (0, ""), None, 1),
        ({"exactly": 1}, Expected(1, 1), "exactly 1 LLM event", (1, ""), (0, ""), 2),
        (
            {"providers": ["b", "a", "a"]},
            Expected(providers=AB),
            "at least 1 LLM event, a and b among them",
            *((2, "abc"), (2, "b"), None),
        ),
        (
            {"at_least": 0, "at_most": 1, "providers": {"a"}},
            Expected(0, 1, A),
            "at least 0 and at most 1 LLM event, a among them",
            *((1, "a"), (1, "b"), 2),
        ),
        (
            {"exactly": 2, "only": ["b", "a"]},
            Expected(2, 2, AB, only=True),
            "exactly 2 LLM events, from a and b and no other",
            *((2, "ab"), (2, "a"), 3),
        ),
        (
            {"providers": {"a"}, "only": {"a"}},
            Expected(providers=A, only=True),
            "at least 1 LLM event, from a and no other",
            *((1, "a"), (0, ""), None),
        ),
    ],
)
def test_an_expectation_says_itself_and_is_met(
    asked: dict[str, Any],
    wanted: Expected,
    words: str,
    met: tuple[int, str],
    not_met: tuple[int, str] | None,
    too_many: int | None,
) -> None:
    it = expected(**asked)
    assert (it, str(it)) == (wanted, words)
    assert it.met(met[0], set(met[1]))
    assert not_met is None or not it.met(not_met[0], set(not_met[1]))
    assert not it.too_many(met[0])
    assert it.too_many(9 if too_many is None else too_many) is (too_many is not None)
    assert it.unexpected("az") == (({"a", "z"} - it.providers) if it.only else set())
    assert it.bounded is (it.only or too_many is not None)


BOUNDS, ONE = "give 0 <= at_least <= at_most", "allow for an event of each"
COMBINED, KEEP = "exactly={} can't be combined with at_least or at_most", "keep the one you mean"


@pytest.mark.parametrize(
    ("wrong", "message", "step"),
    [
        ({"at_least": -1}, "no count can be at least -1 and at most None", BOUNDS),
        ({"at_least": 2, "at_most": 1}, "no count can be at least 2 and at most 1", BOUNDS),
        ({"at_least": -2, "at_most": -1}, "no count can be at least -2 and at most -1", BOUNDS),
        ({"exactly": 1, "at_least": 1}, COMBINED.format(1), KEEP),
        ({"exactly": 0, "at_most": 0}, COMBINED.format(0), KEEP),
        ({"exactly": -1}, "no count is exactly -1", "give 0 or more"),
        *(
            (
                {name: "openai"},
                f"{name}='openai' is a string, not a set of names",
                f"write {name}={{'openai'}}",
            )
            for name in ("providers", "only")
        ),
        ({"only": set()}, "only is empty", "name a provider, or give exactly=0 for no events"),
        (
            {"only": ["b", "a"], "providers": ["c"]},
            "only={'a', 'b'} leaves out some of providers={'c'}",
            "add them to only: it needs every provider that may appear",
        ),
        ({"at_most": 1, "providers": AB}, "2 providers can't be among at most 1 LLM event", ONE),
        ({"exactly": 0, "only": A}, "1 providers can't be among at most 0 LLM events", ONE),
    ],
    ids=lambda it: it if isinstance(it, str) else " ".join(it),
)
def test_what_nothing_can_meet_is_refused(wrong: dict[str, Any], message: str, step: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expected(**wrong)
    assert (caught.value.message, caught.value.next_step) == (message, step)


def test_names_tell_who_must_and_who_may_have_been_added() -> None:
    # known before, known now, added; who is surely among the added, and whether others may be
    told = {
        ("", "ab", 2): ("ab", False),
        ("", "ab", 3): ("ab", True),
        ("a", "a", 0): ("", False),
        ("a", "a", 1): ("a", True),
        ("aa", "aa", 1): ("a", True),
        ("a", "ab", 1): ("b", False),
        ("a", "ab", 2): ("b", True),
        ("a", "", 1): ("", True),
        ("ab", "ab", 1): ("", True),
        ("ab", "a", 1): ("a", True),
        ("ab", "ab", -1): ("", False),
    }
    for (before, now, added), (surely, maybe) in told.items():
        known = frozenset(before), frozenset(now), added
        assert surely_since(*known) == frozenset(surely), known
        assert maybe_since(*known) is maybe, known
