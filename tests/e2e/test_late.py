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

FORKED = """
import os, sys, pytest

def test_a(smoke_instance):
    child = os.fork()
    if not child:
        {ends}  # Up through all of pytest, as a mistake would have it.
    os.waitpid(child, 0)
    assert smoke_instance.status().status == "running"

def test_b(smoke_instance):
    assert smoke_instance.status().status == "running"
"""
PROVISIONING = """
import os

def test_a(smoke_instance_factory):
    child = os.fork()
    if not child:
        try:
            smoke_instance_factory()
        except Exception as error:
            open("child.txt", "w").write(str(error))
        os._exit(0)
    os.waitpid(child, 0)
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
LATE = """
import threading

def test_a(smoke_instance_factory, record_property):
    def provision():
        threading.main_thread().join()
        try:
            smoke_instance_factory()
        except Exception as error:
            open("late.txt", "w").write(str(error))

    threading.Thread(target=provision).start()

def test_b(smoke_instance):
    pass
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

def test_a(smoke_instance, smoke_instance_factory):
    def go_on():
        said = ""
        while "is over" not in said:
            try:
                smoke_instance_factory()
            except Exception as error:  # Or the run deletes it in its boot.
                said = str(error)
        open("late.txt", "w").write(said)

    threading.Thread(target=go_on).start()
"""


def run(fake: FakeRouter, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", *ONLY, "--hydra-smoke", "test_it.py"]
    kept = {name: value for name, value in os.environ.items() if "HYDRA" not in name}
    env = {**kept, **dict([ALONE]), **environment_for(fake)}
    env["HYDRA_SMOKE_MAX_INSTANCES"] = "500"
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("ends", ["sys.exit(0)", "pytest.exit('child')"])
def test_a_forked_child_is_not_the_run(ends: str, fake: FakeRouter, tmp_path: Path) -> None:
    ended = run(fake, tmp_path, FORKED.format(ends=ends))
    assert (ended.returncode, alive(fake), len(fake.instances)) == (0, [], 1), ended.stdout
    assert "2 passed" in ended.stdout
    # The child wrote no summary of its own either.
    assert ended.stdout.count("provisioned 1, deleted 1") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_provisions_nothing(fake: FakeRouter, tmp_path: Path) -> None:
    ended = run(fake, tmp_path, PROVISIONING)
    assert (ended.returncode, len(fake.instances)) == (0, 0), ended.stdout
    assert "its parent owns the instances" in (tmp_path / "child.txt").read_text()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_deletes_nothing(tmp_path: Path) -> None:
    with FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "running"),))) as fake:
        ended = run(fake, tmp_path, CHILD)
        assert (ended.returncode, alive(fake)) == (0, []), ended.stdout
    said = (tmp_path / "child.txt").read_text()
    refused = "ConfigError: this process is a child that a test has forked"
    assert said.count(refused) == said.count("Error: ") == 3, said
    assert "provisioned 5, deleted 5, kept 0, leaked 0" in ended.stdout


def test_a_thread_that_outlives_the_run_provisions_nothing(
    fake: FakeRouter, tmp_path: Path
) -> None:
    ended = run(fake, tmp_path, LATE)
    assert (ended.returncode, len(fake.instances), alive(fake)) == (0, 1, []), ended.stdout
    assert "is over" in (tmp_path / "late.txt").read_text()


def test_a_thread_that_still_waits_as_the_run_ends_holds_nothing(tmp_path: Path) -> None:
    with FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "queued"),))) as fake:
        ended = run(fake, tmp_path, WAITING)
        assert (ended.returncode, alive(fake)) == (0, []), ended.stdout + ended.stderr
    assert (tmp_path / "late.txt").exists()


def test_nothing_begins_once_the_last_look_has(tmp_path: Path) -> None:
    with FakeRouter(Scenario(row_after=0.0, statuses=((0.0, "running"),))) as fake:
        ended = run(fake, tmp_path, GOING_ON)
        assert (ended.returncode, alive(fake)) == (0, []), ended.stdout + ended.stderr
    # Each had its last look: only one that was deleted in its boot is left for a sweep to look at.
    open_entries = [
        entry
        for folder in tmp_path.joinpath(".hydrasmoke/runs").iterdir()
        for entry in read(folder).open
    ]
    assert not any(entry.was_ready for entry in open_entries), ended.stdout
    assert "is over" in (tmp_path / "late.txt").read_text()
