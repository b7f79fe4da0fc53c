"""The agent answers, and what its model cost is recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from fnmatch import fnmatchcase

import pytest

from pytest_hydrasmoke import ChatTurn, SmokeInstance

from ._router import CheckedRouter, broken, shown
from ._router import smoke_router as smoke_router
from ._usage import chat_once, see_aged, youngest_of

_last: dict[str, ChatTurn] = {}
"""The turn that was looked at last, and whose it was: what it has cost is looked at next, since a
second turn would have to wait until the first one's LLM events are all in."""


def test_chat_answers(smoke_router: CheckedRouter, smoke_instance: SmokeInstance) -> None:
    with smoke_router.proving("chat"):
        turn = smoke_instance.chat(smoke_router.config.prompt)
    _last[smoke_instance.id] = turn
    if not turn.text.strip():
        pytest.fail(f"the reply has no text in any of its {len(turn.events)} events: {turn!r}")
    see_models(turn, smoke_router.config.expect_models)
    wanted = smoke_router.config.expect_text
    if wanted is not None and re.search(wanted, turn.text) is None:
        # Not an assertion on the text: an agent's words are shown only when made safe.
        pytest.fail(f"no match of expect_text {wanted!r} in the reply: {shown(turn.text, 400)}")


def see_models(turn: ChatTurn, patterns: Collection[str]) -> None:
    """See that only models answered that match one of these patterns, if there are any."""
    others = [it for it in turn.models if not any(fnmatchcase(it, one) for one in patterns)]
    if patterns and (others or not turn.models):
        wanted = f"a model of expect_models ({', '.join(sorted(patterns))})"
        if others:
            pytest.fail(
                f"{shown(', '.join(others), 400)} answered, and not {wanted}: see which model the "
                "agent is configured to ask"
            )
        pytest.fail(f"the agent's runtime names no model: nothing shows that {wanted} answered")


def test_llm_events_of_a_chat_are_recorded(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    # Another worker may have chatted since, and then nobody knows whose the events are.
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    turn = _last.pop(smoke_instance.id, None) if alone else None
    with smoke_router.proving("chat"):
        turn = turn or smoke_instance.chat(smoke_router.config.prompt)
    with smoke_router.proving("llm_events"):
        recorded = turn.expect_llm_events(providers=smoke_router.config.expect_providers)
    if not any(provider.strip() for provider in recorded.providers):
        broken(
            "llm_events names no provider",
            expected=f"providers: those of these {recorded.count}",
            got=f"providers: {list(recorded.providers)}",
        )


def test_llm_events_window_is_echoed(smoke_instance: SmokeInstance) -> None:
    for window in (600, 900):
        echoed = smoke_instance.llm_events(window_seconds=window).window_seconds
        if echoed != window:
            broken(
                "llm_events answers for another window than the request asks for",
                expected=f"window_seconds: {window}",
                got=f"window_seconds: {echoed}",
            )


def test_llm_events_window_is_900_where_none_is_given(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    before = smoke_instance.llm_events(900).count
    default = smoke_router.client.llm_events(smoke_instance.id, None)
    after = smoke_instance.llm_events(900).count
    if default.window_seconds != 900:
        broken(
            "llm_events without window_seconds does not count over the default window",
            expected="window_seconds: 900",
            got=f"window_seconds: {default.window_seconds}",
        )
    if not min(before, after) <= default.count <= max(before, after):
        broken(
            "llm_events without window_seconds does not count over the window that it names",
            expected=f"{after} LLM events, as with window_seconds=900",
            got=str(default.count),
        )


def test_llm_events_older_than_the_window_are_not_counted(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    chat_once(smoke_router, smoke_instance)
    whole = smoke_instance.llm_events().count
    see_aged(youngest_of(smoke_instance), smoke_router.config.llm_events_timeout)
    if smoke_instance.llm_events().count == 0:
        broken(
            "llm_events does not count all that is in its window",
            expected=f"{whole} LLM events with window_seconds=900",
            got="0, a few seconds later",
        )
