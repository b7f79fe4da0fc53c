"""Replaying: a suite that was recorded live runs offline, and what it has to say of that."""

from __future__ import annotations

from textwrap import dedent

import pytest
from plugin_tools import CHECKS, Project

from pytest_hydrasmoke.fake import FakeRouter

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
        turn = await async_smoke_instance.chat("Async?")
        assert turn.text == "Async? 0."

    @pytest.mark.hydra_smoke_runs(3, at_least=2)
    def test_runs(smoke_instance):
        assert smoke_instance.chat("Heads?").text != "Heads? 1."

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


@pytest.fixture
def recorded(project: Project, router: FakeRouter) -> Project:
    """A project whose suite was recorded against a router that is a live one to it."""
    for message in MESSAGES:
        router.reply(f"^{message[:-1]}", [f"{message} {number}." for number in range(4)])
    project.write("tests/test_it.py", dedent(SUITE))
    project.write("conftest.py", dedent(CONFTEST))
    project.at(router, max_instances=8, usage_settle=1)
    return project


ANYIO = ("-p", "anyio")
CHECK = f"{CHECKS}/test_chat.py::test_chat_answers"
REPLAY = ("--hydra-smoke-scenario=recordings/", *ANYIO)


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.kill)])
def test_a_suite_that_was_recorded(recorded: Project, router: FakeRouter, number: int) -> None:
    live = recorded.live("--hydra-smoke-record=recordings", *ANYIO, "tests", CHECK)
    live.assert_outcomes(passed=9, skipped=1, xfailed=1)
    check = recorded.path / "recordings/pytest_hydrasmoke"
    assert not check.exists()
    assert not (recorded.path / "recordings/tests/test_it/test_live.json").exists()
    asked = len(router.requests)

    result = recorded.fake(*REPLAY, "--hydra-smoke-report=always", "tests", CHECK)
    result.assert_outcomes(passed=7, skipped=3, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "hydra-smoke: FAKE, replaying 11 recordings of ????-??-??; the oldest is of today; *",
            "FAKE router, replaying 11 recordings of ????-??-??, run *",
        ]
    )
    result.stdout.no_fnmatch_line("*no longer asks*")
    report = recorded.report()
    assert (report["fake"], report["replaying"][:24]) == (True, "replaying 11 recordings ")
    assert "FAKE router, replaying 11 recordings of " in recorded.left("report.html")

    # Some of it, backwards, on workers that set the fixture up for themselves.
    names = ("test_async", "test_runs", "test_of_its_own", "test_many_turns")
    some = [f"tests/test_it.py::{name}" for name in names]
    some_of_it = recorded.fake(*REPLAY, *some, "-p", "xdist", f"-n{number}")
    some_of_it.assert_outcomes(passed=4)
    # Each has a fake and instances of its own, and says so while it runs.
    some_of_it.stdout.fnmatch_lines(["hydra-smoke: gw?: *-gw?-0: ready after *"])
    instances = recorded.report()["instances"]
    workers = {it["idempotency_key"].split("-")[-2] for it in instances}
    assert workers == {f"gw{at}" for at in range(number)}
    assert {it["outcome"] for it in instances} == {"deleted"}
    some_of_it.stdout.no_fnmatch_line("*of no test*")
    some_of_it.stdout.no_fnmatch_line("*no longer asks*")
    assert len(router.requests) == asked
