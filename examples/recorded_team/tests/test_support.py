"""What a shop's support agent says and does: recorded in a live run, and replayed ever since."""

from __future__ import annotations

import re

import pytest

from pytest_hydrasmoke import SmokeInstance, SmokeInstanceFactory


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When do you open on Monday?", r"\b(8|08|eight)\b"),
        ("Wann öffnet ihr am Montag?", r"\b(8|08|acht) ?(:00|Uhr)"),
    ],
    ids=["en", "de"],
)
def test_it_knows_the_opening_hours(
    smoke_instance: SmokeInstance, question: str, answer: str
) -> None:
    assert re.search(answer, smoke_instance.chat(question).text)


def test_it_looks_an_order_up(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat("Where is order 17?")
    assert [call.name for call in turn.tool_calls] == ["find_order"]
    assert "Oslo" in turn.text
    # Two calls of the model: one that asks for the tool, one that answers.
    turn.expect_llm_events(at_least=2, providers={"anthropic"})


def test_it_keeps_customers_apart(smoke_instance_factory: SmokeInstanceFactory) -> None:
    with smoke_instance_factory() as one, smoke_instance_factory() as other:
        one.chat("Please send news to noor@customer.example.")
        assert "@" in one.chat("Where do you send news to?").text
        assert "@" not in other.chat("Where do you send news to?").text


@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_it_says_sorry(smoke_instance: SmokeInstance) -> None:
    assert "sorry" in smoke_instance.chat("My order is late!").text.lower()


@pytest.mark.hydra_smoke_live
def test_the_shop_is_there(smoke_instance: SmokeInstance) -> None:
    # What it says is another thing every day.
    assert smoke_instance.chat("How many orders have you had today?").complete
