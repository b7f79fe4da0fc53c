"""G21: after a signal the clean-up is over in time, although nothing answers a connection."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kill_tools import Router, router, several_at_once, start_pytest, until
from sizes import sizes

BOUND = 4.0
"""Seconds from the signal until the clean-up is over."""
SLEEPS = """
import pathlib, socket, time

ask = socket.getaddrinfo

def test_a(smoke_instance):
    smoke_instance.chat("here")
    socket.getaddrinfo = troubled
    pathlib.Path("ready").touch()
    time.sleep(60)

def troubled(host, port, *arguments, **more):
    {trouble}
"""
TROUBLES = {
    "dropped SYNs": "return ask(host, port, *arguments, **more)",
    "eight addresses": "return ask(host, port, *arguments, **more) * 8",
    "a slow name": "time.sleep(60); return ask(host, port, *arguments, **more)",
}
JOBS = [(trouble, number) for trouble in TROUBLES for number in (signal.SIGINT, signal.SIGTERM)]
SAMPLE = [("eight addresses", signal.SIGTERM)]


@dataclass
class Relay:
    """A way to a router that can go deaf: from then on its host drops every SYN."""

    to: tuple[str, int]
    listener: socket.socket
    over: threading.Event = field(default_factory=threading.Event)
    waiting: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()
        return host, port

    def serve(self) -> None:
        while not self.over.is_set():
            if select.select([self.listener], [], [], 0.02)[0]:
                conn, _ = self.listener.accept()
                threading.Thread(target=self._relay, args=(conn,), daemon=True).start()

    def _relay(self, conn: socket.socket) -> None:
        with conn, socket.create_connection(self.to) as other, contextlib.suppress(OSError):
            ends = {conn: other, other: conn}
            while not self.over.is_set():
                for ready in select.select([*ends], [], [], 0.05)[0]:
                    if not (data := ready.recv(65536)):
                        return
                    ends[ready].sendall(data)

    def go_deaf(self) -> None:
        """Fill the queue of those who wait to be accepted: Linux drops the SYNs of the rest."""
        self.over.set()
        while True:
            more = socket.socket()
            more.setblocking(False)
            self.waiting.append(more)
            more.connect_ex(self.address)
            if not select.select([], [more], [], 0.3)[1]:
                return

    def close(self) -> None:
        self.over.set()
        for one in (*self.waiting, self.listener):
            one.close()


@contextmanager
def relay(at: Router) -> Iterator[Relay]:
    url = urlsplit(at.url)
    assert url.hostname is not None
    assert url.port is not None
    it = Relay((url.hostname, url.port), socket.create_server(("127.0.0.1", 0), backlog=0))
    serving = threading.Thread(target=it.serve)
    serving.start()
    try:
        yield it
    finally:
        it.close()
        serving.join()


def end_a_run(trouble: str, number: int, folder: Path) -> tuple[str, float]:
    """Signal a run whose router has gone deaf; return what is wrong, and the clean-up's seconds."""
    text = SLEEPS.format(trouble=TROUBLES[trouble])
    with router() as at, relay(at) as way:
        host, port = way.address
        url = at.url.replace(urlsplit(at.url).netloc, f"{host}:{port}")
        run = start_pytest(at, folder, text, HYDRA_SMOKE_URL=url)
        assert until(lambda: (folder / "ready").exists() or run.process.poll() is not None)
        way.go_deaf()
        signalled = time.time()
        run.send(number)
        code = run.end()
        report = folder / ".hydrasmoke" / "report.json"
        seconds = report.stat().st_mtime - signalled
        [told] = json.loads(report.read_text("utf-8"))["instances"]
    wrong = [] if code == 128 + number else [f"exit code {code}"]
    if told["outcome"] != "leaked":
        wrong.append(f"told as {told['outcome']}")
    fault = f"{trouble}, signal {number}: {'; '.join(wrong)}\n{run.output}" if wrong else ""
    return fault, seconds


@pytest.mark.parametrize("jobs", sizes("kill", SAMPLE, JOBS))
def test_clean_up_waits_for_no_router_that_does_not_answer(
    jobs: list[tuple[str, int]], tmp_path: Path
) -> None:
    def work(index: int) -> tuple[str, float]:
        return end_a_run(*jobs[index], tmp_path / f"run-{index}")

    ended = several_at_once(work, range(len(jobs)))
    faults = [fault for fault, _ in ended if fault]
    worst = max(seconds for _, seconds in ended)
    print(
        f"G21: {len(ended)} runs at a router gone deaf, clean-up over after {worst:.1f} s at most"
    )
    assert not faults, "\n\n".join(faults)
    # Other processes keep the machine busy in the normal tests.
    assert worst <= BOUND or jobs is SAMPLE
