"""Locks on files, between real processes: who holds one, and what ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_hydrasmoke._run.locks import Lock

TAKES = """
import os, subprocess, sys, time
from pathlib import Path
from pytest_hydrasmoke._run.locks import Lock

def say(word):
    print(word, flush=True)

lock = Lock(Path(sys.argv[1]))
assert lock.acquire()
"""
LIVES = """
if os.fork() == 0:
    os._exit(0)  # A child that ends leaves the lock with its parent.
os.wait()
say("has it"); sys.stdin.read()
"""
ENDS = "say('has it'); os._exit(0)"
HAS_A_CHILD = """
child = os.fork()
if child == 0:
    assert not Lock(lock.path).acquire(), "it has its parent's lock"
    lock.release()
    assert not Lock(lock.path).acquire(), "it has released its parent's lock"
    say(os.getpid())
    time.sleep(60)
    os._exit(0)
sys.stdin.read()
"""
HAS_STARTED_A_PROGRAM = """
program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
say(program.pid)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@contextmanager
def process(code: str, path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run code in a process of its own; give the process and the first line it says."""
    command = [sys.executable, "-c", TAKES + code, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def is_free(path: Path) -> bool:
    with Lock(path) as tried:
        return tried.acquire()


def test_one_at_a_time_has_it(path: Path) -> None:
    with Lock(path) as one, Lock(path) as other:
        assert one.acquire()
        assert not other.acquire()
        one.release()
        assert other.acquire()
        one.release()  # Harmless: it is another's by now.
        assert not is_free(path)
    assert is_free(path)


def test_another_process_can_not_have_it_too_but_waits_for_it(path: Path) -> None:
    with process(LIVES, path) as (running, said), Lock(path) as lock:
        assert said == "has it"
        assert not lock.acquire(within=0.1)
        assert running.stdin is not None
        running.stdin.close()
        assert lock.acquire(within=30)


def test_it_ends_with_its_process(path: Path) -> None:
    with process(ENDS, path) as (running, said):
        assert said == "has it"
        running.wait()
        assert is_free(path)


@pytest.mark.parametrize("code", [HAS_A_CHILD, HAS_STARTED_A_PROGRAM], ids=["fork", "program"])
def test_no_child_of_its_process_has_it(path: Path, code: str) -> None:
    with process(code, path) as (running, child):
        try:
            assert not is_free(path)
            running.kill()
            running.wait()
            os.kill(int(child), 0)  # It is still there.
            assert is_free(path)
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_lock_on_a_removed_file_is_nobodys(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last holder may remove the file between another's opening and locking it."""
    opening = os.open
    with Lock(path) as late:

        def opened(file: Path, *how: int) -> int:
            descriptor = opening(file, *how)
            monkeypatch.setattr(os, "open", opening)
            path.unlink()
            return descriptor

        monkeypatch.setattr(os, "open", opened)
        assert late.acquire()
        assert path.exists()
        assert not is_free(path)


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with Lock(path) as lock, pytest.raises(OSError):
        lock.acquire()
    assert not (tmp_path / "elsewhere").exists()
