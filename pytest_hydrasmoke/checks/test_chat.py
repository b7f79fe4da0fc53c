"""The agent answers, and what its model cost is recorded."""

from __future__ import annotations

import re

import pytest

from pytest_hydrasmoke import HydraSmokeConfig, SmokeInstance
from pytest_hydrasmoke._redact import safe_text
from pytest_hydrasmoke.checks._strangers import broken

LONGEST = 4000
"""Characters that a message may have."""


def test_chat_answers(smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig) -> None:
    turn = smoke_instance.chat(smoke_config.prompt)
    if not turn.text.strip():
        pytest.fail(f"the reply has no text in any of its {len(turn.events)} events")
    wanted = smoke_config.expect_text
    if wanted is not None and re.search(wanted, turn.text) is None:
        # Not an assertion on the text: an agent's words are shown only when made safe.
        pytest.fail(f"no match of expect_text {wanted!r} in the reply: {safe_text(turn.text)}")


def test_llm_events_of_a_chat_are_recorded(
    smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    turn = smoke_instance.chat(smoke_config.prompt)
    recorded = turn.expect_llm_events(providers=smoke_config.expect_providers)
    if not any(provider.strip() for provider in recorded.providers):
        broken(
            "llm_events names no provider",
            expected=f"providers: who was paid for these {recorded.count}",
            got=f"providers: {list(recorded.providers)}",
        )


def test_llm_events_window_is_echoed(smoke_instance: SmokeInstance) -> None:
    for window in (600, 900):
        echoed = smoke_instance.llm_events(window_seconds=window).window_seconds
        if echoed != window:
            broken(
                "llm_events answers for another window than it was asked for",
                expected=f"window_seconds: {window}",
                got=f"window_seconds: {echoed}",
            )


def test_longest_message_is_taken(
    smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    # Its characters are what counts: the last one has more than a byte.
    smoke_instance.chat(smoke_config.prompt[: LONGEST - 1].ljust(LONGEST - 1) + "…")
