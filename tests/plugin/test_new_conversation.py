"""Tests that share an agent don't see what others have told it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plugin_tools import Project

from pytest_hydrasmoke.fake import FakeRouter

NOTE = "hydra-smoke: note: {} tests share one agent's memory (set new_conversation)"
SUITE = """
    import pytest

    def test_first(smoke_instance):
        smoke_instance.chat("My name is Ada.")
        smoke_instance.chat("Keep it in mind.")

    def test_second(smoke_instance):
        smoke_instance.chat("Who am I?").expect_llm_events(exactly=1)

    @pytest.mark.hydra_smoke_continues
    def test_third(smoke_instance):
        with smoke_instance.stream_chat("Still there?") as stream:
            list(stream)
"""


def said(router: FakeRouter) -> list[str]:
    return [it.body["message"] for it in router.requests if it.route == "chat"]


def turns(project: Project) -> list[tuple[Any, Any]]:
    instances = project.report()["instances"]
    return [(it["message"], it["test"]) for one in instances for it in one["turns"]]


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Iterator[Project]:
    project.at(router, bundled_checks="false")
    project.pytester.makepyfile(test_it=SUITE)
    return project


def test_a_message_begins_a_conversation_before_another_tests_first_chat(
    here: Project, router: FakeRouter
) -> None:
    result = here.set(new_conversation="/new").live()
    result.assert_outcomes(passed=3)
    # Whoever comes first says nothing before, and the one that goes on never does.
    first = ["My name is Ada.", "Keep it in mind."]
    assert said(router) == [*first, "/new", "Who am I?", "Still there?"]
    assert [test for message, test in turns(here) if message == "/new"] == [None]
    result.stdout.no_fnmatch_line("*share one agent's memory*")


def test_without_it_a_line_says_so_once(here: Project, router: FakeRouter) -> None:
    result = here.live()
    result.assert_outcomes(passed=3)
    assert "/new" not in said(router)
    result.stdout.fnmatch_lines([NOTE.format(3)])
    assert result.stdout.str().count("(set new_conversation)") == 1


def test_runs_of_one_test_share_a_memory_too(here: Project) -> None:
    here.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.hydra_smoke_runs(3)
        def test_it(smoke_instance):
            smoke_instance.chat("Who am I?")
        """
    )
    result = here.live()
    result.assert_outcomes(passed=1)
    words = "hydra-smoke: note: 3 runs of a test share one agent's memory (set new_conversation)"
    result.stdout.fnmatch_lines([words])


@pytest.mark.parametrize("marked", ["all", "bundled", "private"])
def test_nothing_is_said_where_tests_mean_it_or_share_nothing(here: Project, marked: str) -> None:
    suite = SUITE
    if marked == "all":
        suite = SUITE.replace("import pytest", "import pytest\n    " + PYTESTMARK)
    if marked == "bundled":
        here.set(bundled_checks="core")
        suite = "def test_one(smoke_instance):\n    smoke_instance.chat('Who am I?')\n"
    if marked == "private":
        here.set(scope="function")
    here.pytester.makepyfile(test_it=suite)
    result = here.live()
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*share one agent's memory*")


PYTESTMARK = "pytestmark = pytest.mark.hydra_smoke_continues"


def test_a_hook_takes_its_place(here: Project, router: FakeRouter) -> None:
    here.set(new_conversation="/new")
    here.pytester.makeconftest(
        """
        def pytest_hydra_smoke_new_conversation(instance):
            instance.chat("Forget me.")
            instance.chat("Really.")
        """
    )
    here.live().assert_outcomes(passed=3)
    first, second = ["My name is Ada.", "Keep it in mind."], ["Who am I?"]
    assert said(router) == [*first, "Forget me.", "Really.", *second, "Still there?"]
    assert [test for message, test in turns(here) if message == "Really."] == [None]


def test_a_hook_that_chats_nothing_is_called_once_a_test(here: Project) -> None:
    here.pytester.makeconftest(
        """
        def pytest_hydra_smoke_new_conversation(instance):
            print(f"anew for {instance.idempotency_key}")
        """
    )
    here.pytester.makepyfile(
        test_it=SUITE.replace('"Who am I?")', '"Who am I?")\n        smoke_instance.chat("Yes?")')
    )
    result = here.live("-s")
    result.assert_outcomes(passed=3)
    assert result.stdout.str().count("anew for") == 1
    result.stdout.no_fnmatch_line("*share one agent's memory*")


def test_repeats_of_a_test_and_its_reruns_are_separate_too(
    here: Project, router: FakeRouter
) -> None:
    here.set(new_conversation="/new")
    here.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.hydra_smoke_runs(2)
        def test_twice(smoke_instance):
            smoke_instance.chat("One")
            smoke_instance.chat("Two")

        @pytest.mark.flaky(reruns=1)
        def test_again(smoke_instance, again=[]):
            smoke_instance.chat("Three")
            again.append(1)
            assert len(again) == 2
        """
    )
    result = here.live("-p", "rerunfailures")
    assert result.ret == 0
    twice = ["One", "Two", "/new", "One", "Two"]
    assert said(router) == [*twice, "/new", "Three", "/new", "Three"]


def test_coroutines_and_clients_have_conversations_of_their_own(
    here: Project, router: FakeRouter
) -> None:
    here.set(new_conversation="/new")
    here.pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        def test_client(smoke_client, smoke_instance):
            with smoke_client.stream_chat(smoke_instance.id, "One") as stream:
                list(stream)
            smoke_instance.chat("Two")

        @pytest.mark.anyio
        async def test_async(async_smoke_instance):
            async with async_smoke_instance.stream_chat("Three") as stream:
                async for _ in stream:
                    pass
            await async_smoke_instance.chat("Four")
        """
    )
    here.live("-p", "anyio").assert_outcomes(passed=2)
    assert said(router) == ["One", "Two", "/new", "Three", "Four"]


def test_one_that_fails_is_the_tests_error_in_words(here: Project, router: FakeRouter) -> None:
    here.set(new_conversation="/new")
    router.fail("chat", status=500, after=2, times=1)
    result = here.live("-k", "first or second")
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["E * no new conversation could begin for this test: chat was refused with 500*"]
    )


def test_a_recording_has_none_and_its_replay_needs_none(here: Project) -> None:
    here.set(new_conversation="/new")
    here.live("--hydra-smoke-record=recordings").assert_outcomes(passed=3)
    texts = [it.read_text("utf-8") for it in (here.path / "recordings").rglob("*.json")]
    assert len(texts) == 4
    assert not any("/new" in it for it in texts)
    replay = ("--hydra-smoke-scenario=recordings", "-p", "no:randomly")
    for which in ((), ("-k", "second or third")):
        result = here.fake(*replay, *which)
        assert result.ret == 0
        result.stdout.no_fnmatch_line("*share one agent's memory*")
