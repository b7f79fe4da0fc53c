"""Tests that share an agent don't see what others have told it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from plugin_tools import CHECKS, Project
from recorder_tools import RECORD, recorded, texts

from pytest_hydrasmoke._journal.chat import Turn
from pytest_hydrasmoke._journal.story import Story, ToldTurn
from pytest_hydrasmoke._plugin.run_report import unseparated
from pytest_hydrasmoke.fake import FakeRouter

NOTE = "share one agent's memory (set new_conversation)"
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
MORE = """
    @pytest.mark.hydra_smoke_runs(2)
    def test_twice(smoke_instance):
        smoke_instance.chat("One")
        smoke_instance.chat("Two")

    @pytest.mark.flaky(reruns=1)
    def test_again(smoke_instance, again=[]):
        smoke_instance.chat("Three")
        again.append(1)
        assert len(again) == 2

    def test_client(smoke_client, smoke_instance):
        with smoke_client.stream_chat(smoke_instance.id, "Four") as stream:
            list(stream)
        smoke_instance.chat("Five")

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    async def test_async(async_smoke_instance):
        async with async_smoke_instance.stream_chat("Six") as stream:
            async for _ in stream:
                pass
        await async_smoke_instance.chat("Seven")

    def test_of_none(smoke_instance):
        smoke_instance.chat("Eight")
"""
HOOK = """
    def pytest_hydra_smoke_new_conversation(instance):
        print(f"anew for {instance.idempotency_key}")
        instance.chat("Forget me.")
        instance.chat("Really.")
"""
FIRST = ["My name is Ada.", "Keep it in mind."]
OTHERS = "One Two / One Two / Three / Three Four Five / Six Seven /".replace("/", "/new").split()


def said(router: FakeRouter) -> list[str]:
    return [it.body["message"] for it in router.requests if it.route == "chat"]


def whose(project: Project, *messages: str) -> set[Any]:
    """Return the tests of all turns with these messages."""
    instances = project.report()["instances"]
    return {it["test"] for one in instances for it in one["turns"] if it["message"] in messages}


@pytest.fixture
def here(project: Project, router: FakeRouter) -> Project:
    project.at(router, bundled_checks="false", usage_settle=1).pytester.makepyfile(test_it=SUITE)
    return project


def test_a_message_begins_a_conversation_before_another_tests_first_chat(
    here: Project, router: FakeRouter
) -> None:
    here.set(new_conversation="/new").pytester.makepyfile(test_it=SUITE + MORE)
    begun = [*FIRST, "/new", "Who am I?", "Still there?", "/new", *OTHERS]
    router.fail("chat", status=500, after=len(begun) - 1, times=1)
    others = ("-p", "rerunfailures", "-p", "anyio")
    result = here.live(*others, *RECORD)
    assert result.parseoutcomes() == {"passed": 7, "rerun": 1, "failed": 1}
    # Not before the first chat of all, one that goes on, or a client of its own.
    assert said(router) == begun
    assert whose(here, "/new") == {None}
    refused = "no new conversation could begin for this test: chat was refused with 500"
    result.says(f"E * {refused}*")
    result.stdout.no_fnmatch_line("*share one agent's memory*")
    # A recording has none, and its replay needs none.
    recordings = texts(here)
    assert len(recordings) == 7
    assert not any(b"/new" in it for it in recordings.values())
    again = recorded(here)["test_it.py::test_again"]
    assert [it["message"] for it in again] == ["Three"], "of the last attempt alone"
    replay = here.fake("--hydra-smoke-scenario=recordings", *others, "-k", "not none and not first")
    assert replay.parseoutcomes() == {"passed": 6, "rerun": 1, "deselected": 2}
    replay.stdout.no_fnmatch_line("*share one agent's memory*")


def test_without_it_a_line_says_so_once(here: Project, router: FakeRouter) -> None:
    result = here.live(passed=3).says(f"hydra-smoke: note: 3 tests {NOTE}")
    assert "/new" not in said(router)
    assert result.stdout.str().count("(set new_conversation)") == 1
    # Where all mean it, there is nothing to say.
    marks = "import pytest\n    pytestmark = pytest.mark.hydra_smoke_continues"
    here.pytester.makepyfile(test_it=SUITE.replace("import pytest", marks))
    result = here.live(passed=3)
    result.stdout.no_fnmatch_line("*share one agent's memory*")


def test_a_hook_takes_its_place(here: Project, router: FakeRouter) -> None:
    here.pytester.makeconftest(HOOK)
    result = here.live("-s", passed=3)
    assert said(router) == [*FIRST, "Forget me.", "Really.", "Who am I?", "Still there?"]
    assert whose(here, "Really.") == {None}
    result.stdout.no_fnmatch_line("*share one agent's memory*")
    # One that chats nothing is called once a test, too.
    here.pytester.makeconftest(HOOK[: HOOK.index("instance.chat")])
    twice = '"Who am I?")\n        smoke_instance.chat("Yes?")'
    here.pytester.makepyfile(test_it=SUITE.replace('"Who am I?")', twice))
    result = here.set(new_conversation="/new").live("-s", passed=3)
    assert result.stdout.str().count("anew for") == 1


CHECK = f"{CHECKS}/test_chat.py::test_chat_answers"


@pytest.mark.parametrize(
    ("chats", "shared", "told"),
    [
        pytest.param([("a", None), ("b", None), ("a", None)], {"share": "all"}, "2 tests", id="2"),
        pytest.param([("a", None), ("b", None)], {"attached": True}, "2 tests", id="attached"),
        pytest.param([("a", None), ("b", None)], {}, None, id="of one test"),
        pytest.param([("a", None), ("a", None)], {"share": "all"}, None, id="once"),
        pytest.param([("a", 1), ("a", 2), ("a", 3)], {"share": "all"}, "3 runs of a test", id="3"),
        pytest.param([("a", None), (CHECK, None)], {"share": "all"}, None, id="a bundled check"),
        pytest.param([("a", None), (None, None)], {"share": "all"}, None, id="a hook"),
        # They are told in the order of their times, and the first may be any.
        pytest.param([("meant", None), ("a", None)], {"share": "all"}, "2 tests", id="first"),
        pytest.param([("a", None), ("meant", None)], {"share": "all"}, None, id="later"),
    ],
)
def test_who_shares_a_memory(
    chats: Sequence[tuple[str | None, int | None]], shared: dict[str, Any], told: str | None
) -> None:
    turns = [
        ToldTurn(float(at), Turn(at, "hi", test=test, run=run), "main")
        for at, (test, run) in enumerate(chats)
    ]
    story = Story()
    story.chats.turns.extend(reversed(turns))
    vars(story).update(shared)
    expected = [f"note: {told} {NOTE}"] if told else []
    assert [*unseparated([Story(), story], {"meant"})] == expected
