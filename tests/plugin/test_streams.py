"""Streams that tests read, left early or whole: their turns, counted, recorded and replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from plugin_tools import QUICK, Project

from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
    import pytest

    def until_it_stops(stream):
        for event in stream:
            if '"stop"' in event.data:
                return

    def test_left(smoke_instance):
        with smoke_instance.stream_chat("Tell me a story.") as stream:
            until_it_stops(stream)
        turn = stream.turn
        assert (turn.text, turn.usage, turn.models) == ("I am ready.", None, ("smoke",))
        assert (turn.complete, turn.finish_reason) == (False, "stop")
        turn.expect_llm_events(exactly=1, only={"anthropic"})
        smoke_instance.chat("And now?").expect_llm_events(exactly=1)

    def test_at_its_first_word(smoke_instance):
        with smoke_instance.stream_chat("Tell me a story.") as stream:
            next(event for event in stream if event.text)
        assert stream.turn.text == "I"
        assert smoke_instance.chat("And now?").complete

    @pytest.mark.anyio
    async def test_whole(async_smoke_instance, smoke_client):
        async with async_smoke_instance.stream_chat("Tell me a story.") as stream:
            async for event in stream:
                assert stream.turn.text.endswith(event.text)
        turn = stream.turn
        assert (turn.text, turn.complete) == ("I am ready.", True)
        assert turn.usage.output_tokens
        assert turn.first_text_after is not None
        assert len(turn.trace_id) == 32
        assert [it["role"] for it in turn.as_messages()] == ["user", "assistant"]
        await turn.expect_llm_events(exactly=1)

    def test_by_a_client(smoke_instance, smoke_client):
        with smoke_client.stream_chat(smoke_instance.id, "Tell me a story.") as stream:
            list(stream)
        assert stream.turn.text == "I am ready."
"""


RECORD, REPLAY = "--hydra-smoke-record=recordings", "--hydra-smoke-scenario=recordings/"
FOREVER = 100_000
"""A replay knows what was counted, and waits for nothing."""


def test_a_stream_is_a_turn_live_and_replayed(project: Project, router: FakeRouter) -> None:
    uncounted = SUITE.replace('turn.expect_llm_events(exactly=1, only={"anthropic"})', "")
    project.pytester.makepyfile(test_it=uncounted)
    options = ("test_it.py", "-p", "anyio")
    # A turn that was left is settled only then. The coroutine is under asyncio and trio.
    project.at(router, usage_settle=0.3).live(RECORD, *options, "-k", "left")
    project.pytester.makepyfile(test_it=SUITE)
    result = project.set(usage_settle=FOREVER).fake(REPLAY, *options, "-k", "left")
    result.assert_outcomes(failed=1, deselected=4)
    result.stdout.fnmatch_lines(["*_ test_left _*", "*to record them, expect them after it*"])
    # As its failure says: expect them after it, and record again.
    project.set(usage_settle=0.3).live(RECORD, *options).assert_outcomes(passed=5)
    project.set(usage_settle=FOREVER).fake(REPLAY, *options).assert_outcomes(passed=5)


def test_llm_events_of_a_stream_that_was_left_or_is_not_kept(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(replace(QUICK, reply="One two three four five.", event_pause=0.05))
    project.at(router, usage_settle=0.3).pytester.makepyfile(
        test_it="""
        from pytest_hydrasmoke import turn

        def test_left(smoke_instance):
            with smoke_instance.stream_chat("Count.") as stream:
                next(event for event in stream if event.text)
            stream.turn.expect_llm_events(timeout=0.3)

        def test_long(smoke_instance, monkeypatch):
            monkeypatch.setattr(turn, "STREAMED", 100)
            with smoke_instance.stream_chat("Count.") as stream:
                list(stream)
            stream.turn.expect_llm_events(exactly=1)
            stream.turn.expect_llm_events(exactly=5, timeout=0.3)
        """
    )
    result = project.live("test_it.py")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E *the turn was left before its end, and the LLM events are not as expected",
            "E *turn: *was left after 'One', called no tool, and reported no tokens",
            "E *next step: read the stream to its end: of a turn that is left, an agent may count*",
            "E *turn: *was streamed, more than 0 MiB",
        ]
    )


def test_tools_are_compared(pytester: pytest.Pytester, project: Project) -> None:
    project.write(
        "agent.toml",
        """
        runtime = "ag-ui"
        [[replies]]
        match = "weather"
        text = "Cold."
        tool_calls = [{ name = "look", arguments = { city = "Oslo" }, result = "-3" }]
        """,
    )
    pytester.makepyfile(
        """
        def test_right(smoke_instance):
            turn = smoke_instance.chat("How is the weather?")
            turn.expect_tools(("look", {"city": "Oslo"}), mode="exact")

        def test_wrong(smoke_instance):
            turn = smoke_instance.chat("How is the weather?")
            turn.expect_tools("look", never=[("look", {"city": "Oslo"})])
        """
    )
    result = project.fake("--hydra-smoke-scenario=agent.toml", "test_tools_are_compared.py")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ToolCallsError: the agent called other tools than expected",
            'E * expected: *never look(city="Oslo")',
            'E *! look  *look(city="Oslo")',
        ]
    )
    # Nothing of the plugin's own code is shown.
    result.stdout.no_fnmatch_line("*check_tools*")
