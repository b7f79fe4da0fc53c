"""What goes on beside a run, or beyond it: forked children, threads that outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from inner import ALONE
from owner_tools import ONLY, alive, environment_for

from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke.fake import FakeRouter, Scenario

# What a child raises goes up through all of pytest, as a mistake would have it: the last tests.
FORKED = """
import os, sys, pytest

def test_provisions(smoke_instance_factory):
    child = os.fork()
    if not child:
        try:
            smoke_instance_factory()
        except Exception as error:
            open("provisions.txt", "w").write(str(error))
        os._exit(0)
    os.waitpid(child, 0)

@pytest.mark.parametrize("ends", [lambda: sys.exit(0), lambda: pytest.exit("child")])
def test_a(smoke_instance, ends):
    child = os.fork()
    if not child:
        ends()
    os.waitpid(child, 0)
    assert smoke_instance.status().status == "running"

def test_b(smoke_instance):
    assert smoke_instance.status().status == "running"
"""
# Each way in which a child could delete what its parent owns, or claim what nobody then releases.
CHILD = """
import os, sys
import anyio

def in_child(work):
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:
            open("child.txt", "a").write(f"{type(error).__name__}: {error}\\n")
        os._exit(0)
    os.waitpid(child, 0)

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
        assert smoke_client.status(made.instance_id).status == "running"

def test_async(async_smoke_instance_factory, smoke_client, smoke_spec):
    async def body():
        async with await async_smoke_instance_factory() as instance:
            child = os.fork()
            if not child:
                try:
                    await instance.__aexit__(None, None, None)
                    await instance.delete()
                except BaseException as error:
                    open("child.txt", "a").write(f"{type(error).__name__}: {error}\\n")
                os._exit(0)
            os.waitpid(child, 0)
            assert (await instance.status()).status == "running"
        owned = async_smoke_instance_factory.own("other")
        async with owned as key:
            made = smoke_client.provision(smoke_spec, key)
            assert smoke_client.poll(key).found
            child = os.fork()
            if not child:
                await owned.__aexit__(None, None, None)
                os._exit(0)
            os.waitpid(child, 0)
            assert smoke_client.status(made.instance_id).status == "running"
    anyio.run(body)
"""
WAITING = """
import threading

def test_a(smoke_instance_factory):
    def provision():
        try:
            smoke_instance_factory()
        except Exception as error:
            open("late.txt", "w").write(str(error))

    threading.Thread(target=provision).start()
    while not smoke_instance_factory._session.records:
        pass
"""
GOING_ON = """
import threading

def test_late(smoke_instance_factory):
    def provision():
        threading.main_thread().join()
        try:
            smoke_instance_factory()
        except Exception as error:
            open("late.txt", "w").write(str(error))

    threading.Thread(target=provision).start()

def test_asking(smoke_client):
    def ask():
        threading.main_thread().join()
        try:
            smoke_client.llm_events("3f2c0b1e-7a54-4c1d-9d0e-2b6f8a1c5d70")
        except Exception as error:
            open("asked.txt", "w").write(str(error))

    threading.Thread(target=ask).start()

def test_going_on(smoke_instance, smoke_instance_factory):
    def go_on():
        said = ""
        while "is over" not in said:
            try:
                smoke_instance_factory()
            except Exception as error:  # Or the run deletes it in its boot.
                said = str(error)
        open("going_on.txt", "w").write(said)

    threading.Thread(target=go_on).start()
"""


def run(fake: FakeRouter, folder: Path, text: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", *ONLY, "--hydra-smoke", *more, "test_it.py"]
    kept = {name: value for name, value in os.environ.items() if "HYDRA" not in name}
    env = {**kept, **dict([ALONE]), **environment_for(fake)}
    env["HYDRA_SMOKE_MAX_INSTANCES"] = "500"
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_not_the_run(tmp_path: Path) -> None:
    with FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "running"),))) as fake:
        (tmp_path / "test_child.py").write_text(CHILD)
        ended = run(fake, tmp_path, FORKED, "test_child.py")
        assert (ended.returncode, alive(fake), len(fake.instances)) == (0, [], 7), ended.stdout
    assert "9 passed" in ended.stdout
    # No child wrote a summary of its own, or deleted anything.
    assert ended.stdout.count("provisioned 7, deleted 7, kept 0, leaked 0") == 1
    assert "its parent owns the instances" in (tmp_path / "provisions.txt").read_text()
    said = (tmp_path / "child.txt").read_text()
    refused = "ConfigError: this process is a child that a test has forked"
    assert said.count(refused) == said.count("Error: ") == 3, said


def test_a_thread_that_still_waits_as_the_run_ends_holds_nothing(tmp_path: Path) -> None:
    with FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "queued"),))) as fake:
        ended = run(fake, tmp_path, WAITING)
        assert (ended.returncode, alive(fake)) == (0, []), ended.stdout + ended.stderr
    assert (tmp_path / "late.txt").exists()


def test_threads_that_outlive_the_run_provision_nothing_in_the_last_look_and_try_nothing_again(
    tmp_path: Path,
) -> None:
    with FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "running"),))) as fake:
        fake.fail("llm_events", status=503, times=1_000)
        ended = run(fake, tmp_path, GOING_ON)
        assert (ended.returncode, alive(fake)) == (0, []), ended.stdout + ended.stderr
        # Python 3.12 and later have not sent it: they start no thread to connect by.
        assert len([it for it in fake.requests if it.route == "llm_events"]) <= 1
    # Each had its last look: only one that was deleted in its boot is left for a sweep to look at.
    open_entries = [
        entry
        for folder in tmp_path.joinpath(".hydrasmoke/runs").iterdir()
        for entry in read(folder).open
    ]
    assert not any(entry.was_ready for entry in open_entries), ended.stdout
    for name in ("late.txt", "going_on.txt"):
        assert "is over" in (tmp_path / name).read_text()
    assert "llm_events" in (tmp_path / "asked.txt").read_text()
