"""G21: after a signal the clean-up is over in time, although nothing answers a connection."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kill_tools import Router, judge, outcomes, router, several_at_once, start_pytest
from tls_tools import CA, server_context

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
    if host == "localhost":
        {trouble}
    return ask(host, port, *arguments, **more)

def at(port, *places):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.%d" % n, port)) for n in places]
"""


@dataclass(frozen=True)
class Trouble:
    """What becomes of the way to a router, and of the name that stands for it."""

    lookup: str = "pass"
    """A statement of the name's lookup, from then on."""
    deaf: int = 1
    """How many addresses, from 127.0.0.1 on, drop every SYN; with 0 connections are silent."""
    tls: bool = False
    outcome: str = "leaked"


TROUBLES = {
    "dropped SYNs": Trouble(),
    "eight addresses": Trouble("return at(port, *range(1, 9))", deaf=8),
    "a slow name": Trouble("time.sleep(60)"),
    "a second address that answers": Trouble("return at(port, 1, 2)", outcome="deleted"),
    "silent TLS": Trouble(deaf=0, tls=True),
}
JOBS = [(trouble, number) for trouble in TROUBLES for number in (signal.SIGINT, signal.SIGTERM)]


@dataclass
class Relay:
    """A way to a router that can go deaf: from then on its host drops every SYN."""

    to: tuple[str, int]
    listener: socket.socket
    tls: ssl.SSLContext | None = None
    over: threading.Event = field(default_factory=threading.Event)
    waiting: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._serving = threading.Thread(target=self._serve)
        self._serving.start()

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.listener.getsockname()
        return host, port

    def _serve(self) -> None:
        while not self.over.is_set():
            if select.select([self.listener], [], [], 0.02)[0]:
                conn, _ = self.listener.accept()
                threading.Thread(target=self._relay, args=(conn,), daemon=True).start()

    def _relay(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.tls is not None:
                conn = self.tls.wrap_socket(conn, server_side=True)
            with conn, socket.create_connection(self.to) as other:
                ends = {conn: other, other: conn}
                while not self.over.is_set():
                    for ready in select.select([*ends], [], [], 0.05)[0]:
                        if not (data := ready.recv(65536)):
                            return
                        ends[ready].sendall(data)

    def go_silent(self) -> None:
        """Accept connections, but serve none."""
        self.over.set()
        self._serving.join()

    def go_deaf(self, addresses: int) -> None:
        """Fill the queue of those who wait to be accepted: Linux drops the SYNs of the rest."""
        self.go_silent()
        _, port = self.address
        for n in range(2, addresses + 1):
            self.waiting.append(socket.create_server((f"127.0.0.{n}", port), backlog=0))
        for n in range(1, addresses + 1):
            self._fill(f"127.0.0.{n}", port)

    def _fill(self, host: str, port: int) -> None:
        while True:
            more = socket.socket()
            more.setblocking(False)
            self.waiting.append(more)
            more.connect_ex((host, port))
            if not select.select([], [more], [], 0.3)[1]:
                return

    def close(self) -> None:
        self.go_silent()
        for one in (*self.waiting, self.listener):
            one.close()


@contextmanager
def relay(at: Router, host: str = "127.0.0.1", port: int = 0, tls: bool = False) -> Iterator[Relay]:
    url = urlsplit(at.url)
    assert url.hostname is not None
    assert url.port is not None
    listener = socket.create_server((host, port), backlog=50 if tls else 0)
    it = Relay((url.hostname, url.port), listener, server_context() if tls else None)
    with closing(it):
        yield it


def end_a_run(name: str, number: int, folder: Path) -> tuple[str, float]:
    """Signal a run whose router has gone deaf; return what is wrong, and the clean-up's seconds."""
    trouble = TROUBLES[name]
    text = SLEEPS.format(trouble=trouble.lookup)
    with router() as at, relay(at, tls=trouble.tls) as way, ExitStack() as stack:
        _, port = way.address
        if trouble.outcome == "deleted":
            stack.enter_context(relay(at, "127.0.0.2", port))
        # The certificate is for an address.
        url = f"https://127.0.0.1:{port}" if trouble.tls else f"http://localhost:{port}"
        more = {"HYDRA_SMOKE_CA_FILE": str(CA)} if trouble.tls else {}
        run = start_pytest(at, folder, text, HYDRA_SMOKE_URL=url, **more)
        assert run.comes_to((folder / "ready").exists)
        if trouble.deaf:
            way.go_deaf(trouble.deaf)
        else:
            way.go_silent()
        signalled = time.time()
        run.send(number)
        code = run.end()
        seconds = (folder / ".hydrasmoke" / "report.json").stat().st_mtime - signalled
        [told] = outcomes(folder)
        alive = len(at.alive())
    wrong = [] if code == 128 + number else [f"exit code {code}"]
    if told != trouble.outcome or (alive and told == "deleted"):
        wrong.append(f"told as {told}, {alive} alive")
    fault = f"{name}, signal {number}: {'; '.join(wrong)}\n{run.output}" if wrong else ""
    return fault, seconds


@pytest.mark.kill
def test_clean_up_waits_for_no_router_that_does_not_answer(tmp_path: Path) -> None:
    def work(index: int) -> tuple[str, float]:
        return end_a_run(*JOBS[index], tmp_path / f"run-{index}")

    ended = several_at_once(work, range(len(JOBS)))
    judge("G21: runs at a router gone deaf", [fault for fault, _ in ended])
    assert max(seconds for _, seconds in ended) <= BOUND
