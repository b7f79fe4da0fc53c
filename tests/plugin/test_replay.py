"""A suite that was recorded live is replayed: alone, in another order, and by workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from textwrap import dedent

import pytest
from plugin_tools import CHECKS, QUICK, Project
from recorder_tools import RECORD, recorded

from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
    import pytest

    @pytest.fixture(scope="module")
    def wide(smoke_instance_factory):
        with smoke_instance_factory() as instance:
            assert instance.chat("Hello").text == "Hello 0."
            yield instance
            assert instance.chat("Bye").text == "Bye 0."

    def test_many_turns(smoke_instance):
        texts = [smoke_instance.chat(it).text for it in ("One", "Two", "One")]
        assert texts == ["One 0.", "Two 0.", "One 1."]

    @pytest.mark.parametrize("language", ["de", "en"])
    def test_parameters(smoke_instance, language):
        turn = smoke_instance.chat(f"{language}?")
        turn.expect_llm_events(providers={"anthropic"})

    def test_of_its_own(smoke_instance_factory, wide):
        first, second = smoke_instance_factory.many(2)
        assert second.chat("Who?").text == "Who? 0."
        assert first.chat("Who?").text == "Who? 0."
        assert first.chat("Who?").text == "Who? 1."
        assert wide.chat("Who?").text == "Who? 0."

    @pytest.mark.anyio
    async def test_async(async_smoke_instance):
        async with async_smoke_instance.stream_chat("Async?") as stream:
            async for event in stream:
                assert stream.turn.text.endswith(event.text)
        turn = stream.turn
        assert (turn.text, turn.complete) == ("Async? 0.", True)
        assert turn.usage.output_tokens
        assert turn.first_text_after is not None
        assert len(turn.trace_id) == 32
        assert [it["role"] for it in turn.as_messages()] == ["user", "assistant"]
        await turn.expect_llm_events(exactly=1)

    def test_left(smoke_instance):
        with smoke_instance.stream_chat("Tell me a story.") as stream:
            for event in stream:
                if '"stop"' in event.data:
                    break
        turn = stream.turn
        assert (turn.text, turn.usage, turn.models) == ("I am ready.", None, ("smoke",))
        assert (turn.complete, turn.finish_reason) == (False, "stop")
        turn.expect_llm_events(exactly=1, only={"anthropic"})
        with smoke_instance.stream_chat("Tell me a story.") as stream:
            next(event for event in stream if event.text)
        assert stream.turn.text == "I"
        assert smoke_instance.chat("And now?").complete

    def test_counted(smoke_instance):
        one = smoke_instance.chat("One")
        smoke_instance.chat("Two").expect_llm_events(exactly=1)
        one.expect_llm_events(exactly=1)
        smoke_instance.chat("Nobody counts")

    def test_counted_together(smoke_instance_factory):
        with smoke_instance_factory() as instance:
            instance.chat("One")
            instance.chat("Two")
            instance.expect_llm_events(exactly=3, only={"anthropic"})
            assert instance.llm_events().count == 3

    @pytest.mark.hydra_smoke_runs(3, at_least=2)
    def test_runs(smoke_instance):
        assert smoke_instance.chat("Heads?").text != "Heads? 1."

    def test_client(smoke_instance, smoke_client):
        with smoke_client.stream_chat(smoke_instance.id, "Tell me a story.") as stream:
            list(stream)
        assert stream.turn.text == "I am ready."

    def test_masked(smoke_instance, smoke_config):
        assert smoke_instance.chat(f"Is it {smoke_config.token.reveal()}?").text

    def test_skips_half_way(smoke_instance):
        if smoke_instance.chat("Two").text:
            pytest.skip("it is so")

    @pytest.mark.xfail(strict=True)
    def test_is_expected_to_fail(smoke_instance):
        assert not smoke_instance.chat("Two").text

    @pytest.mark.hydra_smoke_live
    def test_live(smoke_instance, request):
        assert smoke_instance.chat("Alive?").text
"""
CONFTEST = """
    import dataclasses
    import pytest

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    def pytest_hydra_smoke_instance_ready(instance):
        assert instance.chat("Ready?").text == "Ready? 0."

    def pytest_hydra_smoke_record(turn):
        return dataclasses.replace(turn, message=turn.message.replace("?", "!"))
"""
MESSAGES = ("Ready?", "Hello", "Bye", "One", "Two", "Who?", "Async?", "Heads?")
ANYIO = ("-p", "anyio")
CHECK = f"{CHECKS}/test_chat.py::test_chat_answers"
REPLAY = ("--hydra-smoke-scenario=recordings/", *ANYIO)
COUNTED = {
    "parameters[de]": [1],
    "left": [1, None, None],
    "counted": [1, 1, None],
    "counted_together": [1, 1],
    "masked": [None],
}


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.kill)])
def test_a_suite_that_was_recorded(project: Project, router: FakeRouter, number: int) -> None:
    for message in MESSAGES:
        router.reply(f"^{message[:-1]}", [f"{message} {number}." for number in range(4)])
    project.write("tests/test_it.py", dedent(SUITE))
    project.write("conftest.py", dedent(CONFTEST))
    project.at(router, max_instances=9, usage_settle=1)
    project.live(*RECORD, *ANYIO, "tests", CHECK, passed=13, skipped=1, xfailed=1)
    assert not (project.path / "recordings/pytest_hydrasmoke").exists()
    turns = recorded(project)
    assert "tests/test_it.py::test_live" not in turns
    counts = {
        name: [it["llm_events"] and it["llm_events"]["count"] for it in turns[f"{FILE}{name}"]]
        for name in COUNTED
    }
    assert counts == COUNTED
    asked = len(router.requests)

    # A replay knows what was counted, and waits for nothing.
    project.set(usage_settle=100_000)
    result = project.fake(*REPLAY, "--hydra-smoke-report=always", "tests", CHECK)
    result.assert_outcomes(passed=11, skipped=3, xfailed=1)
    result.says(
        "hydra-smoke: FAKE, replaying 15 recordings of ????-??-??; the oldest is of today; *",
        "FAKE router, replaying 15 recordings of ????-??-??, run *",
    )
    result.stdout.no_fnmatch_line("hydra-smoke: note: *")
    report = project.report()
    assert (report["fake"], report["replaying"][:24]) == (True, "replaying 15 recordings ")
    assert "FAKE router, replaying 15 recordings of " in project.left("report.html")
    exchanges = [it for one in report["instances"] for it in one["exchanges"]]
    assert {it["status"] for it in exchanges if it["call"] == "llm_events"} == {200}

    # Some of it, backwards, on workers that set the fixture up for themselves.
    names = ("async", "masked", "runs", "of_its_own", "counted_together", "many_turns")
    some = [f"{FILE}{name}" for name in names]
    some_of_it = project.fake(*REPLAY, *some, "-p", "xdist", f"-n{number}", passed=len(some))
    # Each has a fake and instances of its own, and says so while it runs.
    some_of_it.says("hydra-smoke: gw?: *-gw?-0: ready after *")
    instances = project.report()["instances"]
    workers = {it["idempotency_key"].split("-")[-2] for it in instances}
    assert workers == {f"gw{at}" for at in range(number)}
    assert {it["outcome"] for it in instances} == {"deleted"}
    some_of_it.stdout.no_fnmatch_line("hydra-smoke: note: *")
    assert len(router.requests) == asked


