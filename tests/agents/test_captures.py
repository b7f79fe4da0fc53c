"""Streams of a real Hermes Agent, as they were captured, are read as what they say."""

from __future__ import annotations

import re

import pytest
from agents_cases import CAPTURES, CASES, OUTCOMES, outcome_of


@pytest.mark.parametrize(("stream", "behaviour"), CASES)
def test_a_captured_turn(stream: str, behaviour: str) -> None:
    body = (CAPTURES / f"{stream}-{behaviour}.sse").read_bytes()
    assert outcome_of(body) == OUTCOMES[stream][behaviour]


@pytest.mark.parametrize(("stream", "behaviour"), CASES)
def test_a_captured_turn_that_is_cut_is_not_whole(stream: str, behaviour: str) -> None:
    body = (CAPTURES / f"{stream}-{behaviour}.sse").read_bytes()
    # After the event before the last one that says anything; chunks tell their end twice.
    events = re.split(rb"(?<=\n\n)", body.replace(b"data: [DONE]\n\n", b""))
    told = [it for it in events if b"data: " in it and not it.startswith(b"event: done")]
    found = outcome_of(b"".join(told[:-1]))
    assert found.error is not None
    assert "ended without" in found.error


def test_captures_tell_of_the_agent_alone() -> None:
    files = sorted(CAPTURES.iterdir())
    assert [it.stem for it in files] == sorted(f"{stream}-{name}" for stream, name in CASES)
    for it in files:
        told = it.read_text("utf-8")
        assert not re.search(r"/(root|home|tmp|Users)\b|127\.0\.0\.1|localhost|[Bb]earer", told)
