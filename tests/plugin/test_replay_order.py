"""A replay notes a test that asks an instance's messages in another order than recorded."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any, NamedTuple

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
ONE = """
    def test_it(smoke_instance):
        for message in {}:
            smoke_instance.chat(message)
"""
MANY = """
    def test_it(smoke_instance, smoke_instance_factory):
        given = [smoke_instance, *smoke_instance_factory.many(2)]
        for number, message in {}:
            given[number].chat(message)

    def test_another(smoke_instance):
        smoke_instance.chat("Two")
"""
BY_HAND = """
    def test_it(smoke_instance_factory, smoke_client, smoke_spec):
        for name, messages in {}:
            with smoke_instance_factory.own(name) as key:
                smoke_client.provision(smoke_spec, key)
                instance_id = smoke_client.poll(key).instance_id
                for message in messages:
                    with smoke_client.stream_chat(instance_id, message) as stream:
                        assert list(stream)
"""
RUNS = """
    ORDERS = {}
    runs = iter(ORDERS)

    @pytest.fixture
    def greeted(smoke_instance):
        smoke_instance.chat("Hello")
        yield smoke_instance
        smoke_instance.chat("Bye")

    @pytest.mark.hydra_smoke_runs(len(ORDERS))
    def test_it(greeted):
        for message in next(runs):
            greeted.chat(message)
"""
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
FIXTURE = """
    @pytest.fixture(scope="module")
    def agent(smoke_instance_factory):
        with smoke_instance_factory() as instance:
            for message in {0}:
                instance.chat(message)
            yield instance
            instance.chat("Bye")

    @pytest.mark.parametrize("number", range(4))
    def test_it(agent, smoke_instance, number):
        for message in {0}:
            smoke_instance.chat(message)
            agent.chat(message)
"""
REFUSED = """
    from pytest_hydrasmoke import ChatTimeoutError

    def test_it(smoke_instance):
        for message in {}:
            try:
                smoke_instance.chat(message)
            except ChatTimeoutError:
                smoke_instance.chat(message)
