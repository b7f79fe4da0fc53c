"""Output that nobody takes: what is given up once a signal has come, and what is left alone."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._plugin import stalled_output
from pytest_hydrasmoke._plugin.stalled_output import StalledOutput

QUIET = 0.6
"""Seconds in which what is to be left alone could have been given up several times."""


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalled_output, "AFTER", 0.2)
    monkeypatch.setattr(stalled_output, "LOOK", 0.1)


class Pipe:
    """A pipe in the place of this process's output."""

    def __init__(self) -> None:
        self.reads, self.writes = os.pipe()
        self.woken = threading.Event()
        self.stalled = StalledOutput(self.woken.set)
        there = os.fstat(self.writes)
        vars(self.stalled)["_files"] = {(there.st_dev, there.st_ino)}

    def fill(self) -> None:
        os.set_blocking(self.writes, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(self.writes, b"x" * 4096)
        os.set_blocking(self.writes, True)

    def close(self) -> None:
        self.stalled.end()
        os.close(self.reads)
        os.close(self.writes)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def is_nowhere(descriptor: int) -> bool:
    with open(os.devnull, "wb") as nowhere:
        return os.path.sameopenfile(descriptor, nowhere.fileno())


def test_what_takes_nothing_is_pointed_at_nothing(pipe: Pipe) -> None:
    pipe.fill()
    copy = os.dup(pipe.writes)
    os.set_inheritable(pipe.writes, True)
    assert not pipe.stalled.is_stalled
    pipe.stalled.watch()
    assert pipe.stalled.is_stalled
    assert pipe.woken.wait(30)
    # A copy too: pytest would put its own back in place. The end that is read stays what it is.
    assert is_nowhere(pipe.writes)
    assert is_nowhere(copy)
    assert os.get_inheritable(pipe.writes)
    assert not os.get_inheritable(copy)
    assert not is_nowhere(pipe.reads)
    assert not pipe.stalled.is_stalled
    os.close(copy)


def test_what_takes_output_is_left_alone(pipe: Pipe) -> None:
    pipe.stalled.watch()
    assert not pipe.woken.wait(QUIET)
    assert not is_nowhere(pipe.writes)


def test_a_reader_that_goes_on_within_a_look_is_none_that_has_stalled(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stalled_output, "LOOK", 30.0)
    pipe.fill()
    pipe.stalled.watch()
    os.read(pipe.reads, 65536)
    assert not pipe.stalled.is_stalled
    pipe.fill()
    assert pipe.stalled.is_stalled
    assert not pipe.woken.wait(QUIET)
    assert not is_nowhere(pipe.writes)


def test_what_fails_does_not_block(pipe: Pipe) -> None:
    pipe.fill()
    reads, pipe.reads = pipe.reads, os.open(os.devnull, os.O_RDONLY)
    os.close(reads)
    pipe.stalled.watch()
    assert not pipe.woken.wait(QUIET)
    assert not is_nowhere(pipe.writes)


def test_a_descriptor_that_is_closed_while_it_is_looked_at_is_none(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(descriptor: int, command: int) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    pipe.fill()
    pipe.stalled.watch()
    monkeypatch.setattr(fcntl, "fcntl", closed)
    assert not pipe.stalled.is_stalled


def test_nothing_is_given_up_once_the_run_is_over(pipe: Pipe) -> None:
    pipe.fill()
    pipe.stalled.watch()
    pipe.stalled.end()
    pipe.stalled.end()
    assert not pipe.woken.wait(QUIET)
    assert not is_nowhere(pipe.writes)
    assert "hydra-smoke-stalled" not in [thread.name for thread in threading.enumerate()]


def test_a_run_that_ends_while_it_is_looked_at_keeps_its_output(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe.fill()

    def and_over(self: StalledOutput, seconds: float) -> set[int]:
        self.end()
        return {pipe.writes}

    monkeypatch.setattr(StalledOutput, "_silent", and_over)
    pipe.stalled.watch()
    assert not pipe.woken.wait(QUIET)
    assert not is_nowhere(pipe.writes)


def test_a_descriptor_that_has_become_another_one_is_left_alone(
    pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "another").open("wb") as another:
        found = {another.fileno()}
        monkeypatch.setattr(StalledOutput, "_silent", lambda self, seconds: found)
        pipe.stalled.watch()
        assert pipe.woken.wait(30)
        assert not is_nowhere(another.fileno())


def test_without_a_thread_all_is_as_before(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    pipe.stalled.watch()


def test_an_output_that_was_closed_is_none() -> None:
    module = "pytest_hydrasmoke._plugin.stalled_output"
    script = f"import os; os.close(1); from {module} import StalledOutput as S"
    command = [sys.executable, "-c", f"{script}; S(lambda: None).end()"]
    assert subprocess.run(command, check=True, stderr=subprocess.PIPE).stderr == b""


WRITES = """
import os, signal, sys
from pytest_hydrasmoke._plugin import stalled_output
from pytest_hydrasmoke._base.signals import Interrupts
stalled_output.AFTER, stalled_output.LOOK = 0.5, 0.2
interrupts = Interrupts(on_first=lambda number: stalled.watch())
stalled = stalled_output.StalledOutput(interrupts.wake)
interrupts.install()
interrupts.begin_clean_up()
signal.raise_signal(signal.SIGTERM)
for number in range(100_000):
    print("a line of which there are many", number)
stalled.end()
interrupts.restore()
os.write(2, b"over")
"""


def test_a_write_that_is_blocked_begins_anew() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITES], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    # Nothing is read: only its end is waited for.
    assert process.wait(30) == 0
    assert process.communicate()[1] == b"over"


def test_nobody_is_woken_before_a_signal_or_by_a_handler_of_others() -> None:
    before = signal.getsignal(signal.SIGTERM)
    interrupts = Interrupts()
    interrupts.wake()
    interrupts.received = signal.SIGTERM
    interrupts.wake()
    assert signal.getsignal(signal.SIGTERM) is before
