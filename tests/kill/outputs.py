"""What a run writes to, and how it comes that nobody takes it: pipes, a real `tee`, a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Send = Callable[[int], None]


@dataclass
class Watched:
    """A run whose output goes elsewhere; nothing of it is read."""

    process: subprocess.Popen[bytes]
    spoil: Callable[[], None]
    """Makes the output one that nobody takes; harmless if done before."""
    send: Send
    """Signals the run, as whoever ends it so does."""
    read_on: Callable[[], None] = lambda: None
    """Takes what a run has to write that waits for its reader."""


@contextmanager
def _started(
    command: Sequence[str], folder: Path, env: dict[str, str], out: int, terminal: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run, and see that it ends; on a terminal, it is of a session of its own."""

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=out if terminal else subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        process_group=None if terminal else 0,
        preexec_fn=take_terminal if terminal else None,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def teed(command: Sequence[str], folder: Path, env: dict[str, str]) -> Iterator[Watched]:
    """`pytest | tee log`, one group, and all of it is signalled: Ctrl-C, or a closed window."""
    reads, writes = os.pipe()
    with _started(command, folder, env, writes) as process:
        os.close(writes)
        tee = subprocess.Popen(
            ["tee", "log"],
            cwd=folder,
            stdin=reads,
            stdout=subprocess.DEVNULL,
            process_group=process.pid,
        )
        os.close(reads)
        yield Watched(process, lambda: None, lambda number: os.killpg(process.pid, number))
    tee.wait()


@contextmanager
def unread(command: Sequence[str], folder: Path, env: dict[str, str]) -> Iterator[Watched]:
    """A pipe whose reader goes."""
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb") as reader, _started(command, folder, env, writes) as process:
        os.close(writes)
        yield Watched(process, reader.close, process.send_signal)


@contextmanager
def stalled(command: Sequence[str], folder: Path, env: dict[str, str]) -> Iterator[Watched]:
    """A pipe whose reader reads no more, until it is full."""
    reads, writes = os.pipe()
    with ThreadPoolExecutor(1) as pool:

        def read_on() -> None:
            pool.submit(_read_all, reads)

        try:
            with _started(command, folder, env, writes) as process:
                yield Watched(process, lambda: fill(writes), process.send_signal, read_on)
        finally:
            os.close(writes)
    os.close(reads)


def _read_all(pipe: int) -> None:
    while os.read(pipe, 65536):
        pass


@contextmanager
def hung_up(command: Sequence[str], folder: Path, env: dict[str, str]) -> Iterator[Watched]:
    """A terminal that is closed, which is a HUP in itself; another signal may come just before."""
    ours, theirs = os.openpty()
    with (
        os.fdopen(ours, "rb") as terminal,
        _started(command, folder, env, theirs, terminal=True) as process,
    ):
        os.close(theirs)

        def send(number: int) -> None:
            if number != signal.SIGHUP:
                process.send_signal(number)
            terminal.close()

        yield Watched(process, lambda: None, send)


SHELL = """
import fcntl, os, signal, subprocess, sys, termios
os.setsid()
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(1, job.pid)
sys.stdin.readline()
os.tcsetpgrp(1, os.getpgrp())
flags = termios.tcgetattr(1)
flags[3] |= termios.TOSTOP
termios.tcsetattr(1, termios.TCSANOW, flags)
os.kill(job.pid, signal.SIGTERM)
sys.stdin.readline()
os.tcsetpgrp(1, job.pid)
os.kill(job.pid, signal.SIGCONT)
sys.exit(job.wait())
"""
"""A shell with a terminal and one job, which it takes into the background and back again."""


@dataclass
class Job:
    """A job of a shell, and the user's end of its terminal."""

    shell: subprocess.Popen[bytes]
    terminal: int

    def terminate(self) -> None:
        """Send it a TERM where its terminal stops it once it writes: in the background."""
        self._go_on()

    def bring_back(self) -> int:
        """Return it its terminal back, and read it to the end; gives its exit code."""
        self._go_on()
        with contextlib.suppress(OSError):
            while os.read(self.terminal, 65536):
                pass
        return self.shell.wait(60)

    def _go_on(self) -> None:
        assert self.shell.stdin is not None
        self.shell.stdin.write(b"\n")
        self.shell.stdin.flush()


@contextmanager
def started_as_job(command: Sequence[str], folder: Path, env: dict[str, str]) -> Iterator[Job]:
    """Start a job of a shell, in the foreground of a terminal."""
    ours, theirs = os.openpty()
    shell = subprocess.Popen(
        [sys.executable, "-c", SHELL, *command],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    with shell:
        yield Job(shell, ours)
    os.close(ours)


def fill(pipe: int) -> None:
    """Write into a pipe until it takes no more, by a description that nobody else waits at."""
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(own, b"x" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(own, b"x")
    os.close(own)


ENDINGS = {"tee": teed, "gone": unread, "stalled": stalled, "terminal": hung_up}
