"""What goes on beside a run, or beyond it: forked children, threads that outlive it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
from inner import only
from plugin_tools import Project, nothing_left

from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke.fake import FakeRouter, Scenario

# Each way in which a child could delete what its parent owns, or claim what nobody then releases.
CHILD = """
import os, sys, pytest
import anyio

def refused(error):
    open("child.txt", "a").write(f"{type(error).__name__}: {error}\\n")

def in_child(work):
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            refused(error)
        os._exit(0)
    os.waitpid(child, 0)

def test_provisions(smoke_instance_factory):
    in_child(smoke_instance_factory)

def test_deletes(smoke_instance):
    in_child(smoke_instance.delete)
    assert smoke_instance.status().status == "running"

def test_leaves(smoke_instance_factory):
    with smoke_instance_factory() as instance:
        in_child(lambda: instance.__exit__(None, None, None))
        assert instance.status().status == "running"

def test_leaves_many(smoke_instance_factory):
    with smoke_instance_factory.many(2) as instances:
        in_child(lambda: instances.__exit__(None, None, None))
        assert [it.status().status for it in instances] == ["running"] * 2

def test_owns(smoke_instance_factory, smoke_client, smoke_spec):
    in_child(smoke_instance_factory.own("others").__enter__)
    owned = smoke_instance_factory.own("mine")
    with owned as key:
        made = smoke_client.provision(smoke_spec, key)
        assert smoke_client.poll(key).found
        in_child(lambda: owned.__exit__(None, None, None))
        assert smoke_client.status(made.instance_id).status in ("starting", "running")

def test_async(async_smoke_instance_factory, smoke_client, smoke_spec):
    async def in_child(*works):
        child = os.fork()
        if not child:
            try:
                for work in works:
                    await work()
            except BaseException as error:
                refused(error)
            os._exit(0)
        os.waitpid(child, 0)

    async def body():
        async with await async_smoke_instance_factory() as instance:
            await in_child(lambda: instance.__aexit__(None, None, None), instance.delete)
            assert (await instance.status()).status == "running"
        owned = async_smoke_instance_factory.own("other")
        async with owned as key:
            made = smoke_client.provision(smoke_spec, key)
            assert smoke_client.poll(key).found
            await in_child(lambda: owned.__aexit__(None, None, None))
            assert smoke_client.status(made.instance_id).status in ("starting", "running")
    anyio.run(body)

# What a child raises goes up through all of pytest, as a mistake would have it.
@pytest.mark.parametrize("ends", [lambda: sys.exit(0), lambda: pytest.exit("child")])
def test_raises(smoke_instance, ends):
    child = os.fork()
    if not child:
        ends()
    os.waitpid(child, 0)
    assert smoke_instance.status().status == "running"
"""
GOING_ON = """
import os, threading

import pytest

PARENT = os.getpid()

@pytest.fixture(autouse=True)
def of_the_run():
    if os.getpid() != PARENT:
        pytest.skip("a child that goes on")

def beyond(name, work, over=lambda error: True, wait=True):
    def go_on():
        if wait:
            threading.main_thread().join()
        said = None
        while said is None or not over(said):
            try:
                work()
            except Exception as error:
                said = str(error)
        open(name, "w").write(said)

    threading.Thread(target=go_on).start()

def test_late(smoke_instance_factory):
    beyond("late.txt", smoke_instance_factory)

def test_asking(smoke_client):
    known = "3f2c0b1e-7a54-4c1d-9d0e-2b6f8a1c5d70"
    beyond("asked.txt", lambda: smoke_client.llm_events(known))

def test_going_on(smoke_instance, smoke_instance_factory):
    # Or the run deletes it in its boot.
    over = lambda said: "is over" in said
    beyond("going_on.txt", smoke_instance_factory, over, wait=False)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_not_the_run_and_a_thread_that_outlives_it_begins_nothing(
    project: Project, routing: Callable[[Scenario], FakeRouter]
) -> None:
    router = routing(Scenario(row_after=0, statuses=((0, "starting"), (0.05, "running"))))
    router.fail("llm_events", status=503, times=1_000)
    project.at(router, run_id="run", max_instances=500, bundled_checks="false")
    project.write("test_child.py", CHILD)
    project.write("test_threads.py", GOING_ON)
    arguments = ("-m", "pytest", *only(), "--hydra-smoke", "test_child.py", "test_threads.py")
    with project.started(*arguments) as process:
        said, _ = process.communicate(timeout=120)
    assert (process.returncode, nothing_left(router)) == (0, True), said
    assert "11 passed" in said
    # No child wrote a summary of its own, provisioned or deleted anything.
    [numbers] = re.findall(r"provisioned (\d+), deleted (\d+), kept 0, leaked 0, unsure 0", said)
    assert set(numbers) == {str(len(router.instances))}
    refused = "ConfigError: this process is a child that a test has forked"
    told = (project.path / "child.txt").read_text()
    assert (told.count(refused), told.count("its parent owns the instances")) == (4, 4), told
    # Python 3.12 and later have not sent it: they start no thread to connect by.
    assert len([it for it in router.requests if it.route == "llm_events"]) <= 1
    # Each had its last look: only one that was deleted in its boot is left for a sweep to look at.
    folder = folder_of(project.path / ".hydrasmoke", "run")
    left = read(folder).open if folder.exists() else ()
    assert not any(entry.was_ready for entry in left), said
    for name in ("late", "going_on"):
        assert "is over" in (project.path / f"{name}.txt").read_text()
    assert "llm_events" in (project.path / "asked.txt").read_text()
