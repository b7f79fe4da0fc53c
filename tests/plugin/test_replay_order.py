"""A replay notes a test that asks an instance's messages in another order than recorded."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
from plugin_tools import QUICK, TOKEN, Project

from pytest_hydrasmoke.fake import FakeRouter

RECORD = "--hydra-smoke-record=recordings"
REPLAY = "--hydra-smoke-scenario=recordings/"
ANYIO = ("-p", "anyio")
CONFTEST = "import pytest\nanyio_backend = pytest.fixture(lambda: 'asyncio')\n"
HEAD = """
import threading
from concurrent.futures import ThreadPoolExecutor
import anyio
import pytest

"""


def write(project: Project, suite: str) -> None:
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", HEAD + dedent(suite))


def record(project: Project, suite: str) -> None:
    write(project, suite)
    with FakeRouter(QUICK, TOKEN) as router:
        result = project.at(router, max_instances=8).live(RECORD, *ANYIO, "test_it.py")
    assert result.ret == 0


def notes(project: Project, suite: str) -> list[str]:
    """Replay a suite, which is to pass, and return what the summary notes."""
    write(project, suite)
    result = project.fake(REPLAY, *ANYIO, "test_it.py")
    assert result.ret == 0
    return of(result)


def of(result: pytest.RunResult) -> list[str]:
    mark = "hydra-smoke: note: "
    notes = [line.removeprefix(mark) for line in result.outlines if line.startswith(mark)]
    return [note.removeprefix("test_it.py::") for note in notes]


def another(*messages: str, test: str = "test_it") -> list[str]:
    late = ", ".join(map(repr, messages))
    return [f"{test} asks its messages in another order than recorded: later {late}"]


ONE = """
    def test_it(smoke_instance):
        for message in {}:
            smoke_instance.chat(message)
"""


def test_two_messages_that_changed_places(project: Project) -> None:
    record(project, ONE.format(["One", "Two", "Three"]))
    assert notes(project, ONE.format(["One", "Two", "Three"])) == []
    swapped = ONE.format(["Two", "One", "Three"])
    assert notes(project, swapped) == another("One")
    record(project, swapped)
    assert notes(project, swapped) == []


def test_a_message_that_is_left_out_changes_no_order(project: Project) -> None:
    record(project, ONE.format(["One", "Two", "One", "Three"]))
    left_out = "test_it no longer asks what was recorded: "
    assert notes(project, ONE.format(["Two", "One"])) == [f"{left_out}'One', 'Three'"]
    assert notes(project, ONE.format(["Three"])) == [f"{left_out}'One', 'Two', 'One'"]
    both = ["Two", "One", "Three", "One"]
    assert notes(project, ONE.format(both)) == another("One")


def test_a_failed_test_is_noted_too(project: Project) -> None:
    record(project, ONE.format(["One", "Two"]))
    write(project, ONE.format(["Two", "One"]) + "            assert message == 'Two'\n")
    result = project.fake(REPLAY, "test_it.py")
    assert result.ret == 1
    assert of(result) == another("One")


MANY = """
    def test_it(smoke_instance, smoke_instance_factory, smoke_client, smoke_spec):
        given = [smoke_instance, *smoke_instance_factory.many(2)]
        for number, message in {}:
            given[number].chat(message)

    def test_another(smoke_instance):
        smoke_instance.chat("Two")
"""
ALL = [(number, message) for number in range(3) for message in ("One", "Two")]


def test_only_the_order_within_an_instance_counts(project: Project) -> None:
    record(project, MANY.format(ALL))
    assert notes(project, MANY.format(sorted(ALL, key=lambda pair: pair[1]))) == []
    assert notes(project, MANY.format(ALL[4:] + ALL[:4])) == []
    assert notes(project, MANY.format([*ALL[:2], ALL[3], ALL[2], *ALL[4:]])) == another("One")


BY_HAND = """
    def test_it(smoke_instance, smoke_instance_factory, smoke_client, smoke_spec):
        for name, messages in {}:
            with smoke_instance_factory.own(name) as key:
                smoke_client.provision(smoke_spec, key)
                instance_id = smoke_client.poll(key).instance_id
                for message in messages:
                    with smoke_client.stream_chat(instance_id, message) as stream:
                        assert list(stream)
"""


def test_instances_that_a_recording_does_not_tell_apart(project: Project) -> None:
    names = [("a", ["One", "Two"]), ("b", ["Two", "One"])]
    record(project, BY_HAND.format(names))
    assert notes(project, BY_HAND.format(names)) == []
    assert notes(project, BY_HAND.format(names[::-1])) == []


RUNS = """
    runs = iter({})

    @pytest.fixture
    def greeted(smoke_instance):
        smoke_instance.chat("Hello")
        yield smoke_instance
        smoke_instance.chat("Bye")

    @pytest.mark.hydra_smoke_runs(3)
    def test_it(greeted):
        for message in next(runs):
            greeted.chat(message)