"""


class Case(NamedTuple):
    """A suite as it was recorded, what it asks when it is replayed, and what is noted of that."""

    suite: str
    recorded: list[Any]
    replayed: list[Any]
    notes: tuple[str, ...] = ()


LATER = "test_it asks its messages in another order than recorded: later "
LEFT_OUT = "test_it no longer asks what was recorded: "
ONE_TWO, TWO_ONE = ["One", "Two"], ["Two", "One"]
FOUR = ["One", "Two", "One", "Three"]
ALL = [(number, message) for number in range(3) for message in ONE_TWO]
ORDERS = [ONE_TWO, TWO_ONE, ONE_TWO]
NAMES = [("a", ONE_TWO), ("b", TWO_ONE)]
CASES = {
    "swapped": Case(ONE, [*ONE_TWO, "Three"], [*TWO_ONE, "Three"], (f"{LATER}'One'",)),
    "fails": Case(ONE, ONE_TWO, TWO_ONE, (f"{LATER}'One'",)),
    "left_out": Case(ONE, FOUR, TWO_ONE, (f"{LEFT_OUT}'One', 'Three'",)),
    # Only the order within an instance counts.
    "by_message": Case(MANY, ALL, sorted(ALL, key=lambda pair: pair[1])),
    "within": Case(MANY, ALL, [*ALL[:2], ALL[3], ALL[2], *ALL[4:]], (f"{LATER}'One'",)),
    # A recording does not tell them apart.
    "by_hand": Case(BY_HAND, NAMES, NAMES[::-1]),
    # Each run of a body has an order.
    "runs": Case(RUNS, ORDERS, [ONE_TWO] * 3, (f"{LATER}'Two'",)),
    # Instances with a thread or a task each have one, and those with several have none.
    "threads": Case(THREADS, ONE_TWO, TWO_ONE, (f"{LATER}'One'",)),
    "tasks": Case(TASKS, ONE_TWO, TWO_ONE, (f"{LATER}'One'",)),
    "several_threads": Case(ONE_FOR_ALL_THREADS, ONE_TWO, TWO_ONE),
    "several_tasks": Case(ONE_FOR_ALL_TASKS, ONE_TWO, TWO_ONE),
    "claimed_by_threads": Case(CLAIMED_BY_THREADS, ONE_TWO, TWO_ONE),
    # A fixture's recording may be of several workers, and so is of no order.
    "fixture": Case(
        *(FIXTURE, ONE_TWO, TWO_ONE),
        notes=tuple(LATER.replace("it", f"it[{number}]", 1) + "'One'" for number in range(4)),
    ),
}


def write(project: Project, name: str, suite: str) -> None:
    project.write("conftest.py", CONFTEST)
    project.write(f"test_{name}.py", HEAD + dedent(suite))


def record(project: Project, *names: str) -> None:
    with FakeRouter(QUICK, TOKEN) as router:
        files = [f"test_{name}.py" for name in names]
        result = project.at(router, max_instances=40, usage_settle=0.01).live(
            RECORD, *ANYIO, *files
        )
    assert result.ret == 0


def notes(result: pytest.RunResult) -> list[str]:
    """Return what the summary notes, and of which file."""
    mark = "hydra-smoke: note: test_"
    return [line.removeprefix(mark) for line in result.outlines if line.startswith(mark)]


@pytest.fixture
def recorded(project: Project) -> Project:
    """A project in which all cases are recorded, but for one that is written by hand."""
    for name, case in CASES.items():
        write(project, name, case.suite.format(case.recorded))
    record(project, *CASES)
    fields = {"run": 1, "instance": "shared", "spec": {}, "llm_events": None}
    refused = {"status": 503, "content_type": "text/plain", "body": "busy"}
    said: dict[str, Any] = {"end": "closed", "chunks": [[1, "data: [DONE]\n\n"]]}
    turns = [
        {**fields, "message": "One", "refused": refused},
        {**fields, "message": "One", **said},
        {**fields, "message": "Two", **said},
    ]
    head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2020-01-31"}
    text = json.dumps({**head, "of": "test_refused.py::test_it", "turns": turns})
    project.write("recordings/refused.json", text)
    write(project, "refused", REFUSED.format(ONE_TWO))
    return project


def test_another_order_is_noted_and_the_recorded_one_is_not(recorded: Project) -> None:
    files = [f"test_{name}.py" for name in (*CASES, "refused")]
    same = recorded.fake(REPLAY, *ANYIO, *files)
    assert (same.ret, notes(same)) == (0, [])

    for name, case in CASES.items():
        write(recorded, name, case.suite.format(case.replayed))
    write(recorded, "refused", REFUSED.format(TWO_ONE))
    fails = ONE.format(TWO_ONE) + "            assert message == 'Two'\n"
    write(recorded, "fails", fails)
    other = recorded.fake(REPLAY, *ANYIO, *files)
    assert (other.ret, other.parseoutcomes()["failed"]) == (1, 1)
    expected = [f"{name}.py::{note}" for name, case in CASES.items() for note in case.notes]
    assert sorted(notes(other)) == sorted([*expected, f"refused.py::{LATER}'One'"])

    record(recorded, "swapped")
    again = recorded.fake(REPLAY, "test_swapped.py")
    assert (again.ret, notes(again)) == (0, [])


def test_more_runs_than_recorded_are_a_failure_that_says_how_to_record_them(
    project: Project,
) -> None:
    write(project, "runs", RUNS.format(ORDERS))
    record(project, "runs")
    write(project, "runs", RUNS.format([*ORDERS, ONE_TWO, ONE_TWO]))
    result = project.fake(REPLAY, "test_runs.py")
    # What its teardown asks was recorded with another run, too.
    result.assert_outcomes(failed=1, errors=1)
    said = (
        "E *RouterError: chat was refused with 501: 'One': 3 runs were recorded for "
        "test_runs.py::test_it, and it is sent in run 4; to record it: "
        "pytest --hydra-smoke --hydra-smoke-record recordings test_runs.py::test_it"
    )
    result.stdout.fnmatch_lines([said, "E *3 of 4 runs passed, and 5 of 5 must:*"])


@pytest.mark.kill
def test_workers_that_share_an_instance(project: Project) -> None:
    case = CASES["fixture"]
    write(project, "fixture", case.suite.format(case.recorded))
    record(project, "fixture")
    four = ("--hydra-smoke-fake", REPLAY, "-p", "xdist", "-n4", "test_fixture.py")
    for messages, expected in ((case.recorded, ()), (case.replayed, case.notes)):
        write(project, "fixture", case.suite.format(messages))
        result = project.process(*four)
        result.assert_outcomes(passed=4)
        assert sorted(notes(result)) == [f"fixture.py::{note}" for note in expected]
