"""What customers rely on, asked of the instance that all tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_hydrasmoke import ChatTurn, SmokeInstance

Ask = Callable[[str], ChatTurn]


def test_it_greets(ask: Ask) -> None:
    assert "ready" in ask("Are you ready?").text


@pytest.mark.parametrize("message", ["Hello!", "Grüße, 你好!", "x" * 2_000])
def test_it_answers_whatever_is_said(ask: Ask, message: str) -> None:
    assert ask(message).text


def test_the_first_word_comes_soon(ask: Ask) -> None:
    turn = ask("Are you ready?")
    assert turn.first_event_after is not None
    assert turn.first_event_after < 10


def test_each_turn_is_billed_once(ask: Ask) -> None:
    ask("Are you ready?").expect_llm_events(at_least=1, at_most=5, providers={"anthropic"})


def test_it_streams(smoke_instance: SmokeInstance) -> None:
    with smoke_instance.stream_chat("Count to three.") as events:
        kinds = [event.event for event in events]
    assert len(kinds) > 1