FILE = "tests/test_it.py::test_"


def test_what_a_turn_lacks_is_told_in_words(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    call = {"name": "look", "arguments": {"city": "Oslo"}, "result": "-3"}
    router = routing(
        replace(QUICK, runtime="ag-ui", reply="One two three four five.", event_pause=0.05)
    )
    router.reply("weather", "Cold.", tool_calls=[call])
    project.at(router).pytester.makepyfile(
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

        def test_tools(smoke_instance):
            turn = smoke_instance.chat("How is the weather?")
            turn.expect_tools(("look", {"city": "Oslo"}), mode="exact")
            turn.expect_tools("look", never=[("look", {"city": "Oslo"})])
        """
    )
    result = project.live("test_it.py", failed=3).says(
        "E *the turn was left before its end, and the LLM events are not as expected",
        "E *turn: *was left after 'One', called no tool, and reported no tokens",
        "E *next step: read the stream to its end: of a turn that is left, an agent may count*",
        "E *turn: *was streamed, more than 0 MiB",
        "*ToolCallsError: the agent called other tools than expected",
        'E * expected: *never look(city="Oslo")',
        'E *! look  *look(city="Oslo")',
    )
    # Nothing of the plugin's own code is shown.
    result.stdout.no_fnmatch_line("*check_tools*")