"""


def test_each_run_of_a_body_has_an_order(project: Project) -> None:
    same = [["One", "Two"], ["Two", "One"], ["One", "Two"]]
    record(project, RUNS.format(same))
    assert notes(project, RUNS.format(same)) == []
    assert notes(project, RUNS.format([same[0], same[0], same[0]])) == another("Two")
    more = [*same, same[2], same[2]]
    assert notes(project, RUNS.format(more).replace("runs(3)", "runs(5)")) == []


THREADS = """
    def test_it(smoke_instance_factory):
        instances = smoke_instance_factory.many(2)

        def ask(instance):
            for message in {}:
                instance.chat(message)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, instances))
"""
TASKS = """
    @pytest.mark.anyio
    async def test_it(async_smoke_instance_factory):
        instances = await async_smoke_instance_factory.many(2)

        async def ask(instance):
            for message in {}:
                await instance.chat(message)

        async with anyio.create_task_group() as group:
            for instance in instances:
                group.start_soon(ask, instance)
"""


@pytest.mark.parametrize("suite", [THREADS, TASKS])
def test_instances_with_a_thread_or_a_task_each(project: Project, suite: str) -> None:
    record(project, suite.format(["One", "Two"]))
    assert notes(project, suite.format(["One", "Two"])) == []
    assert notes(project, suite.format(["Two", "One"])) == another("One")


ONE_FOR_ALL_THREADS = """
    def test_it(smoke_instance):
        for message in {}:
            thread = threading.Thread(target=smoke_instance.chat, args=[message])
            thread.start()
            thread.join()
"""
ONE_FOR_ALL_TASKS = """
    @pytest.mark.anyio
    async def test_it(async_smoke_instance):
        for message in {}:
            async with anyio.create_task_group() as group:
                group.start_soon(async_smoke_instance.chat, message)
"""
CLAIMED_BY_THREADS = """
    def test_it(smoke_instance_factory):
        def ask(*messages):
            with smoke_instance_factory() as instance:
                for message in messages:
                    instance.chat(message)

        for messages in [{0}, {0}[::-1]]:
            thread = threading.Thread(target=ask, args=messages)
            thread.start()
            thread.join()
"""


@pytest.mark.parametrize("suite", [ONE_FOR_ALL_THREADS, ONE_FOR_ALL_TASKS, CLAIMED_BY_THREADS])
def test_where_several_threads_or_tasks_ask_there_is_no_order(project: Project, suite: str) -> None:
    record(project, suite.format(["One", "Two"]))
    assert notes(project, suite.format(["Two", "One"])) == []


FIXTURE = """
    @pytest.fixture(scope="module")
    def agent(smoke_instance_factory):
        with smoke_instance_factory() as instance:
            for message in {}:
                instance.chat(message)
            yield instance
            instance.chat("Bye")

    @pytest.mark.parametrize("number", range(4))
    def test_it(agent, smoke_instance, number):
        for message in {}:
            smoke_instance.chat(message)
            agent.chat(message)
"""


def test_workers_that_share_an_instance(project: Project) -> None:
    record(project, FIXTURE.format(["Hello", "Hi"], ["One", "Two"]))
    four = ("--hydra-smoke-fake", REPLAY, "-p", "xdist", "-n4", "test_it.py")
    same = project.process(*four)
    same.assert_outcomes(passed=4)
    same.stdout.no_fnmatch_line("*note:*")
    suite = FIXTURE.format(["Hi", "Hello"], ["Two", "One"])
    expected = [another("One", test=f"test_it[{number}]")[0] for number in range(4)]
    # A fixture's recording may be of several workers, and so is of no order.
    assert sorted(notes(project, suite)) == expected
    write(project, suite)
    swapped = project.process(*four)
    swapped.assert_outcomes(passed=4)
    assert sorted(of(swapped)) == expected


REFUSED = """
    from pytest_hydrasmoke import ChatTimeoutError

    def test_it(smoke_instance):
        for message in {}:
            try:
                smoke_instance.chat(message)
            except ChatTimeoutError:
                smoke_instance.chat(message)
"""


def turn(message: str, **more: Any) -> dict[str, Any]:
    fields = {"run": 1, "instance": "shared", "spec": {}, "message": message, "llm_events": None}
    return {**fields, **more}


def test_a_message_that_was_refused_and_asked_again(project: Project) -> None:
    refused = {"status": 503, "content_type": "text/plain", "body": "busy"}
    said: dict[str, Any] = {"end": "closed", "chunks": [[1, "data: yes\n\n"]]}
    turns = [turn("One", refused=refused), turn("One", **said), turn("Two", **said)]
    head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2020-01-31"}
    text = json.dumps({**head, "of": "test_it.py::test_it", "turns": turns})
    project.write("recordings/it.json", text)
    assert notes(project, REFUSED.format(["One", "Two"])) == []
    assert notes(project, REFUSED.format(["Two", "One"])) == another("One")
