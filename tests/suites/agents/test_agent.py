"""A team's tests of its agents, of which each kind tells more or less of a turn."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import ChatError, HydraSmokeConfig, SmokeInstance, TokenUsage

NO_CREDIT = "HTTP 401: no credit left"


def test_a_reply(smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig) -> None:
    turn = smoke_instance.chat("Are you ready?")
    assert turn.text.startswith("I am ready.")
    assert turn.text.endswith("Ask me.")
    assert turn.complete
    tells_why = smoke_config.manifest_id in ("hermes-chat", "hermes-session")
    assert turn.finish_reason == ("stop" if tells_why else None)
    assert turn.usage == TokenUsage(input_tokens=11, output_tokens=4)
    turn.expect_llm_events(exactly=1, only={"stub"})


def test_a_tool(smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig) -> None:
    turn = smoke_instance.chat("tool please: is it cold?")
    [call] = turn.tool_calls
    assert call.name == "todo"
    if smoke_config.manifest_id in ("hermes-session", "hermes-responses"):
        assert call.arguments["todos"][0]["content"] == "Look it up"
    else:
        assert call.arguments is None
    assert turn.text.endswith("It is cold.")
    assert turn.usage == TokenUsage(input_tokens=22, output_tokens=8)
    turn.expect_llm_events(exactly=2)


def test_no_credit(smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig) -> None:
    before = smoke_instance.llm_events().count
    if smoke_config.manifest_id in ("hermes-chat", "hermes-run"):
        with pytest.raises(ChatError, match=NO_CREDIT):
            smoke_instance.chat("refuse this")
    else:
        turn = smoke_instance.chat("refuse this")
        assert turn.text == NO_CREDIT
        assert turn.usage == TokenUsage(0, 0)
    assert smoke_instance.llm_events().count == before


def test_a_slow_model(smoke_instance: SmokeInstance) -> None:
    turn = smoke_instance.chat("slow please")
    assert turn.text == "It is cold."
    assert turn.first_text_after is not None
    assert turn.first_text_after >= 0.4
    turn.expect_llm_events(exactly=1)


def test_a_model_that_is_cut(smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig) -> None:
    turn = smoke_instance.chat("cut it")
    assert turn.text == "It is It is It is It is "
    tells_why = smoke_config.manifest_id in ("hermes-chat", "hermes-session")
    assert turn.finish_reason == ("length" if tells_why else None)
    assert turn.usage == TokenUsage(0, 0)
